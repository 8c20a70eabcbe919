//! Numbers over the rows of a batch.

use std::borrow::Cow;

use super::{Bits, Evaluation, Gaps, Rows, Truth};
use crate::place::Place;
use crate::plan::{Foreign, IntegerSource, Number, Numeric, Relation, Widened, widen};

/// The values of a number.
pub struct Numbers<'a, T: Clone> {
    /// The values; arbitrary where there are gaps.
    pub values: Values<'a, T>,
    /// Where there is none.
    pub gaps: Gaps<'a>,
}

/// Values of rows.
pub enum Values<'a, T: Clone> {
    /// The same for every row.
    One(T),
    /// One for each row.
    Each(Cow<'a, [T]>),
}

impl<T: Copy> Values<'_, T> {
    /// That of a row.
    #[inline]
    pub fn at(&self, row: usize) -> T {
        match self {
            Self::One(value) => *value,
            Self::Each(values) => values[row],
        }
    }
}

/// A type of numbers whose columns and special sources can be evaluated.
pub trait Evaluated: Numeric {
    /// A column of this type.
    fn column<'a>(rows: &Rows<'a>, column: usize) -> &'a [Self];
    /// What only this type has.
    fn special<'a>(evaluation: &mut Evaluation<'a>, special: &'a Self::Special, among: &Bits) -> Numbers<'a, Self>;
    /// What the interpreter gives.
    fn foreign<'a>(evaluation: &mut Evaluation<'a>, foreign: &'a Foreign, among: &Bits) -> Numbers<'a, Self>;
}

impl Evaluated for i64 {
    fn column<'a>(rows: &Rows<'a>, column: usize) -> &'a [Self] {
        rows.integers(column)
    }

    fn special<'a>(evaluation: &mut Evaluation<'a>, special: &'a IntegerSource, among: &Bits) -> Numbers<'a, Self> {
        match special {
            IntegerSource::Size(text) => {
                let texts = evaluation.texts(text, among);
                let mut sizes = vec![0; among.rows()];
                for row in texts.gaps.known(among).iter() {
                    sizes[row] = texts.values.at(row).chars().count() as i64;
                }
                Numbers { values: Values::Each(Cow::Owned(sizes)), gaps: texts.gaps }
            }
            // What depends on counts is judged event by event.
            IntegerSource::Count(_) => Numbers { values: Values::One(0), gaps: Gaps::default() },
        }
    }

    fn foreign<'a>(evaluation: &mut Evaluation<'a>, foreign: &'a Foreign, among: &Bits) -> Numbers<'a, Self> {
        evaluation.foreign_numbers(foreign, among, |value| match value {
            cel::Value::Int(number) => Some(number),
            _ => None,
        })
    }
}

impl Evaluated for f64 {
    fn column<'a>(rows: &Rows<'a>, column: usize) -> &'a [Self] {
        rows.doubles(column)
    }

    fn special<'a>(evaluation: &mut Evaluation<'a>, special: &'a Widened, among: &Bits) -> Numbers<'a, Self> {
        let Numbers { values, gaps } = evaluation.numbers(&special.digits, among);
        let values = match values {
            Values::One(digits) => Values::One(widen(digits, special.scale)),
            Values::Each(digits) => Values::Each(digits.iter().map(|digits| widen(*digits, special.scale)).collect()),
        };
        Numbers { values, gaps }
    }

    fn foreign<'a>(evaluation: &mut Evaluation<'a>, foreign: &'a Foreign, among: &Bits) -> Numbers<'a, Self> {
        evaluation.foreign_numbers(foreign, among, |value| match value {
            cel::Value::Float(number) => Some(number),
            cel::Value::Int(number) => Some(number as f64),
            _ => None,
        })
    }
}

