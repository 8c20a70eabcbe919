//! How things must stand for a change to be made: as its author saw them, and as whoever checked it found them.

use std::collections::BTreeMap;
use std::error::Error as _;

use tamis_model::{Error, Kind, Result};

use crate::change::Write;
use crate::{Stored, lists, rule_sets};

/// How things must stand for a change to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// The revision of what is changed, as its author saw it; none = any. When it is another one, the author must look again.
    pub revision: Option<u64>,
    /// The revisions of what it was checked against. When one is another, it must be checked again: [`Moved`].
    pub checked: Checked,
}

/// What a change was checked against, beside the catalogue, before it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// All that runs; none = that does not matter.
    pub rule_set: Option<u64>,
    /// The rule that is changed; none = that does not matter.
    pub rule: Option<u64>,
    /// Lists, by name.
    pub lists: BTreeMap<String, u64>,
}

/// The source of an error of a change whose check does not hold any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what it was checked against was changed meanwhile")]
pub struct Moved;

impl From<Option<u64>> for Expected {
    fn from(revision: Option<u64>) -> Self {
        Self { revision, checked: Checked::default() }
    }
}

impl Moved {
    /// Whether an error says so.
    pub fn is_reason_of(error: &Error) -> bool {
        error.source().is_some_and(|source| source.is::<Self>())
    }
}

impl Checked {
    /// It was also checked against these lists. Of two revisions of one the earlier counts, so that a change between them shows.
    pub fn with_lists(mut self, lists: &BTreeMap<String, u64>) -> Self {
        for (name, revision) in lists {
            let known = self.lists.entry(name.clone()).or_insert(*revision);
            *known = (*known).min(*revision);
        }
        self
    }
}

impl Write<'_> {
    /// Fails when something was changed since it was checked against; `rule` is the revision of the rule, if one is changed.
    pub async fn expect_checked(&mut self, checked: &Checked, rule: Option<u64>) -> Result<()> {
        let (operation, object) = (self.operation(), self.object);
        let transaction = &mut *self.transaction;
        let mut holds = checked.rule.is_none() || checked.rule == rule;
        if checked.rule_set.is_some() {
            let found = rule_sets::revision(&mut *transaction).await.stored(operation, object)?;
            holds &= checked.rule_set == Some(found);
        }
        for (name, revision) in &checked.lists {
            let found = lists::revision(&mut *transaction, name).await.stored(operation, object)?;
            holds &= found == *revision;
        }
        // No conflict: nobody is refused, it is checked again.
        if holds { Ok(()) } else { Err(Error::new(Kind::Outage, operation, object).because(Moved)) }
    }
}
