//! Typed values while a condition is compiled.

use std::fmt;

use super::decimal;
use crate::place::Place;
use crate::plan::{Binary, Foreign, IntegerSource, Number, Numeric, Test, Text, Widened, widen};

/// A part of an expression, with its type.
#[derive(Clone, Debug)]
pub enum Value {
    /// `null`.
    Null,
    /// True or false; null where `present` does not hold.
    Truth {
        /// Whether it is true.
        holds: Test,
        /// Whether it is not null.
        present: Test,
    },
    /// An integer.
    Integer(Number<i64>),
    /// A decimal: its digits, and how many of them stand behind the point.
    Decimal(Number<i64>, u8),
    /// A double. A literal is exact where it meets a decimal.
    Double(Number<f64>),
    /// A text.
    Text(Text),
    /// A list that is written out.
    List(Vec<Value>),
    /// A list or map that only the interpreter knows.
    Other(Box<Foreign>, Kind),
}

/// The type of a value, in the words of the documentation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `null`.
    Null,
    /// True or false.
    Truth,
    /// 64 bits.
    Integer,
    /// An amount and what is made of amounts.
    Decimal,
    /// IEEE 754.
    Double,
    /// UTF-8.
    Text,
    /// A list of values of a type.
    List(Box<Kind>),
    /// A map from values of a type to those of another.
    Map(Box<Kind>, Box<Kind>),
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Truth => f.write_str("true or false"),
            Self::Integer => f.write_str("an integer"),
            Self::Decimal => f.write_str("a decimal"),
            Self::Double => f.write_str("a double"),
            Self::Text => f.write_str("a text"),
            Self::List(_) => f.write_str("a list"),
            Self::Map(..) => f.write_str("a map"),
        }
    }
}

impl Value {
    /// A condition that is never null.
    pub fn truth(holds: Test) -> Self {
        Self::Truth { holds, present: Test::Always(true) }
    }

    /// Its type. A list whose elements have different types is one of nulls.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Null => Kind::Null,
            Self::Truth { .. } => Kind::Truth,
            Self::Integer(_) => Kind::Integer,
            Self::Decimal(..) => Kind::Decimal,
            Self::Double(_) => Kind::Double,
            Self::Text(_) => Kind::Text,
            Self::List(elements) => {
                let mut kinds = elements.iter().map(Self::kind);
                let first = kinds.next().unwrap_or(Kind::Null);
                Kind::List(Box::new(if kinds.all(|kind| kind == first) { first } else { Kind::Null }))
            }
            Self::Other(_, kind) => kind.clone(),
        }
    }

    /// Whether it is the same for every event.
    pub fn is_constant(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Truth { holds, .. } => matches!(holds, Test::Always(_)),
            Self::Integer(n) | Self::Decimal(n, _) => matches!(n, Number::Constant(_)),
            Self::Double(n) => matches!(n, Number::Constant(_)),
            Self::Text(text) => matches!(text, Text::Constant(_)),
            Self::List(elements) => elements.iter().all(Self::is_constant),
            Self::Other(foreign, _) => foreign.inputs.is_empty(),
        }
    }

    /// A number that is the same for every event, as digits and how many of them stand behind the point.
    pub fn digits(&self) -> Option<(i64, u8)> {
        match self {
            Self::Integer(Number::Constant(n)) => Some((*n, 0)),
            Self::Decimal(Number::Constant(n), scale) => Some((*n, *scale)),
            Self::Double(Number::Constant(n)) => decimal::digits(*n),
            _ => None,
        }
    }

    /// It as a double, if it is a number.
    pub fn widened(self) -> Option<Number<f64>> {
        let widened = |digits, scale| match digits {
            Number::Constant(digits) => Number::Constant(widen(digits, scale)),
            digits => Number::Special(Box::new(Widened { digits, scale })),
        };
        match self {
            Self::Integer(digits) => Some(widened(digits, 0)),
            Self::Decimal(digits, scale) => Some(widened(digits, scale)),
            Self::Double(number) => Some(number),
            _ => None,
        }
    }
}

/// Two numbers of one type.
#[derive(Clone, Debug)]
pub enum Pair {
    /// Integers.
    Integers([Number<i64>; 2]),
    /// Decimals, and how many digits of both stand behind the point.
    Decimals([Number<i64>; 2], u8),
    /// Doubles.
    Doubles([Number<f64>; 2]),
}

