//! What a backtest found, as it stands in the catalogue.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tamis_model::rule::Severity;
use tamis_model::time::rfc3339_millis;

use super::comparison::{Comparison, Side, Tally};
use super::examples::{AlertExample, ErrorExample, PairExample};
use super::version::VersionRun;
use super::{Backtest, BacktestContext, lock, millis, percent};

/// What a backtest found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct BacktestReport {
    /// The first moment of the window. RFC 3339.
    pub from: String,
    /// The first moment behind it. RFC 3339.
    pub to: String,
    /// How much was read before the window.
    pub warm_up_ms: i64,
    /// How much was read behind it.
    pub run_out_ms: i64,
    /// The topics that were read.
    pub topics: Vec<String>,
    /// What was read of them.
    pub records: RecordCounts,
    /// The version that was tried.
    pub version: VersionReport,
    /// The version that it was compared with.
    pub compared_with: Option<VersionReport>,
    /// What the two had in common.
    pub overlap: Option<Overlap>,
    /// Whether there were more alerts than can be held against each other: some are counted as often as they were raised, and
    /// `overlap` is about the others.
    pub truncated: bool,
    /// How long it took.
    pub took_ms: i64,
    /// Records read in a second, by all versions together.
    pub rows_per_second: u64,
}

/// Records that were read: of warm-up, window and run-out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RecordCounts {
    /// All.
    pub read: u64,
    /// Those that were late: windows leave them out.
    pub late: u64,
    /// Those that could not be decoded, by reason.
    pub refused: BTreeMap<String, u64>,
}

/// What a version did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct VersionReport {
    /// The rule under whose name it ran.
    pub rule: String,
    /// Its number; none for what is no version of the rule (yet).
    pub rule_version: Option<u32>,
    /// The plugin.
    pub plugin: String,
    /// The plugin's version.
    pub plugin_version: String,
    /// SHA-256 of the plugin's bytes, hex.
    pub plugin_sha256: String,
    /// The whole configuration, lists included.
    pub config: Value,
    /// The revisions of the lists that are in it.
    pub lists: BTreeMap<String, u64>,
    /// Events judged.
    pub judged: Judged,
    /// What it raised.
    pub alerts: AlertCounts,
    /// Rows that it emitted about windows that began in the window.
    pub rows_emitted: u64,
    /// What its code failed on.
    pub errors: Errors,
    /// Why the host stopped it before the end.
    pub stopped: Option<String>,
    /// Nanoseconds inside its code for each event judged, timers included.
    pub event_ns: f64,
    /// How long its stream took, decoding included.
    pub took_ms: i64,
}

/// Events that a version judged: not those without a key, nor late ones that it leaves out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Judged {
    /// Those of the window.
    pub in_window: u64,
    /// With those of warm-up and run-out.
    pub total: u64,
}

/// The alerts of a version in the window. Each id counts once.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AlertCounts {
    /// All.
    pub total: u64,
    /// For a hundred events that were judged in the window.
    pub percent: f64,
    /// By how bad they are.
    pub by_severity: BTreeMap<Severity, u64>,
    /// By hours, in windows of more than a week by days. Those without alerts are left out.
    pub over_time: Vec<AlertsAt>,
    /// The first ones.
    pub examples: Vec<AlertExample>,
}

/// The alerts of an hour or a day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AlertsAt {
    /// Its first moment. RFC 3339.
    pub from: String,
    /// By how bad they are.
    pub by_severity: BTreeMap<Severity, u64>,
}

/// Events, and keys whose timers were due, on which the code of a version failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Errors {
    /// Those of the window.
    pub total: u64,
    /// Those of warm-up and run-out.
    pub outside_window: u64,
    /// Those of the window, by reason.
    pub by_reason: BTreeMap<String, u64>,
    /// The first ones of the window.
    pub examples: Vec<ErrorExample>,
}

/// What two versions had in common, by the ids of their alerts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Overlap {
    /// Alerts of both.
    pub both: u64,
    /// Alerts of the version that was tried alone.
    pub only_new: u64,
    /// Alerts of the version that it was compared with alone.
    pub only_old: u64,
    /// Alerts of the version that was tried for which there was no room; see [`BacktestReport::truncated`].
    pub not_compared_new: u64,
    /// Alerts of the version that it was compared with for which there was no room.
    pub not_compared_old: u64,
    /// Some of each.
    pub examples: OverlapExamples,
}

/// Examples of an overlap, in the order in which they were raised.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct OverlapExamples {
    /// Alerts of both.
    pub both: Vec<PairExample>,
    /// Alerts of the version that was tried alone.
    pub only_new: Vec<AlertExample>,
    /// Alerts of the version that it was compared with alone.
    pub only_old: Vec<AlertExample>,
}

