//! How a condition goes with its counts.
//!
//! While events arrive out of order, counts only grow. A condition that can only become true by that is judged with each event that arrives:
//! once it holds it will hold when all have arrived. Any other one is judged when all have arrived.

use super::{Figure, Remainder, Term};
use crate::plan::{Binary, Relation, Unary};

/// How something goes when counts grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trend {
    /// It stays what it is.
    Constant,
    /// It grows or stays; false is less than true.
    Rising,
    /// It falls or stays.
    Falling,
    /// It may do either.
    Mixed,
}

impl Trend {
    /// That of a condition.
    pub fn of(remainder: &Remainder) -> Self {
        match remainder {
            Remainder::Always(_) | Remainder::Own(_) => Self::Constant,
            Remainder::Not(other) => Self::of(other).opposite(),
            Remainder::All(all) | Remainder::Any(all) => all.iter().map(Self::of).fold(Self::Constant, Self::and),
            Remainder::Same(both) => both.iter().map(Self::of).fold(Self::Constant, Self::and).or_mixed(),
            Remainder::Choice(choice) => {
                let [test, yes, no] = choice.each_ref().map(Self::of);
                test.or_mixed().and(yes).and(no)
            }
            Remainder::Compared(relation, pair) => {
                let [left, right] = pair.each_ref().map(Self::of_term);
                match relation {
                    Relation::Greater | Relation::GreaterOrEqual => left.and(right.opposite()),
                    Relation::Less | Relation::LessOrEqual => left.opposite().and(right),
                    Relation::Equal | Relation::NotEqual => left.and(right).or_mixed(),
                }
            }
            Remainder::In(term, _) => Self::of_term(term).or_mixed(),
        }
    }

    fn of_term(term: &Term) -> Self {
        match term {
            Term::Constant(_) | Term::Own(_) => Self::Constant,
            Term::Count(_) => Self::Rising,
            Term::Unary(Unary::Negate, operand, _) => Self::of_term(operand).opposite(),
            Term::Unary(Unary::Magnitude, operand, _) => Self::of_term(operand).or_mixed(),
            Term::Binary(operator, operands, _) => {
                let [left, right] = operands.each_ref().map(Self::of_term);
                match operator {
                    Binary::Add => left.and(right),
                    Binary::Subtract => left.and(right.opposite()),
                    Binary::Multiply => match operands.each_ref().map(sign) {
                        // A factor that is the same for every event turns the other one around when it is negative.
                        [Some(sign), _] if left == Self::Constant => right.scaled(sign),
                        [_, Some(sign)] if right == Self::Constant => left.scaled(sign),
                        _ => left.and(right).or_mixed(),
                    },
                    Binary::Divide | Binary::Remainder => left.and(right).or_mixed(),
                }
            }
            Term::Choice(test, branches) => {
                let [yes, no] = branches.each_ref().map(Self::of_term);
                Self::of(test).or_mixed().and(yes).and(no)
            }
            Term::Widened(digits, _) => Self::of_term(digits),
        }
    }

    fn opposite(self) -> Self {
        match self {
            Self::Rising => Self::Falling,
            Self::Falling => Self::Rising,
            same => same,
        }
    }

    /// That of what goes with both.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Constant, same) | (same, Self::Constant) => same,
            (a, b) if a == b => a,
            _ => Self::Mixed,
        }
    }

    /// That of what changes in no known direction when this does.
    fn or_mixed(self) -> Self {
        if self == Self::Constant { Self::Constant } else { Self::Mixed }
    }

    fn scaled(self, sign: i8) -> Self {
        match sign {
            0 => Self::Constant,
            1 => self,
            _ => self.opposite(),
        }
    }
}

/// The sign of a number that is the same for every event.
fn sign(term: &Term) -> Option<i8> {
    match term {
        Term::Constant(Figure::Integer(number)) => Some(number.signum() as i8),
        Term::Constant(Figure::Double(number)) if *number == 0.0 => Some(0),
        Term::Constant(Figure::Double(number)) if !number.is_nan() => Some(number.signum() as i8),
        _ => None,
    }
}
