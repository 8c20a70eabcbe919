//! What a condition over counts leaves to be decided, event by event, once everything that depends on an event's own columns is known.
//!
//! The condition is split: each part without counts is evaluated over the columns when the event arrives, and what remains is a small tree
//! over the results and the counts.

mod split;
mod trend;

pub use split::{Own, Split};
pub use trend::Trend;

use crate::place::Place;
use crate::plan::{Binary, Numeric, Relation, Unary, widen};

/// A condition over counts and what is known of an event.
#[derive(Clone, Debug)]
pub enum Remainder {
    /// The same for every event.
    Always(bool),
    /// A test of the event that is known.
    Own(usize),
    /// The other one does not hold.
    Not(Box<Remainder>),
    /// All hold.
    All(Vec<Remainder>),
    /// One of them holds.
    Any(Vec<Remainder>),
    /// Both hold, or neither.
    Same(Box<[Remainder; 2]>),
    /// The second where the first holds, else the third.
    Choice(Box<[Remainder; 3]>),
    /// Two numbers of one type compared.
    Compared(Relation, Box<[Term; 2]>),
    /// One of these integers, ascending.
    In(Term, Vec<i64>),
}

/// A number over counts and what is known of an event.
#[derive(Clone, Debug)]
pub enum Term {
    /// The same for every event.
    Constant(Figure),
    /// A number of the event that is known.
    Own(usize),
    /// A count.
    Count(usize),
    /// An operator with one operand.
    Unary(Unary, Box<Term>, Place),
    /// An operator with two operands of one type.
    Binary(Binary, Box<[Term; 2]>, Place),
    /// The first where the condition holds, else the second.
    Choice(Box<Remainder>, Box<[Term; 2]>),
    /// An integer, of which so many digits stand behind the point, as a double.
    Widened(Box<Term>, u8),
}

/// A number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Figure {
    /// An integer, or the digits of a decimal.
    Integer(i64),
    /// A double.
    Double(f64),
}

/// What is known of an event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Known {
    /// Whether a test holds.
    Truth(bool),
    /// A number; none where it is null.
    Figure(Option<Figure>),
    /// It cannot be evaluated; where in the condition.
    Failed(Place),
}

/// Why it is not known what a condition comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// It cannot be evaluated; where.
    Failed(Place),
    /// It depends on counts that are not known.
    Counts,
}

type Evaluated<T> = Result<T, Unknown>;

/// An event that is judged: what is known of it, and how many events each count counts in the window that ends at it.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'s> {
    /// By the index of [`Own`].
    pub known: &'s [Known],
    /// By the index of the count; empty when they are not known.
    pub counts: &'s [i64],
}

impl Remainder {
    /// Whether it holds. Without counts: whether it does whatever they are, or fails whatever they are.
    pub fn holds(&self, subject: Subject<'_>) -> Evaluated<bool> {
        Ok(match self {
            Self::Always(holds) => *holds,
            Self::Own(index) => match subject.known[*index] {
                Known::Truth(holds) => holds,
                Known::Failed(place) => return Err(Unknown::Failed(place)),
                Known::Figure(_) => false,
            },
            Self::Not(other) => !other.holds(subject)?,
            Self::All(all) => decided(all, subject, false)?,
            Self::Any(any) => decided(any, subject, true)?,
            Self::Same(pair) => {
                let (left, right) = both(pair[0].holds(subject), pair[1].holds(subject))?;
                left == right
            }
            Self::Choice(choice) => {
                let [test, yes, no] = &**choice;
                chosen(test.holds(subject), || yes.holds(subject), || no.holds(subject))?
            }
            Self::Compared(relation, pair) => match both(pair[0].figure(subject), pair[1].figure(subject))? {
                (Some(Figure::Integer(left)), Some(Figure::Integer(right))) => relation.holds(&left, &right),
                (Some(Figure::Double(left)), Some(Figure::Double(right))) => relation.holds(&left, &right),
                // A null; types are the same by construction.
                _ => false,
            },
            Self::In(term, list) => match term.figure(subject)? {
                Some(Figure::Integer(integer)) => list.binary_search(&integer).is_ok(),
                _ => false,
            },
        })
    }
}