/// The report of a backtest whose runs have finished.
pub(super) fn report(
    context: &BacktestContext,
    backtest: &Backtest,
    topics: &[String],
    runs: &[VersionRun],
    comparison: &Arc<Mutex<Comparison>>,
    took: Duration,
) -> BacktestReport {
    let comparison = lock(comparison);
    let mut versions = runs.iter().map(|run| version(context, run, comparison.tally(run.side)));
    let read: u64 = runs.iter().map(VersionRun::records).sum();
    BacktestReport {
        from: rfc3339_millis(backtest.window.from),
        to: rfc3339_millis(backtest.window.to),
        warm_up_ms: backtest.margins.warm_up_ms,
        run_out_ms: backtest.margins.run_out_ms,
        topics: topics.to_vec(),
        records: records(&runs[0]),
        version: versions.next().expect("a backtest has a version that is tried"),
        compared_with: versions.next(),
        overlap: backtest.compared_with.is_some().then(|| overlap(context, &comparison)),
        truncated: Side::BOTH.iter().any(|side| comparison.tally(*side).not_compared > 0),
        took_ms: millis(took),
        rows_per_second: (read as f64 / took.as_secs_f64().max(1e-9)) as u64,
    }
}

/// Every version reads the same.
fn records(run: &VersionRun) -> RecordCounts {
    let mut records = RecordCounts::default();
    for topic in run.stream.report().counts.topics.values() {
        records.read += topic.records;
        records.late += topic.late;
        for (reason, count) in &topic.refused {
            *records.refused.entry(reason.clone()).or_default() += count;
        }
    }
    records
}

fn version(context: &BacktestContext, run: &VersionRun, tally: &Tally) -> VersionReport {
    let plan = &run.plan;
    let judged = Judged {
        in_window: run.meter.judged_in_window.load(Ordering::Relaxed),
        total: run.meter.judged.load(Ordering::Relaxed),
    };
    let failures = lock(&run.output.failures);
    VersionReport {
        rule: plan.name.clone(),
        rule_version: (plan.version > 0).then_some(plan.version),
        plugin: plan.plugin.name.clone(),
        plugin_version: plan.plugin.version.clone(),
        plugin_sha256: plan.plugin.sha256.clone(),
        config: serde_json::from_str(&plan.config).unwrap_or_default(),
        lists: BTreeMap::clone(&plan.lists),
        judged,
        alerts: alerts(context, tally, judged.in_window),
        rows_emitted: run.output.emitted.load(Ordering::Relaxed),
        errors: Errors {
            total: failures.total,
            outside_window: failures.outside_window,
            by_reason: failures.by_reason.clone(),
            examples: failures.examples.clone(),
        },
        stopped: run.stream.trips().first().map(|trip| trip.reason.clone()),
        event_ns: run.meter.own_ns.load(Ordering::Relaxed) as f64 / judged.total.max(1) as f64,
        took_ms: millis(run.took),
    }
}

fn alerts(context: &BacktestContext, tally: &Tally, judged_in_window: u64) -> AlertCounts {
    let at = tally.at.iter();
    AlertCounts {
        total: tally.total,
        percent: percent(tally.total, judged_in_window),
        by_severity: tally.by_severity.clone(),
        over_time: at.map(|(from, by)| AlertsAt { from: rfc3339_millis(*from), by_severity: by.clone() }).collect(),
        examples: examples(context, tally.first.iter()),
    }
}

fn overlap(context: &BacktestContext, comparison: &Comparison) -> Overlap {
    let pair = |(new, old): &_| PairExample {
        new: AlertExample::of(new, &context.pepper),
        old: AlertExample::of(old, &context.pepper),
    };
    Overlap {
        both: comparison.both,
        only_new: comparison.only(Side::New),
        only_old: comparison.only(Side::Old),
        not_compared_new: comparison.tally(Side::New).not_compared,
        not_compared_old: comparison.tally(Side::Old).not_compared,
        examples: OverlapExamples {
            both: comparison.pairs.iter().map(pair).collect(),
            only_new: examples(context, comparison.only_examples(Side::New)),
            only_old: examples(context, comparison.only_examples(Side::Old)),
        },
    }
}

fn examples<'a>(
    context: &BacktestContext,
    alerts: impl Iterator<Item = &'a tamis_model::alert::Alert>,
) -> Vec<AlertExample> {
    alerts.map(|alert| AlertExample::of(alert, &context.pepper)).collect()
}
