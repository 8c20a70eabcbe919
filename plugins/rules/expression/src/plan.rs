//! What a condition becomes: a tree of tests and values over the columns of a batch, typed throughout.

use std::fmt::Debug;

use cel::IdedExpr;
use regex::Regex;

use crate::place::Place;

/// What holds of an event, does not, or cannot be evaluated. Nulls are decided here: a comparison with one does not hold.
#[derive(Clone, Debug)]
pub enum Test {
    /// The same for every event.
    Always(bool),
    /// A Boolean column that is true.
    Flag(usize),
    /// A column that is not null.
    Present(usize),
    /// The other one does not hold.
    Not(Box<Test>),
    /// All hold. One that does not hold decides, whatever cannot be evaluated.
    All(Vec<Test>),
    /// One of them holds, whatever cannot be evaluated.
    Any(Vec<Test>),
    /// Both hold, or neither.
    Same(Box<[Test; 2]>),
    /// The second where the first holds, else the third.
    Choice(Box<[Test; 3]>),
    /// Two integers compared, or two decimals of the same scale.
    Integers(Relation, Box<[Number<i64>; 2]>),
    /// Two doubles compared.
    Doubles(Relation, Box<[Number<f64>; 2]>),
    /// One of these numbers, ascending.
    IntegerIn(Box<Number<i64>>, Vec<i64>),
    /// What holds of texts.
    Texts(Box<TextTest>),
    /// What the interpreter says.
    Foreign(Box<Foreign>),
}

/// What holds of texts.
#[derive(Clone, Debug)]
pub enum TextTest {
    /// Two texts compared, by code points.
    Compared(Relation, [Text; 2]),
    /// One of these texts, ascending.
    In(Text, Vec<String>),
    /// The first text has the second in it.
    Find(Part, [Text; 2]),
    /// The pattern is found in the text.
    Matches(Text, Regex),
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl Relation {
    /// Whether it holds.
    #[inline]
    pub fn holds<T: PartialOrd + ?Sized>(self, left: &T, right: &T) -> bool {
        match self {
            Self::Equal => left == right,
            Self::NotEqual => left != right,
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
        }
    }

    /// The same with its sides exchanged.
    pub fn flipped(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
            same => same,
        }
    }
}

/// Where in a text another one is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// At its start.
    Start,
    /// At its end.
    End,
    /// Anywhere.
    Anywhere,
}

impl Part {
    /// Whether `sought` is there.
    #[inline]
    pub fn is_in(self, sought: &str, text: &str) -> bool {
        match self {
            Self::Start => text.starts_with(sought),
            Self::End => text.ends_with(sought),
            Self::Anywhere => text.contains(sought),
        }
    }
}

/// A number, null where a column in it is.
#[derive(Clone, Debug)]
pub enum Number<T: Numeric> {
    /// The same for every event.
    Constant(T),
    /// That of a column.
    Column(usize),
    /// An operator with one operand.
    Unary(Unary, Box<Self>, Place),
    /// An operator with two.
    Binary(Binary, Box<[Self; 2]>, Place),
    /// The first where the test holds, else the second.
    Choice(Box<Test>, Box<[Self; 2]>),
    /// What the interpreter says.
    Foreign(Box<Foreign>),
    /// What only this type of number has.
    Special(Box<T::Special>),
}

/// What only integers have.
#[derive(Clone, Debug)]
pub enum IntegerSource {
    /// How many characters a text has.
    Size(Text),
    /// A declared count.
    Count(usize),
}

/// What only doubles have: an integer or a decimal as one.
#[derive(Clone, Debug)]
pub struct Widened {
    /// The digits.
    pub digits: Number<i64>,
    /// How many of them stand behind the point.
    pub scale: u8,
}

/// An operator with one operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unary {
    /// `-`
    Negate,
    /// `math.abs`
    Magnitude,
}

/// An operator with two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binary {
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`
    Divide,
    /// `%`
    Remainder,
}

/// Integers and doubles.
pub trait Numeric: Copy + Default + PartialOrd + Debug + 'static {
    /// Where else they come from.
    type Special: Clone + Debug;

    /// Applies an operator; an error says why it cannot be.
    fn unary(operator: Unary, operand: Self) -> Result<Self, &'static str>;
    /// Applies an operator; an error says why it cannot be.
    fn binary(operator: Binary, left: Self, right: Self) -> Result<Self, &'static str>;
}

const OVERFLOW: &str = "the number is beyond 64 bits";
const BY_ZERO: &str = "division by zero";

impl Numeric for i64 {
    type Special = IntegerSource;

    fn unary(operator: Unary, operand: Self) -> Result<Self, &'static str> {
        match operator {
            Unary::Negate => operand.checked_neg(),
            Unary::Magnitude => operand.checked_abs(),
        }
        .ok_or(OVERFLOW)
    }

    #[inline]
    fn binary(operator: Binary, left: Self, right: Self) -> Result<Self, &'static str> {
        match operator {
            Binary::Add => left.checked_add(right),
            Binary::Subtract => left.checked_sub(right),
            Binary::Multiply => left.checked_mul(right),
            Binary::Divide | Binary::Remainder if right == 0 => return Err(BY_ZERO),
            Binary::Divide => left.checked_div(right),
            Binary::Remainder => left.checked_rem(right),
        }
        .ok_or(OVERFLOW)
    }
}

impl Numeric for f64 {
    type Special = Widened;

    fn unary(operator: Unary, operand: Self) -> Result<Self, &'static str> {
        Ok(match operator {
            Unary::Negate => -operand,
            Unary::Magnitude => operand.abs(),
        })
    }

    #[inline]
    fn binary(operator: Binary, left: Self, right: Self) -> Result<Self, &'static str> {
        Ok(match operator {
            Binary::Add => left + right,
            Binary::Subtract => left - right,
            Binary::Multiply => left * right,
            Binary::Divide => left / right,
            Binary::Remainder => left % right,
        })
    }
}

/// Digits of which `scale` stand behind the point, as the nearest double.
#[inline]
pub fn widen(digits: i64, scale: u8) -> f64 {
    // Both are exact up to 2^53, and so the quotient is the nearest.
    digits as f64 / 10f64.powi(i32::from(scale))
}

/// A text, null where a column in it is.
#[derive(Clone, Debug)]
pub enum Text {
    /// The same for every event.
    Constant(String),
    /// That of a column.
    Column(usize),
    /// The first where the test holds, else the second.
    Choice(Box<Test>, Box<[Text; 2]>),
    /// What the interpreter says.
    Foreign(Box<Foreign>),
}

/// A call that the interpreter evaluates, event by event.
#[derive(Clone, Debug)]
pub struct Foreign {
    /// The call; what is not constant in it stands there under a name of its own.
    pub call: IdedExpr,
    /// What these names mean. The call is null where one of them is.
    pub inputs: Vec<(String, Input)>,
    /// How deep calls stand in calls.
    pub depth: usize,
    /// Where it stands.
    pub place: Place,
}

/// What is handed to the interpreter.
#[derive(Clone, Debug)]
pub enum Input {
    /// An integer.
    Integer(Number<i64>),
    /// A double.
    Double(Number<f64>),
    /// A text.
    Text(Text),
    /// True or false; null where the second does not hold.
    Truth(Test, Test),
}
