//! The real plugins in the real engine, over topics and sinks in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value as Json;
use tamis_engine::memory::{ManualClock, MemoryCheckpoints, MemorySink, MemoryTopics};
use tamis_engine::{Decisions, RulePlan, RuleSet, Sinks, Step, Stream, StreamParts, StreamSettings};
use tamis_model::aggregate::AggregateRow;
use tamis_model::alert::Alert;
use tamis_model::dead_letter::DEAD_LETTERS;
use tamis_model::position::Partition;
use tamis_model::record::Record as Written;
use tamis_model::time::rfc3339_millis;
use tamis_model::topic::TopicSchema;
use tamis_plugin::Plugin;
use tamis_registry::rule_plan;
use tamis_tests::components;

use super::aggregates::Rows;
use super::alerts::{Content, told};
use super::decode::Letter;
use super::feed::{Record, START};
use super::settings::{AGGREGATES, Overrides, RULES};

/// How a feed goes through the engine: none may change what comes out.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    pub chunk_records: usize,
    pub rows_max: usize,
    pub shards: usize,
    /// Whether records come in frames, as from a broker, and not in lines.
    pub framed: bool,
    /// Whether there is a checkpoint after each batch, and again and again the process dies.
    pub restarted: bool,
}

impl Way {
    /// Each partition at once.
    const WHOLE: Self = Self { chunk_records: 4096, rows_max: 4096, shards: 1, framed: false, restarted: false };

    pub const ALL: [Self; 4] = [
        Self::WHOLE,
        Self { chunk_records: 7, rows_max: 3, shards: 2, framed: true, restarted: false },
        Self { chunk_records: 1, rows_max: 1, framed: true, ..Self::WHOLE },
        Self { chunk_records: 5, rows_max: 4, shards: 2, framed: false, restarted: true },
    ];

    /// Batches of 1 and 4096 rows, 1 and 2 shards, with and without restarts.
    pub fn each() -> impl Iterator<Item = Self> {
        (0..8).map(|bits| {
            let (one_by_one, shards, restarted) = (bits & 1 > 0, 1 + (bits >> 1 & 1), bits & 4 > 0);
            let rows_max = if one_by_one { 1 } else { 4096 };
            Self { chunk_records: rows_max, rows_max, shards, framed: shards == 2, restarted }
        })
    }
}

/// What came out.
pub struct Found {
    pub alerts: BTreeMap<String, Content>,
    pub rows: Rows,
    pub letters: Vec<Letter>,
}

/// The plugins, compiled once.
pub struct Engine {
    plugins: Vec<Arc<Plugin>>,
    topics: Vec<TopicSchema>,
}

impl Engine {
    pub fn new() -> Self {
        let sandbox = components::sandbox();
        let names = RULES.iter().map(|name| (*name).to_owned());
        let names = names.chain(AGGREGATES.iter().map(|name| name.replace('_', "-")));
        let plugins = names.map(|name| components::load(&sandbox, &name)).collect();
        Self { plugins, topics: tamis::topics::standard().unwrap() }
    }

    pub fn run(&self, feed: &[Record], overrides: &Overrides, way: Way) -> Found {
        let topics = MemoryTopics::new();
        let (records, raised) = (MemorySink::<Written>::new(), MemorySink::<Alert>::new());
        let (emitted, checkpoints) = (MemorySink::<AggregateRow>::new(), MemoryCheckpoints::new());
        for record in feed {
            let partition = Partition { topic: record.topic.to_owned(), number: record.partition };
            match serde_json::from_str::<Json>(&record.value) {
                Ok(_) => topics.append(&partition, record.time, None, &record.value),
                Err(_) => topics.append_bytes(&partition, record.time, record.value.as_bytes()),
            };
        }
        let plans: Vec<_> = self.plugins.iter().map(|plugin| plan(plugin, overrides)).collect();
        let Way { chunk_records, rows_max, shards, framed, restarted } = way;
        let open = || {
            let checkpoint_interval_ms = if restarted { 0 } else { i64::MAX };
            let source = if framed { MemoryTopics::framed_source } else { MemoryTopics::source };
            let parts = StreamParts {
                settings: StreamSettings {
                    rows_max,
                    shards,
                    bounded: true,
                    checkpoint_interval_ms,
                    ..StreamSettings::default()
                },
                source: Box::new(source(&topics, true, chunk_records)),
                schemas: self.topics.clone(),
                rules: RuleSet { revision: 1, rules: plans.clone() },
                sinks: Sinks {
                    records: Box::new(records.clone()),
                    alerts: vec![("oracle".to_owned(), Box::new(raised.clone()))],
                    aggregates: Some(Box::new(emitted.clone())),
                },
                checkpoints: Box::new(checkpoints.clone()),
                clock: Arc::new(ManualClock::new(START)),
                decisions: Decisions::default(),
            };
            Stream::open(parts).unwrap_or_else(|error| panic!("{}", error.chain()))
        };
        // What has to be looked at again after a restart takes steps, too: each process gets a few more than the last.
        let mut lives = (1..).map(|life| if restarted { 3 * life + 2 } else { usize::MAX });
        while !lives.next().is_some_and(|steps| finishes(open(), steps)) {}
        found(&records.content(), &raised.content(), &emitted.content())
    }
}