/// Whether one of them comes out as `decisive`, which decides whatever cannot be evaluated.
fn decided(all: &[Remainder], subject: Subject<'_>, decisive: bool) -> Evaluated<bool> {
    let mut unknown = None;
    for one in all {
        match one.holds(subject) {
            Ok(holds) if holds == decisive => return Ok(decisive),
            Ok(_) => {}
            // Counts may decide yet.
            Err(why) => unknown = if why == Unknown::Counts { Some(why) } else { unknown.or(Some(why)) },
        }
    }
    unknown.map_or(Ok(!decisive), Err)
}

/// Two of which both are needed: that one cannot be evaluated decides, whatever counts are.
#[inline]
fn both<T>(left: Evaluated<T>, right: Evaluated<T>) -> Evaluated<(T, T)> {
    match (left, right) {
        (Ok(left), Ok(right)) => Ok((left, right)),
        (Err(failed @ Unknown::Failed(_)), _) | (_, Err(failed)) | (Err(failed), _) => Err(failed),
    }
}

/// The first where the test holds, else the second.
fn chosen<T>(
    test: Evaluated<bool>,
    yes: impl FnOnce() -> Evaluated<T>,
    no: impl FnOnce() -> Evaluated<T>,
) -> Evaluated<T> {
    match test {
        Ok(true) => yes(),
        Ok(false) => no(),
        Err(Unknown::Counts) => match (yes(), no()) {
            (Err(failed @ Unknown::Failed(_)), Err(Unknown::Failed(_))) => Err(failed),
            _ => Err(Unknown::Counts),
        },
        Err(failed) => Err(failed),
    }
}

impl Term {
    /// Its value; none where a number in it is null.
    fn figure(&self, subject: Subject<'_>) -> Evaluated<Option<Figure>> {
        Ok(match self {
            Self::Constant(figure) => Some(*figure),
            Self::Own(index) => match subject.known[*index] {
                Known::Figure(figure) => figure,
                Known::Failed(place) => return Err(Unknown::Failed(place)),
                Known::Truth(_) => None,
            },
            Self::Count(index) => Some(Figure::Integer(*subject.counts.get(*index).ok_or(Unknown::Counts)?)),
            Self::Unary(operator, operand, place) => match operand.figure(subject)? {
                Some(Figure::Integer(operand)) => Some(Figure::Integer(at(*place, i64::unary(*operator, operand))?)),
                Some(Figure::Double(operand)) => Some(Figure::Double(at(*place, f64::unary(*operator, operand))?)),
                None => None,
            },
            Self::Binary(operator, operands, place) => {
                match both(operands[0].figure(subject), operands[1].figure(subject))? {
                    (Some(Figure::Integer(a)), Some(Figure::Integer(b))) => {
                        Some(Figure::Integer(at(*place, i64::binary(*operator, a, b))?))
                    }
                    (Some(Figure::Double(a)), Some(Figure::Double(b))) => {
                        Some(Figure::Double(at(*place, f64::binary(*operator, a, b))?))
                    }
                    _ => None,
                }
            }
            Self::Choice(test, branches) => {
                chosen(test.holds(subject), || branches[0].figure(subject), || branches[1].figure(subject))?
            }
            Self::Widened(digits, scale) => match digits.figure(subject)? {
                Some(Figure::Integer(digits)) => Some(Figure::Double(widen(digits, *scale))),
                other => other,
            },
        })
    }
}

fn at<T>(place: Place, computed: Result<T, &'static str>) -> Evaluated<T> {
    computed.map_err(|_| Unknown::Failed(place))
}