impl<'a> Evaluation<'a> {
    /// The values of a number.
    pub fn numbers<T: Evaluated>(&mut self, number: &'a Number<T>, among: &Bits) -> Numbers<'a, T> {
        match number {
            Number::Constant(number) => Numbers { values: Values::One(*number), gaps: Gaps::default() },
            Number::Column(column) => {
                let values = Values::Each(Cow::Borrowed(T::column(self.rows, *column)));
                Numbers { values, gaps: Gaps::of_column(self.rows.valid(*column)) }
            }
            Number::Unary(operator, operand, place) => {
                let Numbers { values, gaps } = self.numbers(operand, among);
                self.each_known(gaps, among, *place, |row| T::unary(*operator, values.at(row)))
            }
            Number::Binary(operator, operands, place) => {
                let [left, right] = [0, 1].map(|i| self.numbers(&operands[i], among));
                let (left, right, gaps) = (left.values, right.values, left.gaps.and(right.gaps));
                self.each_known(gaps, among, *place, |row| T::binary(*operator, left.at(row), right.at(row)))
            }
            Number::Choice(test, branches) => {
                let (decided, undecided) = self.decided(test, among);
                let mut chosen = vec![T::default(); among.rows()];
                let (mut valid, mut failed) = (Bits::none(among.rows()), undecided);
                for (branch, among) in branches.iter().zip(&decided) {
                    let Numbers { values, gaps } = self.numbers(branch, among);
                    let known = gaps.known(among);
                    known.iter().for_each(|row| chosen[row] = values.at(row));
                    valid = valid.or(&known);
                    failed = super::either(failed, gaps.failed.map(|failed| failed.and(among)));
                }
                let gaps = Gaps { valid: Some(Cow::Owned(valid)), failed };
                Numbers { values: Values::Each(Cow::Owned(chosen)), gaps }
            }
            Number::Foreign(foreign) => T::foreign(self, foreign, among),
            Number::Special(special) => T::special(self, special, among),
        }
    }

    /// What is computed of rows that have values; those for which it cannot be have failed.
    fn each_known<T: Evaluated>(
        &mut self,
        mut gaps: Gaps<'a>,
        among: &Bits,
        place: Place,
        compute: impl Fn(usize) -> Result<T, &'static str>,
    ) -> Numbers<'a, T> {
        let mut values = vec![T::default(); among.rows()];
        let mut failed = None;
        for row in gaps.known(among).iter() {
            match compute(row) {
                Ok(value) => values[row] = value,
                Err(why) => {
                    failed.get_or_insert_with(|| Bits::none(among.rows())).insert(row);
                    self.fail(row, place, why);
                }
            }
        }
        gaps.failed = super::either(gaps.failed, failed);
        Numbers { values: Values::Each(Cow::Owned(values)), gaps }
    }

    /// Compares two numbers. The relation and where the values come from are settled before the rows are gone through.
    pub(super) fn compare<T: Evaluated>(
        &mut self,
        relation: Relation,
        pair: &'a [Number<T>; 2],
        among: &Bits,
    ) -> Truth {
        let [left, right] = [0, 1].map(|i| self.numbers(&pair[i], among));
        let gaps = left.gaps.and(right.gaps);
        match (&left.values, &right.values) {
            (Values::Each(left), Values::One(right)) => each(relation, gaps, among, left, |_| *right),
            (Values::Each(left), Values::Each(right)) => each(relation, gaps, among, left, |row| right[row]),
            (left, right) => gaps.test(among, |row| relation.holds(&left.at(row), &right.at(row))),
        }
    }
}

#[inline]
fn each<T: Numeric>(relation: Relation, gaps: Gaps<'_>, among: &Bits, left: &[T], right: impl Fn(usize) -> T) -> Truth {
    match relation {
        Relation::Equal => gaps.test(among, |row| left[row] == right(row)),
        Relation::NotEqual => gaps.test(among, |row| left[row] != right(row)),
        Relation::Less => gaps.test(among, |row| left[row] < right(row)),
        Relation::LessOrEqual => gaps.test(among, |row| left[row] <= right(row)),
        Relation::Greater => gaps.test(among, |row| left[row] > right(row)),
        Relation::GreaterOrEqual => gaps.test(among, |row| left[row] >= right(row)),
    }
}
