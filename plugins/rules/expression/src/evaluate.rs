//! A plan over the columns of a batch: each test is applied to all rows at once, but only to those that the tests before it leave open.

mod bits;
mod failures;
mod foreign;
mod numbers;
mod rows;
mod texts;

use std::borrow::Cow;

pub use bits::Bits;
use failures::Failure;
pub use failures::Failures;
pub use foreign::Interpreter;
pub use numbers::Values as NumberValues;
use numbers::{Evaluated, Numbers};
pub use rows::Rows;

use crate::place::Place;
use crate::plan::{Number, Test};

/// Where a test holds, and where it cannot be evaluated; elsewhere it does not hold.
#[derive(Clone, Debug)]
pub struct Truth {
    /// The rows for which it holds.
    pub holds: Bits,
    /// Those for which it cannot be evaluated.
    pub failed: Option<Bits>,
}

impl Truth {
    fn of(holds: Bits) -> Self {
        Self { holds, failed: None }
    }

    /// The rows for which it holds or may.
    fn open(&self) -> Cow<'_, Bits> {
        match &self.failed {
            Some(failed) => Cow::Owned(self.holds.or(failed)),
            None => Cow::Borrowed(&self.holds),
        }
    }

    /// The rows of `among` for which it does not hold.
    fn denied(&self, among: &Bits) -> Bits {
        among.without(&self.open())
    }
}

/// Where a value is null, and where it cannot be computed. The second wins.
#[derive(Clone, Debug, Default)]
pub struct Gaps<'a> {
    /// Where it is not null; nothing when it is null nowhere.
    valid: Option<Cow<'a, Bits>>,
    failed: Option<Bits>,
}

impl<'a> Gaps<'a> {
    fn of_column(valid: Option<&'a Bits>) -> Self {
        Self { valid: valid.map(Cow::Borrowed), failed: None }
    }

    /// Those of a value that is made of two.
    fn and(self, other: Self) -> Self {
        let valid = match (self.valid, other.valid) {
            (Some(a), Some(b)) => Some(Cow::Owned(a.and(&b))),
            (a, b) => a.or(b),
        };
        Self { valid, failed: either(self.failed, other.failed) }
    }

    /// The rows of `among` that have a value.
    fn known<'b>(&self, among: &'b Bits) -> Cow<'b, Bits> {
        let mut known = Cow::Borrowed(among);
        if let Some(valid) = &self.valid {
            known = Cow::Owned(known.and(valid));
        }
        if let Some(failed) = &self.failed {
            known = Cow::Owned(known.without(failed));
        }
        known
    }

    /// A test of the rows that have a value.
    fn test(self, among: &Bits, holds: impl FnMut(usize) -> bool) -> Truth {
        let holds = self.known(among).filter(holds);
        Truth { holds, failed: self.failed.map(|failed| failed.and(among)) }
    }
}

/// The rows of either.
fn either(a: Option<Bits>, b: Option<Bits>) -> Option<Bits> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.or(&b)),
        (a, b) => a.or(b),
    }
}

/// The evaluation of plans over one batch.
pub struct Evaluation<'a> {
    rows: &'a Rows<'a>,
    interpreter: &'a Interpreter,
    failures: Vec<Failure>,
}

impl<'a> Evaluation<'a> {
    /// Of plans over these rows.
    pub fn new(rows: &'a Rows<'a>, interpreter: &'a Interpreter) -> Self {
        Self { rows, interpreter, failures: Vec::new() }
    }

    /// For which rows of `among` the test holds. An error says where and why it cannot be evaluated for the first row of those for
    /// which it cannot.
    pub fn holds(&mut self, test: &'a Test, among: &Bits) -> Result<Bits, String> {
        let (holds, failures) = self.tested(test, among);
        failures.iter().next().map_or(Ok(holds), |failure| Err(failure.to_string()))
    }

    /// For which rows of `among` the test holds, and for which it cannot be evaluated.
    pub fn tested(&mut self, test: &'a Test, among: &Bits) -> (Bits, Failures) {
        let Truth { holds, failed } = self.truth(test, among);
        (holds, self.failures_of(failed.as_ref()))
    }

