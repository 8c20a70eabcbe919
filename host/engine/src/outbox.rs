//! What leaves with a batch: alerts and dead letters.

use hashbrown::HashSet;
use tamis_model::Result;
use tamis_model::alert::Alert;
use tamis_model::dead_letter::DeadLetter;
use tamis_model::error::Context as _;
use tamis_model::position::Partition;
use tamis_model::record::Record;
use tamis_model::rule::{Finding, Subject};
use tamis_model::time::Millis;

use crate::alerts::{Author, Judging};
use crate::decode::json::{TOMBSTONE, record_parts};
use crate::decode::{Origin, Refused};
use crate::recent::RecentAlerts;
use crate::report::{Counts, of};
use crate::rules::{RuleMode, SHADOW_ALERTS};
use crate::sink::Sink;
use crate::source::Chunk;

/// Room is made for alerts of this size at first.
const ALERT_BYTES_HINT: usize = 896;

/// Where the output of a stream goes. All are named in checkpoints.
pub struct Sinks {
    /// Alerts on their routes, and dead letters.
    pub records: Box<dyn Sink<Record>>,
    /// Where alerts go besides, each by the name that stands in checkpoints.
    pub alerts: Vec<(String, Box<dyn Sink<Alert>>)>,
}

/// What is on its way out.
#[derive(Default)]
pub(crate) struct Outbox {
    records: Vec<Record>,
    alerts: Vec<Alert>,
    pub recent: RecentAlerts,
    /// Plugins and rows of this batch that have a dead letter already.
    failed: HashSet<(String, u32)>,
}

/// The rows that a dead letter can be about.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub partition: &'a Partition,
    pub chunk: &'a Chunk,
    pub origins: &'a [Origin],
    pub times: &'a [Millis],
}

impl Outbox {
    /// Raises the alerts of a rule's findings, unless they were raised before.
    pub fn raise(
        &mut self,
        author: Author<'_>,
        judging: &Judging<'_>,
        mut findings: Vec<Finding>,
        generated_at: &str,
        counts: &mut Counts,
    ) -> Result<()> {
        if findings.is_empty() {
            return Ok(());
        }
        // The first content stands, so rows speak in the order in which they arrived.
        findings.sort_by_key(|finding| if let Subject::Row(row) = finding.subject { row } else { u32::MAX });
        let counts = of(&mut counts.rules, &author.rule.name);
        counts.findings += findings.len() as u64;
        for finding in findings {
            let raised = author.raise(judging, finding, generated_at)?;
            if !self.recent.insert(&raised.alert.alert_id) {
                counts.repeated += 1;
                continue;
            }
            *counts.alerts.entry(raised.alert.severity).or_default() += 1;
            let route = match author.rule.mode {
                RuleMode::Active => &author.rule.route,
                RuleMode::Shadow => SHADOW_ALERTS,
            };
            self.records.push(Record {
                topic: route.to_owned(),
                timestamp: raised.time,
                key: Some(raised.record_key.into_bytes()),
                value: Some(json(&raised.alert)?),
                value_is_json: true,
                headers: Vec::new(),
            });
            self.alerts.push(raised.alert);
        }
        Ok(())
    }

    /// Writes the dead letter of a record that was refused. `before` is the time of the record before it.
    pub fn refuse(&mut self, rows: Rows<'_>, refused: &Refused, before: Millis, counts: &mut Counts) {
        let topic = of(&mut counts.topics, &rows.partition.topic);
        *of(&mut topic.refused, refused.reason) += 1;
        let letter = letter(rows, refused.origin, refused.time.unwrap_or(before), refused.reason, &refused.message);
        self.dead_letter(letter, counts);
    }

    /// Writes the dead letter of a row that a plugin failed on, unless it failed on the row for another rule too.
    pub fn poison(
        &mut self,
        rows: Rows<'_>,
        row: u32,
        author: Author<'_>,
        reason: &'static str,
        message: &str,
        counts: &mut Counts,
    ) {
        if !self.failed.insert((author.rule.plugin.sha256.clone(), row)) {
            return;
        }
        let mut letter = letter(rows, rows.origins[row as usize], rows.times[row as usize], reason, message);
        letter.plugin = Some(author.rule.plugin.clone());
        self.dead_letter(letter, counts);
    }

    /// Adds a dead letter.
    pub fn dead_letter(&mut self, letter: DeadLetter, counts: &mut Counts) {
        counts.dead_letters += 1;
        self.records.push(letter.into_record());
    }

    /// Gives everything to the sinks.
    pub fn flush(&mut self, sinks: &mut Sinks) -> Result<()> {
        self.failed.clear();
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
        Ok(())
    }
}

/// An alert as its record holds it.
fn json(alert: &Alert) -> Result<Vec<u8>> {
    let mut json = Vec::with_capacity(ALERT_BYTES_HINT);
    serde_json::to_writer(&mut json, alert).invalid("write", "an alert as JSON")?;
    Ok(json)
}

/// A dead letter with the record's own key and value; with the whole line when no record, or no value of one, can be seen in it.
fn letter(rows: Rows<'_>, origin: Origin, timestamp: Millis, reason: &'static str, message: &str) -> DeadLetter {
    let line = &rows.chunk.records()[origin.start as usize..origin.end as usize];
    let parts = record_parts(line);
    let seen = origin.offset >= 0 && (parts.value.is_some() || reason == TOMBSTONE);
    let (key, value) = if seen { (parts.key, parts.value) } else { (None, Some(line.to_vec())) };
    DeadLetter {
        partition: rows.partition.clone(),
        offset: (origin.offset >= 0).then_some(origin.offset),
        timestamp,
        key,
        value,
        reason,
        message: message.to_owned(),
        plugin: None,
        attempt: 1,
    }
}
