//! What leaves with a batch: alerts and dead letters.

use std::collections::BTreeMap;
use std::{iter, thread};

use tamis_model::aggregate::AggregateRow;
use tamis_model::alert::{Alert, AlertMode};
use tamis_model::dead_letter::DeadLetter;
use tamis_model::position::Partition;
use tamis_model::record::Record;
use tamis_model::rule::Poisoned;
use tamis_model::time::Millis;
use tamis_model::{Error, Result};

use crate::alerts::{Author, Raised};
use crate::decode::json::TOMBSTONE;
use crate::decode::{Origin, Refused};
use crate::recent::RecentAlerts;
use crate::report::{Counts, RuleCounts, of};
use crate::rules::{RulePlan, SHADOW_ALERTS};
use crate::sink::{Settle, Sink};
use crate::source::Chunk;
use crate::tray::Item;

/// Where the output of a stream goes. All are named in checkpoints.
pub struct Sinks {
    /// Alerts on their routes, and dead letters.
    pub records: Box<dyn Sink<Record>>,
    /// Where alerts go besides, each by the name that stands in checkpoints.
    pub alerts: Vec<(String, Box<dyn Sink<Alert>>)>,
    /// Where the rows of aggregates go; without it there may be no rule that emits rows.
    pub aggregates: Option<Box<dyn Sink<AggregateRow>>>,
}

impl Sinks {
    /// Stages them all at a time, as each waits for the disk. What they staged by their names in checkpoints.
    pub fn stage(&mut self) -> Result<BTreeMap<String, serde_json::Value>> {
        let Self { records, alerts, aggregates } = self;
        thread::scope(|scope| {
            let alerts = alerts.iter_mut().map(|(name, sink)| (alert_sink(name), scope.spawn(|| sink.stage())));
            let aggregates = aggregates.iter_mut().map(|sink| (AGGREGATES.to_owned(), scope.spawn(|| sink.stage())));
            // They begin before this thread does its own part.
            let beside: Vec<_> = alerts.chain(aggregates).collect();
            let records = records.stage();
            let beside =
                beside.into_iter().map(|(name, staging)| (name, staging.join().expect("a sink does not panic")));
            let all = iter::once((RECORDS.to_owned(), records)).chain(beside.collect::<Vec<_>>());
            all.map(|(name, staged)| Ok((name, staged?))).collect()
        })
    }

    /// Commits what a checkpoint says was staged. Returns whether it knows every sink.
    pub fn commit(&mut self, staged: &BTreeMap<String, serde_json::Value>) -> Result<bool> {
        let with_output = staged.iter().filter(|(_, staged)| !staged.is_null());
        let mut unknown: Vec<_> = with_output.map(|(name, _)| name).collect();
        let mut complete = true;
        let mut find = |name: &str| {
            unknown.retain(|other| *other != name);
            let staged = staged.get(name);
            complete &= staged.is_some();
            staged
        };
        if let Some(staged) = find(RECORDS) {
            self.records.commit(staged)?;
        }
        for (name, sink) in &mut self.alerts {
            if let Some(staged) = find(&alert_sink(name)) {
                sink.commit(staged)?;
            }
        }
        if let Some(sink) = &mut self.aggregates
            && let Some(staged) = find(AGGREGATES)
        {
            sink.commit(staged)?;
        }
        match unknown.first() {
            Some(name) => {
                Err(Error::invalid("go on with", format!("sink {name}"), "it has staged output and is not there"))
            }
            None => Ok(complete),
        }
    }

    /// Makes visible what sinks have gathered. Nothing was written since the last commit.
    pub fn settle(&mut self, what: Settle) -> Result<()> {
        self.records.settle(what)?;
        self.alerts.iter_mut().try_for_each(|(_, sink)| sink.settle(what))?;
        self.aggregates.iter_mut().try_for_each(|sink| sink.settle(what))
    }
}

/// The name of the record sink in checkpoints.
pub const RECORDS: &str = "records";
const AGGREGATES: &str = "aggregates";

fn alert_sink(name: &str) -> String {
    format!("alerts/{name}")
}

/// What is on its way out.
#[derive(Default)]
pub(crate) struct Outbox {
    records: Vec<Record>,
    alerts: Vec<Alert>,
    aggregates: Vec<AggregateRow>,
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
            Item::Row(row) => self.aggregates.push(row),
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
        self.records.push(Record {
            topic: route.to_owned(),
            partition: None,
            timestamp: raised.time,
            key: Some(raised.record_key.into_bytes()),
            value: Some(raised.json),
            value_is_json: true,
            headers: Vec::new(),
        });
        self.triggers.extend(raised.triggered_at);
        self.alerts.push(raised.alert);
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
        self.records.push(letter.into_record());
    }

    /// Takes records on their way to another stream.
    pub fn hand_on(&mut self, records: Vec<Record>) {
        self.records.extend(records);
    }

    /// Gives everything to the sinks.
    pub fn flush(&mut self, sinks: &mut Sinks) -> Result<()> {
        if !self.records.is_empty() {
            sinks.records.write(&self.records)?;
            self.records.clear();
        }
        if !self.alerts.is_empty() {
            for (_, sink) in &mut sinks.alerts {
                sink.write(&self.alerts)?;
            }
            self.alerts.clear();
        }
        if !self.aggregates.is_empty()
            && let Some(sink) = &mut sinks.aggregates
        {
            sink.write(&self.aggregates)?;
            self.aggregates.clear();
        }
        Ok(())
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