/// Whether the stream comes to its end in so many steps.
fn finishes(mut stream: Stream, steps: usize) -> bool {
    (0..steps).any(|_| stream.step().unwrap_or_else(|error| panic!("{}", error.chain())) == Step::Finished)
}

fn plan(plugin: &Arc<Plugin>, overrides: &Overrides) -> Arc<RulePlan> {
    let name = &plugin.manifest().name;
    let config = overrides.get(&name[..]).cloned().unwrap_or_default();
    let plan = plugin.effective_config(&config).and_then(|config| rule_plan(name, plugin, config));
    Arc::new(plan.unwrap_or_else(|error| panic!("{}", error.chain())))
}

fn found(records: &[Written], raised: &[Alert], emitted: &[AggregateRow]) -> Found {
    let (letters, records): (Vec<&Written>, Vec<&Written>) =
        records.iter().partition(|record| record.topic == DEAD_LETTERS);
    let mut letters: Vec<_> = letters.into_iter().map(letter).collect();
    letters.sort();
    let (mut alerts, mut written) = (BTreeMap::new(), Vec::new());
    for record in records {
        let alert: Json = serde_json::from_slice(record.value.as_deref().unwrap()).unwrap();
        assert_eq!(alert["event_time"], rfc3339_millis(record.timestamp), "the time of a record is the alert's");
        assert_eq!(alert["generated_at"], rfc3339_millis(START));
        let id = alert["alert_id"].as_str().unwrap().to_owned();
        assert!(alerts.insert(id, content(record, &alert)).is_none(), "{alert} was raised twice");
        written.push(alert);
    }
    let raised: Vec<_> = raised.iter().map(|alert| serde_json::to_value(alert).unwrap()).collect();
    assert_eq!(raised, written, "sinks of alerts get what stands in topics");
    let mut rows = Rows::default();
    for row in emitted {
        assert!(rows.add(serde_json::from_str(&row.json).unwrap()), "there are two rows {}", row.json);
    }
    Found { alerts, rows, letters }
}

fn content(record: &Written, alert: &Json) -> Content {
    let text = |name: &str| alert[name].as_str().map(str::to_owned);
    Content {
        route: record.topic.clone(),
        record_key: String::from_utf8(record.key.clone().unwrap()).unwrap(),
        rule: text("rule").unwrap(),
        mode: text("mode").unwrap(),
        severity: text("severity").unwrap(),
        criteria: serde_json::from_value(alert["criteria"].clone()).unwrap(),
        key: text("key"),
        event_time: text("event_time").unwrap(),
        payment_id: text("payment_id"),
        order_id: text("order_id"),
        customer_id: text("customer_id"),
        context: told(alert["context"].as_object().unwrap().clone()),
    }
}

fn letter(record: &Written) -> Letter {
    let header = |name: &str| {
        let (_, value) = record.headers.iter().find(|(other, _)| other == name).unwrap();
        String::from_utf8(value.clone()).unwrap()
    };
    Letter {
        topic: header("__streams.errors.topic"),
        partition: header("__streams.errors.partition"),
        offset: header("__streams.errors.offset"),
        time: record.timestamp,
        value: record.value.clone(),
        reason: header("tamis.reason"),
    }
}
