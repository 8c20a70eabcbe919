//! What leaves with a batch: alerts and dead letters.

use tamis_model::alert::AlertMode;
use tamis_model::dead_letter::DeadLetter;
use tamis_model::position::Partition;
use tamis_model::record::Record;
use tamis_model::rule::Poisoned;
use tamis_model::time::Millis;

use crate::alerts::{Author, Raised};
use crate::chunk::Chunk;
use crate::decode::json::TOMBSTONE;
use crate::decode::{Origin, Refused};
use crate::recent::RecentAlerts;
use crate::report::{Counts, RuleCounts, of};
use crate::rules::{RulePlan, SHADOW_ALERTS};
use crate::sinks::Output;
use crate::tray::Item;

/// What is on its way out.
#[derive(Default)]
pub(crate) struct Outbox {
    pub output: Output,
    /// The times of the records that alerts are about.
    pub triggers: Vec<Millis>,
    pub recent: RecentAlerts,
}

/// The rows that a dead letter can be about.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub partition: &'a Partition,
    pub chunk: &'a Chunk,
    pub origins: &'a [Origin],
    pub times: &'a [Millis],
    /// How often they are tried, from 1.
    pub attempt: u32,
}

impl Rows<'_> {
    /// The dead letter of a row that a rule failed on.
    pub fn letter_of(&self, row: u32, author: Author<'_>, poisoned: &Poisoned) -> DeadLetter {
        let (origin, time) = (self.origins[row as usize], self.times[row as usize]);
        DeadLetter {
            rule: Some(author.failed()),
            ..letter(*self, origin, time, poisoned.reason.name(), &poisoned.message)
        }
    }
}

impl Outbox {
    /// Takes what a version of a rule made, in its order; alerts unless they were raised before.
    pub fn take(&mut self, rule: &RulePlan, item: Item, counts: &mut Counts) {
        match item {
            Item::Letter(letter) => self.dead_letter(*letter, counts),
            Item::Row(row) => self.output.aggregates.push(row),
            Item::Alert(raised) => self.raise(rule, *raised, counts.of_rule(rule)),
        }
    }

    fn raise(&mut self, rule: &RulePlan, raised: Raised, counts: &mut RuleCounts) {
        counts.findings += 1;
        if !self.recent.insert(&raised.alert.alert_id) {
            counts.repeated += 1;
            return;
        }
        *counts.alerts.entry(raised.alert.severity).or_default() += 1;
        let route = match rule.role.alert_mode() {
            AlertMode::Live => &rule.route,
            AlertMode::Shadow => SHADOW_ALERTS,
        };
        self.output.records.push(Record {
            topic: route.to_owned(),
            partition: None,
            timestamp: raised.time,
            key: Some(raised.record_key.into_bytes()),
            value: Some(raised.json),
            value_is_json: true,
            headers: Vec::new(),
        });
        self.triggers.extend(raised.triggered_at);
        self.output.alerts.push(raised.alert);
    }

    /// Writes the dead letter of a record that was refused. `before` is the time of the record before it.
    pub fn refuse(&mut self, rows: Rows<'_>, refused: &Refused, before: Millis, counts: &mut Counts) {
        let topic = of(&mut counts.topics, &rows.partition.topic);
        *of(&mut topic.refused, refused.reason) += 1;
        let letter = letter(rows, refused.origin, refused.time.unwrap_or(before), refused.reason, &refused.message);
        self.dead_letter(letter, counts);
    }

    /// Writes the next dead letter of a record that was refused before: it is counted as a record that was read no more.
    pub fn refuse_again(&mut self, rows: Rows<'_>, refused: &Refused, counts: &mut Counts) {
        let time = refused.time.unwrap_or(0);
        self.dead_letter(letter(rows, refused.origin, time, refused.reason, &refused.message), counts);
    }

    /// Adds a dead letter.
    pub fn dead_letter(&mut self, letter: DeadLetter, counts: &mut Counts) {
        counts.dead_letters += 1;
        self.output.records.push(letter.into_record());
    }

    /// Takes records on their way to another stream.
    pub fn hand_on(&mut self, records: Vec<Record>) {
        self.output.records.extend(records);
    }
}

/// A dead letter with the record's own key and value; with the whole line when no record, or no value of one, can be seen in it.
fn letter(rows: Rows<'_>, origin: Origin, timestamp: Millis, reason: &'static str, message: &str) -> DeadLetter {
    let parts = rows.chunk.record(origin);
    let seen = origin.offset >= 0 && (parts.value.is_some() || reason == TOMBSTONE);
    let (key, value) = if seen { (parts.key, parts.value) } else { (None, Some(rows.chunk.raw(origin).to_vec())) };
    DeadLetter {
        partition: rows.partition.clone(),
        offset: (origin.offset >= 0).then_some(origin.offset),
        timestamp,
        key,
        value,
        reason,
        message: message.to_owned(),
        rule: None,
        attempt: rows.attempt,
    }
}
