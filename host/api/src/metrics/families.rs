//! Which metrics there are. Their labels have few values each: topics, rules, partitions, and reasons that are written in the code.

use tamis_connectors::influx::InfluxCounts;
use tamis_engine::Restoring;
use tamis_engine::report::{Counts, RuleCounts, Spent};
use tamis_model::time::Millis;

use super::text::{Exposition, Kind};
use crate::decisions::Desk;
use crate::streams::{StreamState, StreamStatus};

/// What there is to say of streams, as it was at the last look at them.
pub(super) fn streams(status: &StreamStatus, now: Millis) -> Exposition {
    let mut out = Exposition::default();
    host(&mut out, status);
    topics(&mut out, status, now);
    rules(&mut out, &status.report.counts);
    gauges(&mut out, status);
    stream(&mut out, status);
    out
}

/// Everything.
pub(super) fn exposition(status: &StreamStatus, desk: &Desk, influx: Option<InfluxCounts>, now: Millis) -> Exposition {
    let mut out = streams(status, now);
    decisions(&mut out, desk);
    if let Some(counts) = influx {
        points(&mut out, counts);
    }
    out
}

fn host(out: &mut Exposition, status: &StreamStatus) {
    out.family(Kind::Gauge, "tamis_build_info", "The program that runs; always 1.")
        .sample(&[("version", &env!("CARGO_PKG_VERSION"))], 1);
    let up = u8::from(status.state == StreamState::Running);
    out.family(Kind::Gauge, "tamis_stream_up", "Whether the stream runs.").sample(&[], up);
    out.family(Kind::Gauge, "tamis_rule_set_revision", "The revision of the rules that run.")
        .sample(&[], status.revision);
    out.family(Kind::Gauge, "tamis_stream_seen_timestamp_seconds", "When the stream was looked at last.")
        .sample(&[], seconds(status.updated_at));
    let Restoring { entries, of } = status.restoring;
    let help = "Entries of the state that were read since the stream started last.";
    out.family(Kind::Gauge, "tamis_restored_entries", help).sample(&[], entries);
    let help = "Entries of the state that there were to read then, at most.";
    out.family(Kind::Gauge, "tamis_restorable_entries", help).sample(&[], of);
}

fn topics(out: &mut Exposition, status: &StreamStatus, now: Millis) {
    let topics = &status.report.counts.topics;
    let mut events =
        out.family(Kind::Counter, "tamis_events_total", "Records read, refused ones included, since the first run.");
    topics.iter().for_each(|(topic, counts)| events.sample(&[("topic", topic)], counts.records));
    let mut late =
        out.family(Kind::Counter, "tamis_late_events_total", "Records behind the watermark of their partition.");
    topics.iter().for_each(|(topic, counts)| late.sample(&[("topic", topic)], counts.late));
    let help = "Records that could not be decoded or have an impossible time; each has a dead letter.";
    let mut refused = out.family(Kind::Counter, "tamis_refused_events_total", help);
    for (topic, counts) in topics {
        for (reason, count) in &counts.refused {
            refused.sample(&[("topic", topic), ("reason", reason)], count);
        }
    }
    let help = "How far the watermark of the topic is behind the clock.";
    let mut lag = out.family(Kind::Gauge, "tamis_watermark_lag_seconds", help);
    let watermarks = status.report.watermarks.iter();
    watermarks.for_each(|(topic, at)| lag.sample(&[("topic", topic)], seconds(now.saturating_sub(*at))));
    let help = "Records that lie behind the last one that was read, where the source knows that.";
    let mut lag = out.family(Kind::Gauge, "tamis_consumer_lag_records", help);
    for (partition, records) in status.lag.iter() {
        lag.sample(&[("topic", &partition.topic), ("partition", &partition.number)], records);
    }
}

/// Of every rule what its active versions did, and what the version on trial did.
fn each_rule(counts: &Counts) -> impl Iterator<Item = (&String, bool, &RuleCounts)> {
    let active = counts.rules.iter().map(|(rule, counts)| (rule, false, counts));
    active.chain(counts.trials.iter().map(|(rule, counts)| (rule, true, counts)))
}

