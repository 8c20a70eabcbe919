//! The functions: what they take and what they give.

use super::value::{Kind, Value};
use crate::plan::{Foreign, Number, Part, Text};

/// What a function takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// A text.
    Text,
    /// An integer.
    Integer,
    /// Any number, as a double.
    Number,
    /// A list of texts.
    Texts,
    /// What can be read as an integer: a decimal or a double cut off at the point, or digits.
    Digits,
    /// What has a text form.
    Scalar,
}

/// What a function gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gives {
    /// A text.
    Text,
    /// An integer.
    Integer,
    /// A double.
    Double,
    /// A list of texts.
    Texts,
}

/// A function of the interpreter: its name, what it is called on, what else it takes, and what it gives.
pub struct Signature(&'static str, Option<Takes>, &'static [Takes], Gives);

/// The functions of the interpreter.
const FOREIGN: [Signature; 24] = [
    Signature("lowerAscii", Some(Takes::Text), &[], Gives::Text),
    Signature("upperAscii", Some(Takes::Text), &[], Gives::Text),
    Signature("trim", Some(Takes::Text), &[], Gives::Text),
    Signature("reverse", Some(Takes::Text), &[], Gives::Text),
    Signature("charAt", Some(Takes::Text), &[Takes::Integer], Gives::Text),
    Signature("substring", Some(Takes::Text), &[Takes::Integer], Gives::Text),
    Signature("substring", Some(Takes::Text), &[Takes::Integer, Takes::Integer], Gives::Text),
    Signature("replace", Some(Takes::Text), &[Takes::Text, Takes::Text], Gives::Text),
    Signature("indexOf", Some(Takes::Text), &[Takes::Text], Gives::Integer),
    Signature("lastIndexOf", Some(Takes::Text), &[Takes::Text], Gives::Integer),
    Signature("split", Some(Takes::Text), &[Takes::Text], Gives::Texts),
    Signature("join", Some(Takes::Texts), &[], Gives::Text),
    Signature("join", Some(Takes::Texts), &[Takes::Text], Gives::Text),
    Signature("size", Some(Takes::Texts), &[], Gives::Integer),
    Signature("size", None, &[Takes::Texts], Gives::Integer),
    Signature("string", None, &[Takes::Scalar], Gives::Text),
    Signature("int", None, &[Takes::Digits], Gives::Integer),
    Signature("double", None, &[Takes::Text], Gives::Double),
    Signature("math.ceil", None, &[Takes::Number], Gives::Double),
    Signature("math.floor", None, &[Takes::Number], Gives::Double),
    Signature("math.round", None, &[Takes::Number], Gives::Double),
    Signature("math.trunc", None, &[Takes::Number], Gives::Double),
    Signature("math.sign", None, &[Takes::Number], Gives::Double),
    Signature("math.sqrt", None, &[Takes::Number], Gives::Double),
];

/// A function that needs no interpreter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compiled {
    /// A text in a text.
    Find(Part),
    /// A pattern in a text.
    Matches,
    /// The length of a text or list.
    Size,
    /// The absolute value of a number.
    Magnitude,
    /// A number as a double.
    Double,
    /// An integer as it is.
    Integer,
    /// A text as it is.
    Text,
}

/// The functions that need no interpreter. Some have a name in common with one of its own, which takes the rest.
const COMPILED: [(&str, Compiled); 9] = [
    ("startsWith", Compiled::Find(Part::Start)),
    ("endsWith", Compiled::Find(Part::End)),
    ("contains", Compiled::Find(Part::Anywhere)),
    ("matches", Compiled::Matches),
    ("size", Compiled::Size),
    ("math.abs", Compiled::Magnitude),
    ("double", Compiled::Double),
    ("int", Compiled::Integer),
    ("string", Compiled::Text),
];

/// The names of all functions. `has` is one to those who write conditions, and an operator here.
pub fn names() -> impl Iterator<Item = &'static str> {
    let foreign = FOREIGN.iter().map(|signature| signature.0);
    foreign.chain(COMPILED.iter().map(|(name, _)| *name)).chain(["has"])
}

impl Compiled {
    /// The function of this name.
    pub fn of(name: &str) -> Option<Self> {
        COMPILED.iter().find(|(known, _)| *known == name).map(|(_, compiled)| *compiled)
    }
}

impl Signature {
    /// The function of the interpreter that fits a call.
    pub fn of(name: &str, target: Option<&Value>, arguments: &[Value]) -> Option<&'static Self> {
        FOREIGN.iter().find(|Self(known, on, takes, _)| {
            let target_fits = match (on, target) {
                (Some(on), Some(target)) => on.fits(target),
                (on, target) => on.is_none() && target.is_none(),
            };
            let mut both = takes.iter().zip(arguments);
            *known == name
                && target_fits
                && takes.len() == arguments.len()
                && both.all(|(takes, value)| takes.fits(value))
        })
    }

    /// What it is called on and what else it takes, as the interpreter takes them.
    pub fn converted(&self, target: Option<Value>, arguments: Vec<Value>) -> (Option<Value>, Vec<Value>) {
        let target = self.1.zip(target).map(|(on, target)| on.converted(target));
        (target, self.2.iter().zip(arguments).map(|(takes, value)| takes.converted(value)).collect())
    }

    /// What comes of a call.
    pub fn gives(&self, call: Foreign) -> Value {
        self.3.of(call)
    }
}

impl Takes {
    fn fits(self, value: &Value) -> bool {
        match (self, value.kind()) {
            (Self::Text | Self::Scalar | Self::Digits, Kind::Text) | (Self::Integer | Self::Scalar, Kind::Integer) => {
                true
            }
            (Self::Number, Kind::Integer | Kind::Decimal | Kind::Double) => true,
            (Self::Digits | Self::Scalar, Kind::Decimal | Kind::Double) | (Self::Scalar, Kind::Truth) => true,
            (Self::Texts, Kind::List(element)) => *element == Kind::Text,
            _ => false,
        }
    }

    fn converted(self, value: Value) -> Value {
        match self {
            Self::Number => value.clone().widened().map_or(value, Value::Double),
            _ => value,
        }
    }
}

impl Gives {
    /// What the interpreter gives, as a value.
    pub fn of(self, call: Foreign) -> Value {
        match self {
            Self::Text => Value::Text(Text::Foreign(Box::new(call))),
            Self::Integer => Value::Integer(Number::Foreign(Box::new(call))),
            Self::Double => Value::Double(Number::Foreign(Box::new(call))),
            Self::Texts => Value::Other(Box::new(call), Kind::List(Box::new(Kind::Text))),
        }
    }
}

/// Why a call of a known function does not fit.
pub fn wrong_arguments(name: &str, target: Option<&Value>, arguments: &[Value]) -> String {
    let kinds: Vec<_> = arguments.iter().map(|argument| argument.kind().to_string()).collect();
    let taken = if kinds.is_empty() { "nothing".to_owned() } else { kinds.join(" and ") };
    match target {
        Some(target) => format!("`{name}` is not called on {} with {taken}", target.kind()),
        None => format!("`{name}` is not called with {taken}"),
    }
}
