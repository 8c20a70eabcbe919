//! What is left to the interpreter of `cel`, one row after the other.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::fmt;
use std::sync::Arc;

use cel::{Context, Env, Value, extensions};

use super::numbers::{self, Numbers};
use super::texts::{self, Texts};
use super::{Bits, Evaluation, Gaps, Truth};
use crate::plan::{Foreign, Input};

/// The interpreter with its functions; made when the first call needs it.
#[derive(Default)]
pub struct Interpreter(OnceCell<Arc<Env>>);

impl fmt::Debug for Interpreter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Interpreter")
    }
}

impl Interpreter {
    fn env(&self) -> Arc<Env> {
        let make = || {
            let mut env = Env::stdlib();
            env.add_extension(extensions::strings).expect("their names are free");
            env.add_extension(extensions::math).expect("their names are free");
            Arc::new(env)
        };
        Arc::clone(self.0.get_or_init(make))
    }
}

/// The values of what a call is handed.
enum Values<'a> {
    Integers(numbers::Values<'a, i64>),
    Doubles(numbers::Values<'a, f64>),
    Texts(texts::Values<'a>),
    Truths(Bits),
}

impl Values<'_> {
    fn at(&self, row: usize) -> Value {
        match self {
            Self::Integers(values) => Value::Int(values.at(row)),
            Self::Doubles(values) => Value::Float(values.at(row)),
            Self::Texts(values) => Value::String(Arc::new(values.at(row).to_owned())),
            Self::Truths(holds) => Value::Bool(holds.contains(row)),
        }
    }
}

impl<'a> Evaluation<'a> {
    /// Calls the interpreter for each row of `among` for which nothing that it is handed is null. `take` is given what comes of
    /// it; false = it is of a type that it must not be.
    pub(super) fn interpret(
        &mut self,
        foreign: &'a Foreign,
        among: &Bits,
        mut take: impl FnMut(usize, Value) -> bool,
    ) -> Gaps<'a> {
        let mut gaps = Gaps::default();
        let mut inputs = Vec::with_capacity(foreign.inputs.len());
        for (name, input) in &foreign.inputs {
            let (values, of_input) = self.input(input, among);
            gaps = gaps.and(of_input);
            inputs.push((name, values));
        }
        let mut context = Context::with_env(self.interpreter.env());
        let mut failed = None;
        for row in gaps.known(among).iter() {
            for (name, values) in &inputs {
                context.add_variable_from_value(name.as_str(), values.at(row));
            }
            let taken = Value::resolve(&foreign.call, &context).map(|value| take(row, value));
            let why = match taken {
                Ok(true) => continue,
                Ok(false) => "the result is of another type".to_owned(),
                Err(error) => error.to_string(),
            };
            failed.get_or_insert_with(|| Bits::none(among.rows())).insert(row);
            self.fail(row, foreign.place, why);
        }
        gaps.failed = super::either(gaps.failed, failed);
        gaps
    }

    fn input(&mut self, input: &'a Input, among: &Bits) -> (Values<'a>, Gaps<'a>) {
        match input {
            Input::Integer(number) => {
                let Numbers { values, gaps } = self.numbers(number, among);
                (Values::Integers(values), gaps)
            }
            Input::Double(number) => {
                let Numbers { values, gaps } = self.numbers(number, among);
                (Values::Doubles(values), gaps)
            }
            Input::Text(text) => {
                let Texts { values, gaps } = self.texts(text, among);
                (Values::Texts(values), gaps)
            }
            Input::Truth(holds, present) => {
                let (holds, present) = (self.truth(holds, among), self.truth(present, among));
                let gaps = Gaps {
                    valid: Some(Cow::Owned(present.holds)),
                    failed: super::either(holds.failed, present.failed),
                };
                (Values::Truths(holds.holds), gaps)
            }
        }
    }

    /// A call that gives a number.
    pub(super) fn foreign_numbers<T: Copy + Default>(
        &mut self,
        foreign: &'a Foreign,
        among: &Bits,
        number: impl Fn(Value) -> Option<T>,
    ) -> Numbers<'a, T> {
        let mut values = vec![T::default(); among.rows()];
        let gaps =
            self.interpret(foreign, among, |row, value| number(value).map(|number| values[row] = number).is_some());
        Numbers { values: numbers::Values::Each(Cow::Owned(values)), gaps }
    }

    /// A call that gives true or false.
    pub(super) fn foreign_truth(&mut self, foreign: &'a Foreign, among: &Bits) -> Truth {
        let mut holds = Bits::none(among.rows());
        let gaps = self.interpret(foreign, among, |row, value| match value {
            Value::Bool(true) => {
                holds.insert(row);
                true
            }
            Value::Bool(false) => true,
            _ => false,
        });
        Truth { holds, failed: gaps.failed.map(|failed| failed.and(among)) }
    }
}
