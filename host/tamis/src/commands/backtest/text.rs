//! A report for people.

use serde::Serialize;
use serde_json::Value;
use tamis_jobs::backtest::{AlertExample, BacktestReport, ErrorExample, Overlap, PairExample, VersionReport};

use crate::table::{Row, grouped, table};

/// Examples of a kind that are shown; the JSON has more.
const EXAMPLES_MAX: usize = 5;

/// The report as text.
pub(super) fn text(report: &BacktestReport) -> String {
    let records = &report.records;
    let refused: u64 = records.refused.values().sum();
    let mut parts = vec![
        format!("{} to {}", report.from, report.to),
        format!(
            "{} records of {} read with {} before and {} behind: {} late, {} that could not be decoded; {} a second",
            grouped(records.read),
            report.topics.join(", "),
            length(report.warm_up_ms),
            length(report.run_out_ms),
            grouped(records.late),
            grouped(refused),
            grouped(report.rows_per_second)
        ),
        table(&versions(report)).to_string(),
    ];
    for version in all(report) {
        parts.extend(troubles(version));
    }
    match &report.overlap {
        Some(overlap) => parts.extend(overlapping(overlap)),
        None => parts.extend(examples("raised", report.version.alerts.examples.iter())),
    }
    if report.truncated {
        parts.push("There were more alerts than can be compared: see `truncated` in the JSON.".to_owned());
    }
    parts.join("\n\n")
}

fn all(report: &BacktestReport) -> impl Iterator<Item = &VersionReport> {
    std::iter::once(&report.version).chain(&report.compared_with)
}

/// A version in the table.
#[derive(Serialize)]
struct VersionRow<'a>(&'a str, &'a VersionReport);

fn versions(report: &BacktestReport) -> Vec<VersionRow<'_>> {
    all(report).zip(["new", "old"]).map(|(version, which)| VersionRow(which, version)).collect()
}

impl Row for VersionRow<'_> {
    const HEAD: &'static [&'static str] =
        &["", "RULE", "#VERSION", "PLUGIN", "#EVENTS", "#ALERTS", "#PER 100", "SEVERITIES", "#ERRORS", "#NS AN EVENT"];

    fn cells(&self) -> Vec<String> {
        let Self(which, version) = self;
        let severity = |(severity, count): (&tamis_model::rule::Severity, &u64)| {
            format!("{} {}", grouped(*count), severity.name())
        };
        let severities: Vec<_> = version.alerts.by_severity.iter().rev().map(severity).collect();
        vec![
            (*which).to_owned(),
            version.rule.clone(),
            version.rule_version.map(|number| number.to_string()).unwrap_or_default(),
            format!("{}@{}", version.plugin, version.plugin_version),
            grouped(version.judged.in_window),
            grouped(version.alerts.total),
            format!("{:.3}", version.alerts.percent),
            severities.join(", "),
            grouped(version.errors.total),
            format!("{:.0}", version.event_ns),
        ]
    }
}

/// What went wrong with a version.
fn troubles(version: &VersionReport) -> Vec<String> {
    let mut troubles = Vec::new();
    if let Some(why) = &version.stopped {
        troubles.push(format!("The host stopped {}@{}: {why}", version.plugin, version.plugin_version));
    }
    let failures: Vec<_> = version.errors.examples.iter().take(EXAMPLES_MAX).map(ErrorRow).collect();
    if !failures.is_empty() {
        troubles.push(format!("{}@{} failed on\n{}", version.plugin, version.plugin_version, table(&failures)));
    }
    troubles
}

#[derive(Serialize)]
struct ErrorRow<'a>(&'a ErrorExample);

impl Row for ErrorRow<'_> {
    const HEAD: &'static [&'static str] = &["TIME", "FROM", "REASON", "MESSAGE"];

    fn cells(&self) -> Vec<String> {
        let Self(error) = self;
        let from = match (error.partition, error.offset) {
            (Some(partition), Some(offset)) => format!("{}/{partition}@{offset}", error.topic),
            _ => error.topic.clone(),
        };
        vec![error.time.clone(), from, error.reason.clone(), error.message.clone()]
    }
}

fn overlapping(overlap: &Overlap) -> Vec<String> {
    let figures = format!(
        "{} alerts of both, {} only of the new version, {} only of the old one",
        grouped(overlap.both),
        grouped(overlap.only_new),
        grouped(overlap.only_old)
    );
    let found = &overlap.examples;
    let parts = [
        examples("only new", found.only_new.iter()),
        examples("only old", found.only_old.iter()),
        examples("both, as the new one has it", found.both.iter().map(|PairExample { new, .. }| new)),
    ];
    std::iter::once(figures).chain(parts.into_iter().flatten()).collect()
}

/// A table of some alerts; none when there are none.
fn examples<'a>(title: &str, alerts: impl Iterator<Item = &'a AlertExample>) -> Option<String> {
    let rows: Vec<_> = alerts.take(EXAMPLES_MAX).map(AlertRow).collect();
    (!rows.is_empty()).then(|| format!("For example {title}:\n{}", table(&rows)))
}

#[derive(Serialize)]
struct AlertRow<'a>(&'a AlertExample);

impl Row for AlertRow<'_> {
    const HEAD: &'static [&'static str] = &["EVENT TIME", "SEVERITY", "KEY", "PAYMENT", "ORDER", "CRITERIA", "CONTEXT"];

    fn cells(&self) -> Vec<String> {
        let Self(alert) = self;
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let context = match &alert.context {
            Value::Object(members) => {
                members.iter().map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", ")
            }
            other => other.to_string(),
        };
        vec![
            alert.event_time.clone(),
            alert.severity.name().to_owned(),
            text(&alert.key),
            text(&alert.payment_id),
            text(&alert.order_id),
            alert.criteria.join(", "),
            context,
        ]
    }
}

/// A length of time in its largest whole unit.
fn length(length_ms: i64) -> String {
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s")];
    let unit = units.into_iter().find(|(unit_ms, _)| length_ms >= *unit_ms && length_ms % unit_ms == 0);
    unit.map_or_else(|| format!("{length_ms} ms"), |(unit_ms, name)| format!("{} {name}", length_ms / unit_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_written_in_whole_units() {
        for (length_ms, expected) in
            [(0, "0 ms"), (1_500, "1500 ms"), (90_000, "90 s"), (600_000, "10 min"), (86_400_000, "1 d")]
        {
            assert_eq!(length(length_ms), expected);
        }
    }
}
