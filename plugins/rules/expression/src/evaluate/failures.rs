//! Why something cannot be evaluated.

use std::borrow::Cow;
use std::fmt;

use super::Bits;
use crate::place::Place;

/// Why something cannot be evaluated for a row.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The row.
    pub row: usize,
    /// Where in the text.
    pub place: Place,
    /// Why.
    pub why: Cow<'static, str>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, why, .. } = self;
        write!(f, "cannot be evaluated: {place}: {why}")
    }
}

/// The rows for which something cannot be evaluated, ascending, each with what failed first.
#[derive(Debug, Default)]
pub struct Failures(Vec<Failure>);

impl Failures {
    /// Those of the rows that have `failed`. For others, what has failed was not needed.
    pub(super) fn of(mut all: Vec<Failure>, failed: Option<&Bits>) -> Self {
        let Some(failed) = failed else { return Self::default() };
        all.retain(|failure| failed.contains(failure.row));
        all.sort_by_key(|failure| failure.row);
        all.dedup_by_key(|failure| failure.row);
        Self(all)
    }

    /// That of a row.
    #[inline]
    pub fn at(&self, row: usize) -> Option<&Failure> {
        self.0.binary_search_by_key(&row, |failure| failure.row).ok().map(|index| &self.0[index])
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Failure> {
        self.0.iter()
    }
}
