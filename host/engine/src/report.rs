//! What a stream has done so far. It is part of every checkpoint, so a resumed run reports the whole.

use std::collections::BTreeMap;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use tamis_model::position::Partition;
use tamis_model::rule::Severity;
use tamis_model::time::Millis;

use crate::judge::RuleRun;
use crate::meters::{CALL_SECONDS, Durations, Latencies, Measures, Meters};
use crate::rules::{RulePlan, Trip};
use crate::source::Source;

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

impl Report {
    /// Adds what another stream has done: one of the parts into which the work is cut. Time has come as far as in the part that is
    /// furthest behind, and the oldest rule set still runs.
    pub fn add(&mut self, other: &Self) {
        self.counts.add(&other.counts);
        self.spent.add(other.spent);
        for (topic, watermark) in &other.watermarks {
            let lowest = self.watermarks.entry(topic.clone()).or_insert(*watermark);
            *lowest = (*lowest).min(*watermark);
        }
        self.revision = self.revision.min(other.revision);
    }
}

/// What was counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// By topic.
    pub topics: BTreeMap<String, TopicCounts>,
    /// By rule: what its active versions did.
    pub rules: BTreeMap<String, RuleCounts>,
    /// By rule: what the version that is on trial did.
    pub trials: BTreeMap<String, RuleCounts>,
    /// Dead letters written.
    pub dead_letters: u64,
}

impl Counts {
    fn add(&mut self, other: &Self) {
        for (topic, counts) in &other.topics {
            let topic = of(&mut self.topics, topic);
            topic.records += counts.records;
            topic.late += counts.late;
            add_each(&mut topic.refused, &counts.refused);
        }
        for (rules, others) in [(&mut self.rules, &other.rules), (&mut self.trials, &other.trials)] {
            others.iter().for_each(|(rule, counts)| of(rules, rule).add(counts));
        }
        self.dead_letters += other.dead_letters;
    }

    /// Where a version is counted.
    pub(crate) fn of_rule(&mut self, plan: &RulePlan) -> &mut RuleCounts {
        of(if plan.role.is_trial() { &mut self.trials } else { &mut self.rules }, &plan.name)
    }
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
    /// The same by the reason why it failed.
    #[serde(default)]
    pub poisoned_by: BTreeMap<String, u64>,
    /// Rows emitted.
    pub emitted: u64,
    /// Alerts by severity.
    pub alerts: BTreeMap<Severity, u64>,
}

impl RuleCounts {
    fn add(&mut self, other: &Self) {
        self.judged += other.judged;
        self.findings += other.findings;
        self.repeated += other.repeated;
        self.poisoned += other.poisoned;
        add_each(&mut self.poisoned_by, &other.poisoned_by);
        self.emitted += other.emitted;
        add_each(&mut self.alerts, &other.alerts);
    }
}

fn add_each<K: Ord + Clone>(counts: &mut BTreeMap<K, u64>, others: &BTreeMap<K, u64>) {
    for (key, count) in others {
        *counts.entry(key.clone()).or_default() += count;
    }
}

/// Where the time went, in nanoseconds. Shards work at the same time, so it can be more than went by.
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

impl Spent {
    /// Adds what others spent.
    pub(crate) fn add(&mut self, other: Self) {
        self.read_ns += other.read_ns;
        self.decode_ns += other.decode_ns;
        self.rules_ns += other.rules_ns;
        self.state_ns += other.state_ns;
        self.sinks_ns += other.sinks_ns;
        self.checkpoints_ns += other.checkpoints_ns;
    }
}

/// A report on the way.
pub struct Progress<'a> {
    /// The report so far.
    pub report: &'a Report,
    /// The versions that the host has stopped since the last one.
    pub trips: &'a [Trip],
    pub(crate) runs: &'a [RuleRun],
    pub(crate) meters: &'a Meters,
    pub(crate) source: &'a dyn Source,
    /// Whether there is nothing to do at the moment.
    pub idle: bool,
}

/// How a version of a rule is doing in this process.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RuleGauge {
    /// The rule.
    pub rule: String,
    /// The number of the version.
    pub version: u32,
    /// Whether it is on trial.
    pub trial: bool,
    /// Keys that have state.
    pub keys: u64,
    /// What keys and states take, in bytes.
    pub state_bytes: u64,
    /// Calls of its code.
    pub calls: u64,
    /// The median time of a call, in nanoseconds.
    pub call_ns_p50: u64,
    /// The time that 99 of 100 calls keep, in nanoseconds.
    pub call_ns_p99: u64,
    /// How long the calls took.
    #[serde(skip)]
    pub call_latencies: Latencies,
    /// Why the host has stopped it.
    pub tripped: Option<String>,
}

impl RuleGauge {
    /// Adds how the same version is doing in another part of the work. Quantiles of both together are nobody's to know: the higher ones stand.
    pub fn add(&mut self, other: &Self) {
        self.keys += other.keys;
        self.state_bytes += other.state_bytes;
        self.calls += other.calls;
        self.call_ns_p50 = self.call_ns_p50.max(other.call_ns_p50);
        self.call_ns_p99 = self.call_ns_p99.max(other.call_ns_p99);
        self.call_latencies.add(&other.call_latencies);
        if self.tripped.is_none() {
            self.tripped.clone_from(&other.tripped);
        }
    }
}

impl Progress<'_> {
    /// How the versions that run are doing.
    pub fn rules(&self) -> Vec<RuleGauge> {
        let gauge = |(run, latency): (&RuleRun, Durations)| RuleGauge {
            rule: run.plan.name.clone(),
            version: run.plan.version,
            trial: run.plan.role.is_trial(),
            keys: run.kept.states.keys() as u64,
            state_bytes: run.kept.states.bytes(),
            calls: latency.count(),
            call_ns_p50: latency.quantile_ns(0.5),
            call_ns_p99: latency.quantile_ns(0.99),
            call_latencies: latency.within(CALL_SECONDS),
            tripped: run.kept.tripped.clone(),
        };
        self.runs.iter().map(|run| (run, run.latency())).map(gauge).collect()
    }

    /// What this process has measured of the stream.
    pub fn measures(&self) -> Measures {
        self.meters.measures()
    }

    /// How many records each partition is behind, where its source knows that.
    pub fn lag(&self) -> Vec<(Partition, u64)> {
        self.source.lag()
    }
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
