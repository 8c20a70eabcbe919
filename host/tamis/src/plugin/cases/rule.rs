//! Cases of rules: records in, alerts and rows out, through the stream pipeline.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use tamis_engine::memory::{MemoryCheckpoints, MemorySink, MemoryTopics};
use tamis_engine::{Decisions, RulePlan, RuleSet, Sinks, Step, Stream, StreamParts, StreamSettings, SystemClock};
use tamis_model::aggregate::AggregateRow;
use tamis_model::alert::Alert;
use tamis_model::dead_letter::DEAD_LETTERS;
use tamis_model::error::Context;
use tamis_model::position::Partition;
use tamis_model::record::Record;
use tamis_model::time::Millis;
use tamis_model::topic::TopicSchema;
use tamis_model::{Error, Result};
use tamis_plugin::Plugin;
use tamis_registry::rule_plan;

use super::matching;

/// A case as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    case: String,
    #[serde(default)]
    config: Value,
    records: Vec<CaseRecord>,
    #[serde(default)]
    alerts: Vec<Value>,
    /// The rows of an aggregate.
    #[serde(default)]
    rows: Vec<Value>,
    #[serde(default)]
    dead_letters: Vec<Value>,
}

/// A record of a case. Those of one partition arrive in the order in which they are written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseRecord {
    topic: String,
    #[serde(default)]
    partition: u32,
    timestamp: Millis,
    key: Option<String>,
    value: Value,
}

/// What came out of the records of a case.
struct Output {
    alerts: Vec<Value>,
    rows: Vec<Value>,
    dead_letters: Vec<Value>,
}

/// Runs the records through the pipeline, in large batches and one by one: what comes out must not depend on it.
pub(super) fn run(plugin: &Arc<Plugin>, case: &Case, topics: &[TopicSchema]) -> Result<(String, Vec<String>)> {
    let name = &plugin.manifest().name;
    let rule = Arc::new(rule_plan(name, plugin, plugin.effective_config(&case.config)?)?);
    let mut failures = Vec::new();
    for rows_max in [4096, 1] {
        let Output { alerts, rows, dead_letters } = judge(&rule, case, topics, rows_max)?;
        let shown = ["payment_id", "key", "event_time", "criteria"];
        failures = matching::unordered("alert", &case.alerts, &alerts, &shown);
        failures.extend(matching::unordered("row", &case.rows, &rows, &["window", "window_start", "key"]));
        let shown = ["offset", "reason", "message"];
        failures.extend(matching::unordered("dead letter", &case.dead_letters, &dead_letters, &shown));
        if !failures.is_empty() {
            break;
        }
    }
    Ok((case.case.clone(), failures))
}

/// Judges the records of the case in batches of `rows_max`.
fn judge(rule: &Arc<RulePlan>, case: &Case, topics: &[TopicSchema], rows_max: usize) -> Result<Output> {
    let (records, alerts) = (MemorySink::<Record>::new(), MemorySink::<Alert>::new());
    let aggregates = MemorySink::<AggregateRow>::new();
    let sinks = Sinks {
        records: Box::new(records.clone()),
        alerts: vec![("case".to_owned(), Box::new(alerts.clone()))],
        aggregates: Some(Box::new(aggregates.clone())),
    };
    let mut stream = Stream::open(StreamParts {
        settings: StreamSettings { rows_max, bounded: true, ..StreamSettings::default() },
        source: Box::new(written(rule, case, topics)?.source(true, rows_max)),
        schemas: topics.to_vec(),
        rules: RuleSet { revision: 1, rules: vec![Arc::clone(rule)] },
        sinks,
        checkpoints: Box::new(MemoryCheckpoints::new()),
        clock: Arc::new(SystemClock),
        decisions: Decisions::default(),
    })?;
    while stream.step()? != Step::Finished {}
    let alerts = alerts.content().iter().map(serde_json::to_value).collect::<Result<_, _>>();
    let rows = aggregates.content().iter().map(|row| serde_json::from_str(&row.json)).collect::<Result<_, _>>();
    let dead_letters =
        records.content().iter().filter(|record| record.topic == DEAD_LETTERS).map(dead_letter).collect();
    Ok(Output {
        alerts: alerts.invalid("read alerts of case", &case.case)?,
        rows: rows.invalid("read rows of case", &case.case)?,
        dead_letters,
    })
}

/// The topics of the case. Those that the rule reads exist even when the case has no record for them.
fn written(rule: &RulePlan, case: &Case, topics: &[TopicSchema]) -> Result<MemoryTopics> {
    let written = MemoryTopics::new();
    let partition = |topic: &str, number| Partition { topic: topic.to_owned(), number };
    for topic in rule.manifest.inputs.iter().filter_map(|input| input.topic.as_deref()) {
        written.create(&partition(topic, 0));
    }
    for record in &case.records {
        if !topics.iter().any(|topic| topic.name == record.topic) {
            return Err(Error::invalid("run case", &case.case, format!("topic {} has no schema", record.topic)));
        }
        let partition = partition(&record.topic, record.partition);
        written.append(&partition, record.timestamp, record.key.as_deref(), &record.value.to_string());
    }
    Ok(written)
}

/// The headers of a dead letter, by their last names.
fn dead_letter(record: &Record) -> Value {
    let member = |(name, value): &(String, Vec<u8>)| {
        let short = name.rsplit('.').next().unwrap_or(name).to_owned();
        (short, Value::from(String::from_utf8_lossy(value)))
    };
    Value::Object(record.headers.iter().map(member).collect())
}
