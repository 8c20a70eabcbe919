//! Splitting a condition into what an event's own columns say and what counts decide.

use super::{Figure, Remainder, Term, Trend};
use crate::compile::Counting;
use crate::plan::{IntegerSource, Number, Numeric, Relation, Test, Widened};

/// A part of a condition that an event's own columns say.
#[derive(Clone, Debug)]
pub enum Own {
    /// A test.
    Test(Test),
    /// An integer, or the digits of a decimal.
    Integer(Number<i64>),
    /// A double.
    Double(Number<f64>),
}

/// A condition, split.
#[derive(Clone, Debug)]
pub struct Split {
    /// What counts decide.
    pub remainder: Remainder,
    /// What is evaluated when an event arrives.
    pub own: Vec<Own>,
    /// Whether the first of these is a test without which the condition never holds.
    pub gated: bool,
    /// How the condition goes with its counts.
    pub trend: Trend,
}

impl Split {
    /// Splits a condition.
    pub fn of(condition: Test) -> Self {
        let mut own = Vec::new();
        let remainder = remainder(condition, &mut own);
        let gated = match &remainder {
            Remainder::Own(_) => true,
            Remainder::All(all) => matches!(all.first(), Some(Remainder::Own(_))),
            _ => false,
        };
        let trend = Trend::of(&remainder);
        Self { remainder, own, gated, trend }
    }
}

fn remainder(test: Test, own: &mut Vec<Own>) -> Remainder {
    if let Test::Always(holds) = test {
        return Remainder::Always(holds);
    }
    if !test.counts() {
        own.push(Own::Test(test));
        return Remainder::Own(own.len() - 1);
    }
    match test {
        Test::Not(other) => Remainder::Not(Box::new(remainder(*other, own))),
        Test::All(all) => Remainder::All(joined(all, Test::all, own)),
        Test::Any(any) => Remainder::Any(joined(any, Test::any, own)),
        Test::Same(both) => Remainder::Same(Box::new((*both).map(|test| remainder(test, own)))),
        Test::Choice(choice) => Remainder::Choice(Box::new((*choice).map(|test| remainder(test, own)))),
        Test::Integers(relation, pair) => compared(relation, (*pair).map(|number| integer(number, own))),
        Test::Doubles(relation, pair) => compared(relation, (*pair).map(|number| double(number, own))),
        Test::IntegerIn(number, list) => Remainder::In(integer(*number, own), list),
        Test::Always(_) | Test::Flag(_) | Test::Present(_) | Test::Texts(_) | Test::Foreign(_) => {
            unreachable!("no count is in it")
        }
    }
}

/// What of a chain has no counts is one test of the event.
fn joined(tests: Vec<Test>, join: fn(Vec<Test>) -> Test, own: &mut Vec<Own>) -> Vec<Remainder> {
    let (counting, plain): (Vec<_>, Vec<_>) = tests.into_iter().partition(Counting::counts);
    let plain = if plain.is_empty() { None } else { Some(remainder(join(plain), own)) };
    plain.into_iter().chain(counting.into_iter().map(|test| remainder(test, own)).collect::<Vec<_>>()).collect()
}

fn compared(relation: Relation, pair: [Term; 2]) -> Remainder {
    Remainder::Compared(relation, Box::new(pair))
}

fn integer(number: Number<i64>, own: &mut Vec<Own>) -> Term {
    term(number, own, Figure::Integer, Own::Integer, |special, _| match special {
        IntegerSource::Count(index) => Term::Count(index),
        IntegerSource::Size(_) => unreachable!("no count is in it"),
    })
}

fn double(number: Number<f64>, own: &mut Vec<Own>) -> Term {
    term(number, own, Figure::Double, Own::Double, |Widened { digits, scale }, own| {
        Term::Widened(Box::new(integer(digits, own)), scale)
    })
}

fn term<T: Numeric>(
    number: Number<T>,
    own: &mut Vec<Own>,
    figure: fn(T) -> Figure,
    known: fn(Number<T>) -> Own,
    special: fn(T::Special, &mut Vec<Own>) -> Term,
) -> Term
where
    T::Special: Counting,
{
    if let Number::Constant(constant) = number {
        return Term::Constant(figure(constant));
    }
    if !number.counts() {
        own.push(known(number));
        return Term::Own(own.len() - 1);
    }
    match number {
        Number::Unary(operator, operand, place) => {
            Term::Unary(operator, Box::new(term(*operand, own, figure, known, special)), place)
        }
        Number::Binary(operator, operands, place) => {
            let operands = (*operands).map(|operand| term(operand, own, figure, known, special));
            Term::Binary(operator, Box::new(operands), place)
        }
        Number::Choice(test, branches) => {
            let test = remainder(*test, own);
            Term::Choice(Box::new(test), Box::new((*branches).map(|branch| term(branch, own, figure, known, special))))
        }
        Number::Special(source) => special(*source, own),
        Number::Constant(_) | Number::Column(_) | Number::Foreign(_) => unreachable!("no count is in it"),
    }
}