impl Pair {
    /// Two numbers brought to one type: integer, else decimal, else double. Nothing when one is no number.
    pub fn of(left: Value, right: Value, place: Place) -> Option<Self> {
        use Value::{Decimal, Double, Integer};
        let exact = |literal: &Value, decimals: bool| if decimals { literal.digits() } else { None };
        match (left, right) {
            (Integer(a), Integer(b)) => Some(Self::Integers([a, b])),
            (Decimal(a, s), Decimal(b, t)) => Some(Self::decimals((a, s), (b, t), place)),
            (Decimal(a, s), Integer(b)) => Some(Self::decimals((a, s), (b, 0), place)),
            (Integer(a), Decimal(b, t)) => Some(Self::decimals((a, 0), (b, t), place)),
            (left, right) => {
                let (decimal_left, decimal_right) = (matches!(left, Decimal(..)), matches!(right, Decimal(..)));
                match (left, right) {
                    (Decimal(a, s), literal @ Double(_)) if exact(&literal, decimal_left).is_some() => {
                        let (b, t) = literal.digits()?;
                        Some(Self::decimals((a, s), (Number::Constant(b), t), place))
                    }
                    (literal @ Double(_), Decimal(b, t)) if exact(&literal, decimal_right).is_some() => {
                        let (a, s) = literal.digits()?;
                        Some(Self::decimals((Number::Constant(a), s), (b, t), place))
                    }
                    (left, right) => Some(Self::Doubles([left.widened()?, right.widened()?])),
                }
            }
        }
    }

    fn decimals(left: (Number<i64>, u8), right: (Number<i64>, u8), place: Place) -> Self {
        let scale = left.1.max(right.1);
        let rescaled = |(digits, from): (Number<i64>, u8)| rescaled(digits, scale - from, place);
        Self::Decimals([rescaled(left), rescaled(right)], scale)
    }
}

/// Digits with so many zeros behind them.
fn rescaled(digits: Number<i64>, zeros: u8, place: Place) -> Number<i64> {
    if zeros == 0 {
        return digits;
    }
    let factor = 10i64.pow(u32::from(zeros));
    let constant = match &digits {
        Number::Constant(digits) => digits.checked_mul(factor),
        _ => None,
    };
    let multiply = |digits| Number::Binary(Binary::Multiply, Box::new([digits, Number::Constant(factor)]), place);
    constant.map_or_else(|| multiply(digits), Number::Constant)
}

/// Whether a declared count is in it.
pub trait Counting {
    /// Whether a declared count is in it.
    fn counts(&self) -> bool;
}

impl Counting for Test {
    fn counts(&self) -> bool {
        match self {
            Self::Always(_) | Self::Flag(_) | Self::Present(_) => false,
            Self::Not(test) => test.counts(),
            Self::All(tests) | Self::Any(tests) => tests.iter().any(Self::counts),
            Self::Same(tests) => tests.iter().any(Self::counts),
            Self::Choice(tests) => tests.iter().any(Self::counts),
            Self::Integers(_, pair) => pair.iter().any(Counting::counts),
            Self::Doubles(_, pair) => pair.iter().any(Counting::counts),
            Self::IntegerIn(number, _) => number.counts(),
            // Counts are refused in texts and in calls.
            Self::Texts(_) | Self::Foreign(_) => false,
        }
    }
}

impl<T: Numeric> Counting for Number<T>
where
    T::Special: Counting,
{
    fn counts(&self) -> bool {
        match self {
            Self::Constant(_) | Self::Column(_) | Self::Foreign(_) => false,
            Self::Unary(_, operand, _) => operand.counts(),
            Self::Binary(_, operands, _) => operands.iter().any(Self::counts),
            Self::Choice(test, branches) => test.counts() || branches.iter().any(Self::counts),
            Self::Special(special) => special.counts(),
        }
    }
}

impl Counting for IntegerSource {
    fn counts(&self) -> bool {
        matches!(self, Self::Count(_))
    }
}

impl Counting for Widened {
    fn counts(&self) -> bool {
        self.digits.counts()
    }
}

impl Counting for Value {
    fn counts(&self) -> bool {
        match self {
            Self::Truth { holds, .. } => holds.counts(),
            Self::Integer(number) | Self::Decimal(number, _) => number.counts(),
            Self::Double(number) => number.counts(),
            Self::List(elements) => elements.iter().any(Self::counts),
            Self::Null | Self::Text(_) | Self::Other(..) => false,
        }
    }
}
