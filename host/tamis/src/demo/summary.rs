//! What the demo prints when the day is done.

use std::fmt::Write as _;
use std::time::Duration;

use tamis_engine::report::Report;
use tamis_jobs::nightly::NightlyReport;
use tamis_model::Result;
use tamis_model::alert::Alert;
use tamis_model::error::Context;

use crate::commands::{SourceRow, stream_rows};
use crate::home::Home;
use crate::table::{grouped, print_text, table};

/// Prints the day: for people as tables, for scripts as one JSON object.
pub fn print(home: &Home, streams: &Report, night: &NightlyReport, elapsed: Duration, json: bool) -> Result<()> {
    let text = if json { as_json(home, streams, night) } else { as_text(home, streams, night, elapsed) };
    line(&text)
}

/// Prints a line.
pub fn line(text: &str) -> Result<()> {
    print_text(text).outage("write to", "standard output")
}

/// Prints an alert as it fires.
pub fn alert(alert: &Alert) -> Result<()> {
    let about = alert.payment_id.as_deref().or(alert.key.as_deref()).unwrap_or_default();
    line(&format!(
        "{}  {:8}  {}  {about}  {}",
        alert.event_time,
        alert.severity.name(),
        alert.rule,
        alert.criteria.join(", ")
    ))
}

/// Records per second of the time that the pipeline was at work; none before the first record.
fn events_per_second(report: &Report) -> Option<u64> {
    let records: u64 = report.counts.topics.values().map(|counts| counts.records).sum();
    records.checked_mul(1_000_000_000)?.checked_div(busy_ns(report))
}

/// How long the pipeline was at work.
fn busy_ns(report: &Report) -> u64 {
    split(report).iter().map(|(_, ns)| ns).sum()
}

/// Where the time of the pipeline went, in nanoseconds.
fn split(report: &Report) -> [(&'static str, u64); 6] {
    let spent = report.spent;
    [
        ("read", spent.read_ns),
        ("decode", spent.decode_ns),
        ("rules", spent.rules_ns),
        ("state", spent.state_ns),
        ("sinks", spent.sinks_ns),
        ("checkpoints", spent.checkpoints_ns),
    ]
}

fn as_text(home: &Home, streams: &Report, night: &NightlyReport, elapsed: Duration) -> String {
    let (topics, rules) = stream_rows(streams);
    let sources: Vec<_> = night.sources.iter().map(SourceRow::of).collect();
    let mut text = format!("\nStreams: what the rules judged\n\n{}\n\n{}\n", table(&topics), table(&rules));
    if let Some(rate) = events_per_second(streams) {
        let shares = split(streams).map(|(part, ns)| format!("{part} {} %", 100 * ns / busy_ns(streams).max(1)));
        let _ = writeln!(text, "\n{} events/s: {}", grouped(rate), shares.join(", "));
    }
    let _ = writeln!(text, "\nFiles: rows in = out + duplicates + filtered + rejected\n\n{}", table(&sources));
    let score = night.quality_score.unwrap_or_default();
    let passed = night.quality.iter().filter(|result| result.passed).count();
    let _ = writeln!(text, "\nQuality: {score:.1} % ({passed} of {} checks), run {}", night.quality.len(), night.state);
    if let Some(refusal) = &night.refusal {
        let _ = writeln!(text, "The published tables stay as they were: {refusal}");
    }
    for (name, rows) in &night.tables {
        let _ = writeln!(text, "  {name}: {} rows", grouped(*rows));
    }
    let root = home.root().display();
    let _ = writeln!(
        text,
        "\nDone in {:.1} s. Everything is in {root}: lake/silver, lake/gold, warehouse.db, topics/alerts_*.",
        elapsed.as_secs_f64()
    );
    let _ = write!(
        text,
        "Try:  sqlite3 {} \"SELECT date, nb_requetes, disponibilite, latence_p95_ms FROM kpi_web_jour\"\n      tamis --home {root} alerts --severity critical",
        home.warehouse().display()
    );
    text
}

fn as_json(home: &Home, streams: &Report, night: &NightlyReport) -> String {
    let (topics, rules) = stream_rows(streams);
    serde_json::json!({
        "home": home.root(),
        "topics": topics,
        "alerts": rules,
        "events_per_second": events_per_second(streams),
        "spent_ns": split(streams).into_iter().collect::<std::collections::BTreeMap<_, _>>(),
        "sources": night.sources.iter().map(SourceRow::of).collect::<Vec<_>>(),
        "run_id": night.run_id,
        "state": night.state,
        "quality_score": night.quality_score,
        "tables": night.tables.iter().map(|(name, rows)| serde_json::json!({"table": name, "rows": rows})).collect::<Vec<_>>(),
    })
    .to_string()
}
