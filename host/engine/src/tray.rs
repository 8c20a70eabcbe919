//! What a shard makes of a turn: output on its way, each piece of it with its place among that of the other shards.
//!
//! Shards work beside each other, so they write nothing themselves. What they lay on their trays is put in order behind them:
//! batch by batch, rule by rule, row by row, as one shard alone would have it. What is about no row of the batch (a window, an event that
//! the rule remembered) comes behind, shard by shard; as each process deals the keys out anew, that order is its own.

use arrow_array::ArrayRef;
use tamis_model::aggregate::AggregateRow;
use tamis_model::dead_letter::DeadLetter;
use tamis_model::rule::{FailureReason, Finding, Subject};
use tamis_model::{Error, Kind, Result};

use crate::aggregates;
use crate::alerts::{Author, Judging, Raised};
use crate::breaker::Tally;
use crate::report::Spent;

/// What a shard makes of a turn.
#[derive(Default)]
pub(crate) struct Tray {
    pub items: Vec<(Place, Item)>,
    pub calls: Vec<Called>,
    /// The rows that rules judged and that somebody waits for.
    pub awaited: Vec<Place>,
    pub spent: Spent,
    /// Where what comes now belongs.
    at: Place,
}

/// Where something belongs: earlier fields first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub batch: u32,
    /// Rows come before the timers that fire behind them.
    timers: bool,
    /// The index of the rule.
    pub rule: u32,
    kind: Kinds,
    /// The row of the batch; behind all rows what is about none.
    pub row: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Kinds {
    #[default]
    Letter,
    Row,
    Alert,
}

/// Output on its way.
pub(crate) enum Item {
    Letter(Box<DeadLetter>),
    Row(AggregateRow),
    Alert(Box<Raised>),
}

/// What a call of a rule's code came to.
pub(crate) struct Called {
    /// The batch of the turn.
    pub batch: u32,
    /// The index of the rule.
    pub rule: usize,
    /// Rows judged; none when timers were due.
    pub judged: u64,
    /// Why its code failed, for each event or key that it failed on.
    pub poisoned: Vec<FailureReason>,
    pub tally: Tally,
}

impl Tray {
    /// What comes now is a rule's, about the rows of a batch or the timers behind it.
    pub fn turn_to(&mut self, batch: usize, rule: usize, timers: bool) {
        self.at = Place { batch: batch as u32, timers, rule: rule as u32, ..Place::default() };
    }

    /// Notes what a call came to.
    pub fn called(&mut self, judged: u64, poisoned: Vec<FailureReason>, tally: Tally) {
        let Place { batch, rule, .. } = self.at;
        self.calls.push(Called { batch, rule: rule as usize, judged, poisoned, tally });
    }

    /// Notes that a rule judged a row that somebody waits for.
    pub fn judged(&mut self, row: u32) {
        self.awaited.push(Place { row, ..self.at });
    }

    /// Takes dead letters.
    pub fn letters(&mut self, letters: impl IntoIterator<Item = (u32, DeadLetter)>) {
        let at = self.at;
        let placed = |(row, letter)| (Place { row, ..at }, Item::Letter(Box::new(letter)));
        self.items.extend(letters.into_iter().map(placed));
    }

    /// Takes the rows that a rule emitted. Returns how many they are.
    pub fn rows(&mut self, author: Author<'_>, emitted: &[ArrayRef]) -> Result<u64> {
        let rows = emitted.first().map_or(0, |column| column.len());
        if rows > 0 {
            let place = Place { kind: Kinds::Row, row: u32::MAX, ..self.at };
            self.items.extend(aggregates::rows(author.rule, emitted)?.into_iter().map(|row| (place, Item::Row(row))));
        }
        Ok(rows as u64)
    }

    /// Makes the alerts of a rule's findings.
    pub fn findings(
        &mut self,
        author: Author<'_>,
        judging: &Judging<'_>,
        findings: Vec<Finding>,
        generated_at: &str,
    ) -> Result<()> {
        for finding in findings {
            let row = if let Subject::Row(row) = finding.subject { row } else { u32::MAX };
            let Some(raised) = author.raise(judging, finding, generated_at)? else { continue };
            self.items.push((Place { kind: Kinds::Alert, row, ..self.at }, Item::Alert(Box::new(raised))));
        }
        Ok(())
    }
}

/// Puts the trays of all shards into one order.
pub(crate) fn sorted(trays: &mut [Tray]) -> Vec<(Place, Item)> {
    let mut items: Vec<_> = trays.iter_mut().flat_map(|tray| tray.items.drain(..)).collect();
    items.sort_by_key(|(place, _)| *place);
    items
}

/// What a plugin may not do.
pub(crate) fn breach(rule: &crate::rules::RulePlan, reason: &str) -> Error {
    Error::new(Kind::Plugin, "use the outcome of", rule).because(reason)
}
