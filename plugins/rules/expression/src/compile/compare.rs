//! Comparisons, and the tests that they are joined to. One with a null does not hold.

use super::decimal::threshold;
use super::value::{Pair, Value};
use crate::place::{Place, Refusal};
use crate::plan::{Number, Relation, Test, Text, TextTest};

impl Test {
    /// All of the tests, as one.
    pub fn all(tests: Vec<Self>) -> Self {
        Self::joined(tests, true, Self::All)
    }

    /// One of the tests, as one.
    pub fn any(tests: Vec<Self>) -> Self {
        Self::joined(tests, false, Self::Any)
    }

    /// Leaves out tests that always come out as `neutral`; one that always comes out as the other decides.
    fn joined(tests: Vec<Self>, neutral: bool, join: fn(Vec<Self>) -> Self) -> Self {
        if tests.iter().any(|test| matches!(test, Self::Always(holds) if *holds != neutral)) {
            return Self::Always(!neutral);
        }
        let mut tests: Vec<_> = tests.into_iter().filter(|test| !matches!(test, Self::Always(_))).collect();
        match tests.len() {
            0 => Self::Always(neutral),
            1 => tests.remove(0),
            _ => join(tests),
        }
    }

    /// What holds of texts.
    pub fn of_texts(test: TextTest) -> Self {
        Self::Texts(Box::new(test))
    }

    /// The opposite.
    pub fn negated(self) -> Self {
        match self {
            Self::Always(holds) => Self::Always(!holds),
            test => Self::Not(Box::new(test)),
        }
    }

    /// `yes` where the test holds, else `no`.
    pub fn choice(test: Self, yes: Self, no: Self) -> Self {
        match (test, yes, no) {
            (Self::Always(true), chosen, _) | (Self::Always(false), _, chosen) => chosen,
            (test, yes, no) => Self::Choice(Box::new([test, yes, no])),
        }
    }
}

impl Relation {
    fn sign(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }
}

/// Whether a value is not null.
pub fn presence(value: Value, place: Place) -> Result<Test, Refusal> {
    match value {
        Value::Truth { present, .. } => Ok(present),
        Value::Text(Text::Column(column)) => Ok(Test::Present(column)),
        Value::Integer(Number::Column(column)) | Value::Decimal(Number::Column(column), _) => Ok(Test::Present(column)),
        Value::Double(Number::Column(column)) => Ok(Test::Present(column)),
        _ => Err(Refusal::new(place, "only columns are null or not")),
    }
}

/// A comparison.
#[inline(never)]
pub fn relation(relation: Relation, left: Value, right: Value, place: Place) -> Result<Test, Refusal> {
    let why = format!("`{}` does not compare {} and {}", relation.sign(), left.kind(), right.kind());
    let equality = matches!(relation, Relation::Equal | Relation::NotEqual);
    let test = match (left, right) {
        (Value::Null, Value::Null) if equality => Some(Test::Always(relation == Relation::Equal)),
        (Value::Null, value) | (value, Value::Null) if equality => {
            let present = presence(value, place)?;
            Some(if relation == Relation::NotEqual { present } else { present.negated() })
        }
        (Value::Truth { holds: a, present: p }, Value::Truth { holds: b, present: q }) if equality => {
            let same = Test::Same(Box::new([a, b]));
            let compared = if relation == Relation::Equal { same } else { same.negated() };
            Some(Test::all(vec![p, q, compared]))
        }
        (Value::Text(a), Value::Text(b)) => Some(match (a, b) {
            (Text::Constant(a), Text::Constant(b)) => Test::Always(relation.holds(&a, &b)),
            (a @ Text::Constant(_), b) => Test::of_texts(TextTest::Compared(relation.flipped(), [b, a])),
            (a, b) => Test::of_texts(TextTest::Compared(relation, [a, b])),
        }),
        // Numbers that are the same for every event stand on the right.
        (left, right) if left.is_constant() && !right.is_constant() => numbers(relation.flipped(), right, left, place),
        (left, right) => numbers(relation, left, right, place),
    };
    test.ok_or_else(|| Refusal::new(place, why))
}

/// A comparison of numbers; nothing when they are none.
fn numbers(relation: Relation, left: Value, right: Value, place: Place) -> Option<Test> {
    match (left, right.digits()) {
        (Value::Integer(n), Some(limit)) if !matches!(n, Number::Constant(_)) => Some(limited(relation, n, 0, limit)),
        (Value::Decimal(n, scale), Some(limit)) => Some(limited(relation, n, scale, limit)),
        (left, _) => Some(match Pair::of(left, right, place)? {
            Pair::Integers([Number::Constant(a), Number::Constant(b)]) => Test::Always(relation.holds(&a, &b)),
            Pair::Doubles([Number::Constant(a), Number::Constant(b)]) => Test::Always(relation.holds(&a, &b)),
            Pair::Integers(pair) | Pair::Decimals(pair, _) => Test::Integers(relation, Box::new(pair)),
            Pair::Doubles(pair) => Test::Doubles(relation, Box::new(pair)),
        }),
    }
}

fn limited(relation: Relation, digits: Number<i64>, scale: u8, limit: (i64, u8)) -> Test {
    let (relation, limit) = threshold(relation, scale, limit);
    Test::Integers(relation, Box::new([digits, limit]))
}

/// Whether a value is one of a list that is written out.
#[inline(never)]
pub fn within(value: Value, elements: Vec<Value>, place: Place) -> Result<Test, Refusal> {
    if let Some(other) =
        elements.iter().find(|element| matches!(element, Value::Null | Value::List(_) | Value::Other(..)))
    {
        return Err(Refusal::new(
            place,
            format!("a list of `in` holds numbers, texts, true or false, not {}", other.kind()),
        ));
    }
    let constant = elements.iter().all(Value::is_constant);
    match (value, constant) {
        (Value::Text(text), true) if elements.iter().all(|element| matches!(element, Value::Text(_))) => {
            let texts = elements.into_iter().filter_map(|element| match element {
                Value::Text(Text::Constant(text)) => Some(text),
                _ => None,
            });
            Ok(Test::of_texts(TextTest::In(text, ascending(texts))))
        }
        (Value::Integer(number), true) if all_digits(&elements) => Ok(number_within(number, 0, &elements)),
        (Value::Decimal(digits, scale), true) if all_digits(&elements) => Ok(number_within(digits, scale, &elements)),
        (value, _) => {
            let equal = |element| relation(Relation::Equal, value.clone(), element, place);
            Ok(Test::any(elements.into_iter().map(equal).collect::<Result<_, _>>()?))
        }
    }
}

fn all_digits(elements: &[Value]) -> bool {
    elements.iter().all(|element| element.digits().is_some())
}

/// Whether digits, of which `scale` stand behind the point, are one of these numbers.
fn number_within(number: Number<i64>, scale: u8, elements: &[Value]) -> Test {
    let equal = elements.iter().filter_map(Value::digits).filter_map(|digits| {
        match threshold(Relation::Equal, scale, digits) {
            (Relation::Equal, Number::Constant(digits)) => Some(digits),
            _ => None,
        }
    });
    Test::IntegerIn(Box::new(number), ascending(equal))
}

fn ascending<T: Ord>(values: impl Iterator<Item = T>) -> Vec<T> {
    let mut values: Vec<T> = values.collect();
    values.sort_unstable();
    values.dedup();
    values
}