fn rules(out: &mut Exposition, counts: &Counts) {
    let mut judged = out.family(Kind::Counter, "tamis_judged_events_total", "Events that a rule has judged.");
    each_rule(counts).for_each(|(rule, trial, c)| judged.sample(&[("rule", rule), ("trial", &trial)], c.judged));
    let mut emitted =
        out.family(Kind::Counter, "tamis_emitted_rows_total", "Rows of aggregates that a rule has emitted.");
    let emits = each_rule(counts).filter(|(.., counts)| counts.emitted > 0);
    emits.for_each(|(rule, trial, c)| emitted.sample(&[("rule", rule), ("trial", &trial)], c.emitted));
    for (by_rule, name, help) in [
        (&counts.rules, "tamis_alerts_total", "Alerts of active versions."),
        (&counts.trials, "tamis_trial_alerts_total", "Alerts of versions on trial."),
    ] {
        let mut alerts = out.family(Kind::Counter, name, help);
        for (rule, counts) in by_rule {
            for (severity, count) in &counts.alerts {
                alerts.sample(&[("rule", rule), ("severity", &severity.name())], count);
            }
        }
    }
    let help = "Events and keys that the code of a rule failed on; each has a dead letter.";
    let mut errors = out.family(Kind::Counter, "tamis_plugin_errors_total", help);
    for (rule, trial, counts) in each_rule(counts) {
        for (reason, count) in &counts.poisoned_by {
            errors.sample(&[("rule", rule), ("trial", &trial), ("reason", reason)], count);
        }
    }
    out.family(Kind::Counter, "tamis_dead_letters_total", "Dead letters written.").sample(&[], counts.dead_letters);
}

/// How the versions that run are doing in this process.
fn gauges(out: &mut Exposition, status: &StreamStatus) {
    let help = "How long a call of the code of a rule took, which judges a batch or the part of one shard.";
    let mut calls = out.family(Kind::Histogram, "tamis_rule_call_seconds", help);
    for gauge in status.rules.iter() {
        calls.latencies(&[("rule", &gauge.rule), ("trial", &gauge.trial)], &gauge.call_latencies);
    }
    let mut keys = out.family(Kind::Gauge, "tamis_state_keys", "Keys of which a rule has state.");
    for gauge in status.rules.iter() {
        keys.sample(&[("rule", &gauge.rule), ("trial", &gauge.trial)], gauge.keys);
    }
    let mut bytes = out.family(Kind::Gauge, "tamis_state_bytes", "Bytes of the keys and states of a rule.");
    for gauge in status.rules.iter() {
        bytes.sample(&[("rule", &gauge.rule), ("trial", &gauge.trial)], gauge.state_bytes);
    }
    let mut stopped =
        out.family(Kind::Gauge, "tamis_rule_stopped", "Whether the host has stopped the version of a rule.");
    for gauge in status.rules.iter() {
        let is_stopped = u8::from(gauge.tripped.is_some());
        stopped.sample(&[("rule", &gauge.rule), ("trial", &gauge.trial)], is_stopped);
    }
}

fn stream(out: &mut Exposition, status: &StreamStatus) {
    let measures = &status.measures;
    out.family(Kind::Counter, "tamis_batches_total", "Batches judged by this process.").sample(&[], measures.batches);
    let help = "From the time of the record that an alert is about until the alert had left, of a live stream. \
                Alerts of windows, which wait for their end, and of records judged again are not in it.";
    out.family(Kind::Histogram, "tamis_alert_latency_seconds", help).latencies(&[], &measures.alerts);
    out.family(Kind::Histogram, "tamis_checkpoint_seconds", "How long a checkpoint took.")
        .latencies(&[], &measures.checkpoints);
    let Spent { read_ns, decode_ns, rules_ns, state_ns, sinks_ns, checkpoints_ns } = status.report.spent;
    let help = "Where the time went since the first run. Shards work at the same time.";
    let mut spent = out.family(Kind::Counter, "tamis_spent_seconds_total", help);
    for (part, ns) in [
        ("read", read_ns),
        ("decode", decode_ns),
        ("rules", rules_ns),
        ("state", state_ns),
        ("sinks", sinks_ns),
        ("checkpoints", checkpoints_ns),
    ] {
        spent.sample(&[("part", &part)], ns as f64 / 1e9);
    }
}

fn decisions(out: &mut Exposition, desk: &Desk) {
    let (counts, answered) = desk.measures();
    let mut decisions =
        out.family(Kind::Counter, "tamis_decisions_total", "Requests for decisions, by what became of them.");
    counts.iter().for_each(|(fate, count)| decisions.sample(&[("outcome", &fate.name())], count));
    let help = "From a request for a decision to its answer; those that were answered before are not in it.";
    out.family(Kind::Histogram, "tamis_decision_seconds", help).latencies(&[], &answered);
}

fn points(out: &mut Exposition, counts: InfluxCounts) {
    let help = "Points of aggregates for the time series database, by what became of them.";
    let mut points = out.family(Kind::Counter, "tamis_influx_points_total", help);
    for (outcome, count) in [("written", counts.written), ("refused", counts.refused), ("dropped", counts.dropped)] {
        points.sample(&[("outcome", &outcome)], count);
    }
    out.family(Kind::Gauge, "tamis_influx_queued_points", "Points that wait.").sample(&[], counts.queued);
    let help = "Requests to the time series database that failed and were tried again.";
    out.family(Kind::Counter, "tamis_influx_retries_total", help).sample(&[], counts.retries);
}

fn seconds(ms: Millis) -> f64 {
    ms as f64 / 1e3
}