    /// The values of a number, for which rows of `among` there is one, and for which it cannot be computed.
    pub fn computed<T: Evaluated>(
        &mut self,
        number: &'a Number<T>,
        among: &Bits,
    ) -> (NumberValues<'a, T>, Bits, Failures) {
        let Numbers { values, gaps } = self.numbers(number, among);
        let known = gaps.known(among).into_owned();
        (values, known, self.failures_of(gaps.failed.as_ref()))
    }

    fn failures_of(&mut self, failed: Option<&Bits>) -> Failures {
        Failures::of(std::mem::take(&mut self.failures), failed)
    }

    fn fail(&mut self, row: usize, place: Place, why: impl Into<Cow<'static, str>>) {
        self.failures.push(Failure { row, place, why: why.into() });
    }

    fn truth(&mut self, test: &'a Test, among: &Bits) -> Truth {
        match test {
            Test::Always(true) => Truth::of(among.clone()),
            Test::Always(false) => Truth::of(Bits::none(among.rows())),
            Test::Flag(column) => {
                let flags = self.rows.flags(*column);
                Gaps::of_column(self.rows.valid(*column)).test(among, |row| flags[row] != 0)
            }
            Test::Present(column) => {
                Truth::of(self.rows.valid(*column).map_or_else(|| among.clone(), |valid| among.and(valid)))
            }
            Test::Not(test) => {
                let truth = self.truth(test, among);
                Truth { holds: truth.denied(among), failed: truth.failed }
            }
            Test::All(tests) => self.all(tests, among),
            Test::Any(tests) => self.any(tests, among),
            Test::Same(tests) => {
                let [a, b] = [0, 1].map(|i| self.truth(&tests[i], among));
                let failed = either(a.failed, b.failed);
                let same = among.without(&a.holds.xor(&b.holds));
                let holds = failed.as_ref().map_or_else(|| same.clone(), |failed| same.without(failed));
                Truth { holds, failed }
            }
            Test::Choice(tests) => {
                let [test, yes, no] = &**tests;
                let (test, failed) = self.decided(test, among);
                let (yes, no) = (self.truth(yes, &test[0]), self.truth(no, &test[1]));
                let failed = either(failed, either(yes.failed, no.failed));
                Truth { holds: yes.holds.or(&no.holds), failed }
            }
            Test::Integers(relation, pair) => self.compare(*relation, pair, among),
            Test::Doubles(relation, pair) => self.compare(*relation, pair, among),
            Test::IntegerIn(number, list) => {
                let Numbers { values, gaps } = self.numbers(number, among);
                gaps.test(among, |row| list.binary_search(&values.at(row)).is_ok())
            }
            Test::Texts(test) => self.text_test(test, among),
            Test::Foreign(foreign) => self.foreign_truth(foreign, among),
        }
    }

    /// Goes on with the rows for which all tests hold so far, or may.
    fn all(&mut self, tests: &'a [Test], among: &Bits) -> Truth {
        let (mut open, mut failed) = (Cow::Borrowed(among), None);
        for test in tests {
            let truth = self.truth(test, &open);
            open = Cow::Owned(truth.open().into_owned());
            failed = either(failed, truth.failed);
            if open.is_empty() {
                break;
            }
        }
        // One that does not hold decides, whatever has failed.
        let failed = failed.map(|failed| failed.and(&open));
        let holds = failed.as_ref().map_or_else(|| open.clone().into_owned(), |failed| open.without(failed));
        Truth { holds, failed }
    }

    /// Goes on with the rows for which none holds so far.
    fn any(&mut self, tests: &'a [Test], among: &Bits) -> Truth {
        let (mut open, mut failed) = (Cow::Borrowed(among), None);
        for test in tests {
            let truth = self.truth(test, &open);
            open = Cow::Owned(open.without(&truth.holds));
            failed = either(failed, truth.failed);
            if open.is_empty() {
                break;
            }
        }
        let holds = among.without(&open);
        Truth { holds, failed: failed.map(|failed| failed.and(&open)) }
    }

    /// The rows for which a test holds and those for which it does not; and those for which it cannot be evaluated.
    fn decided(&mut self, test: &'a Test, among: &Bits) -> ([Bits; 2], Option<Bits>) {
        let truth = self.truth(test, among);
        let denied = truth.denied(among);
        ([truth.holds, denied], truth.failed)
    }
}
