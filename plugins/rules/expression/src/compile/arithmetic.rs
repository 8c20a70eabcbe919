//! Arithmetic on numbers of any types, in the first of integer, decimal and double that holds both.

use super::decimal::SCALE_MAX;
use super::value::{Counting, Kind, Pair, Value};
use crate::place::{Place, Refusal};
use crate::plan::{Binary, Number, Numeric, Relation, Test, Unary};

impl Binary {
    fn sign(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
        }
    }
}

/// An operator with one operand.
#[inline(never)]
pub fn unary(operator: Unary, operand: Value, place: Place) -> Result<Value, Refusal> {
    match operand {
        Value::Integer(number) => Ok(Value::Integer(fold_unary(operator, number, place)?)),
        Value::Decimal(digits, scale) => Ok(Value::Decimal(fold_unary(operator, digits, place)?, scale)),
        Value::Double(number) => Ok(Value::Double(fold_unary(operator, number, place)?)),
        other => {
            let name = match operator {
                Unary::Negate => "-",
                Unary::Magnitude => "math.abs",
            };
            Err(Refusal::new(place, format!("`{name}` takes a number, not {}", other.kind())))
        }
    }
}

/// An operator with two operands.
#[inline(never)]
pub fn binary(operator: Binary, left: Value, right: Value, place: Place) -> Result<Value, Refusal> {
    let kinds = (left.kind(), right.kind());
    let refuse = |why: String| Err(Refusal::new(place, why));
    if matches!(operator, Binary::Divide | Binary::Remainder) && (left.counts() || right.counts()) {
        return refuse("counts are not divided, for they can be 0: multiply the other side".to_owned());
    }
    match (operator, &left, &right) {
        (Binary::Multiply, Value::Decimal(..), _) | (Binary::Multiply, _, Value::Decimal(..)) => {
            if let Some(product) = decimal_product(&left, &right, place)? {
                return Ok(product);
            }
        }
        // The quotient of decimals has as many digits as it likes.
        (Binary::Divide, Value::Decimal(..), _) | (Binary::Divide, _, Value::Decimal(..)) => {
            if let (Some(left), Some(right)) = (left.clone().widened(), right.clone().widened()) {
                return Ok(Value::Double(fold(operator, left, right, place)?));
            }
        }
        _ => {}
    }
    let pair = if matches!(operator, Binary::Multiply) && (kinds.0 == Kind::Decimal || kinds.1 == Kind::Decimal) {
        left.widened().zip(right.widened()).map(|(left, right)| Pair::Doubles([left, right]))
    } else {
        Pair::of(left, right, place)
    };
    match pair {
        Some(Pair::Integers([left, right])) => Ok(Value::Integer(fold(operator, left, right, place)?)),
        Some(Pair::Decimals(..)) if operator == Binary::Remainder => {
            refuse("`%` is for integers, not for decimals".to_owned())
        }
        Some(Pair::Doubles(..)) if operator == Binary::Remainder => {
            refuse("`%` is for integers, not for doubles".to_owned())
        }
        Some(Pair::Decimals([left, right], scale)) => Ok(Value::Decimal(fold(operator, left, right, place)?, scale)),
        Some(Pair::Doubles([left, right])) => Ok(Value::Double(fold(operator, left, right, place)?)),
        None => refuse(format!("`{}` does not take {} and {}", operator.sign(), kinds.0, kinds.1)),
    }
}

/// The product of a decimal and a number whose digits are known, as a decimal; nothing when it would have too many of them.
fn decimal_product(left: &Value, right: &Value, place: Place) -> Result<Option<Value>, Refusal> {
    let digits = |value: &Value| match value {
        Value::Integer(digits) => Some((digits.clone(), 0)),
        Value::Decimal(digits, scale) => Some((digits.clone(), *scale)),
        literal => literal.digits().map(|(digits, scale)| (Number::Constant(digits), scale)),
    };
    let (Some((left, s)), Some((right, t))) = (digits(left), digits(right)) else { return Ok(None) };
    if s + t > SCALE_MAX {
        return Ok(None);
    }
    Ok(Some(Value::Decimal(fold(Binary::Multiply, left, right, place)?, s + t)))
}

fn fold_unary<T: Numeric>(operator: Unary, operand: Number<T>, place: Place) -> Result<Number<T>, Refusal> {
    match operand {
        Number::Constant(number) => {
            T::unary(operator, number).map(Number::Constant).map_err(|why| Refusal::new(place, why))
        }
        operand => Ok(Number::Unary(operator, Box::new(operand), place)),
    }
}

fn fold<T: Numeric>(operator: Binary, left: Number<T>, right: Number<T>, place: Place) -> Result<Number<T>, Refusal> {
    match (left, right) {
        (Number::Constant(left), Number::Constant(right)) => {
            T::binary(operator, left, right).map(Number::Constant).map_err(|why| Refusal::new(place, why))
        }
        (left, right) => Ok(Number::Binary(operator, Box::new([left, right]), place)),
    }
}

/// The first number where the test holds, else the second.
pub fn choice(test: Test, pair: Pair) -> Value {
    fn of<T: Numeric>(test: Test, branches: [Number<T>; 2]) -> Number<T> {
        Number::Choice(Box::new(test), Box::new(branches))
    }
    match pair {
        Pair::Integers(branches) => Value::Integer(of(test, branches)),
        Pair::Decimals(branches, scale) => Value::Decimal(of(test, branches), scale),
        Pair::Doubles(branches) => Value::Double(of(test, branches)),
    }
}

/// Whether precisely one of the tests holds.
pub fn exactly_one(tests: Vec<Test>, place: Place) -> Test {
    let one_or_none = |test| Number::Choice(Box::new(test), Box::new([Number::Constant(1), Number::Constant(0)]));
    let sum = tests
        .into_iter()
        .map(one_or_none)
        .reduce(|sum, next| Number::Binary(Binary::Add, Box::new([sum, next]), place));
    match sum {
        Some(sum) => Test::Integers(Relation::Equal, Box::new([sum, Number::Constant(1)])),
        None => Test::Always(false),
    }
}
