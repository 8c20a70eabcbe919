//! What a stream has done so far. It is part of every checkpoint, so a resumed run reports the whole.

use std::collections::BTreeMap;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use tamis_model::rule::Severity;
use tamis_model::time::Millis;

/// What a stream has done since its first checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What was counted: the same for the same input, however often the stream was stopped on the way.
    pub counts: Counts,
    /// Where the time went.
    pub spent: Spent,
    /// How far each topic has come; topics without an event are not listed.
    pub watermarks: BTreeMap<String, Millis>,
    /// The revision of the rule set that runs.
    pub revision: u64,
}

/// What was counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// By topic.
    pub topics: BTreeMap<String, TopicCounts>,
    /// By rule.
    pub rules: BTreeMap<String, RuleCounts>,
    /// Dead letters written.
    pub dead_letters: u64,
}

/// What was counted of a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicCounts {
    /// Records read, refused ones included.
    pub records: u64,
    /// Accepted records that were late.
    pub late: u64,
    /// Refused records by reason.
    pub refused: BTreeMap<String, u64>,
}

/// What was counted of a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleCounts {
    /// Events judged.
    pub judged: u64,
    /// Findings.
    pub findings: u64,
    /// Findings whose alert had been raised before.
    pub repeated: u64,
    /// Events and keys that its code failed on.
    pub poisoned: u64,
    /// Alerts by severity.
    pub alerts: BTreeMap<Severity, u64>,
}

/// Where the time went, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// Reading the source.
    pub read_ns: u64,
    /// Decoding.
    pub decode_ns: u64,
    /// Inside the code of rules.
    pub rules_ns: u64,
    /// Grouping rows, joining state and writing it back.
    pub state_ns: u64,
    /// Writing output.
    pub sinks_ns: u64,
    /// Checkpoints.
    pub checkpoints_ns: u64,
}

/// A report on the way.
#[derive(Debug)]
pub struct Progress<'a> {
    /// The report so far.
    pub report: &'a Report,
    /// Whether there is nothing to do at the moment.
    pub idle: bool,
}

/// Adds the time that `work` takes.
pub(crate) fn timed<T>(spent_ns: &mut u64, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = work();
    *spent_ns += u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
    result
}

/// The entry of `name`, which exists from now on. Looks before it copies the name.
pub(crate) fn of<'a, T: Default>(counts: &'a mut BTreeMap<String, T>, name: &str) -> &'a mut T {
    if !counts.contains_key(name) {
        counts.insert(name.to_owned(), T::default());
    }
    counts.get_mut(name).expect("it was inserted above")
}
