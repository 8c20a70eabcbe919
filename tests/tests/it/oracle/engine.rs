//! The real plugins in the real engine, over topics and sinks in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value as Json;
use tamis_engine::memory::MemorySink;
use tamis_engine::{RulePlan, RuleSet};
use tamis_model::aggregate::AggregateRow;
use tamis_model::alert::Alert;
use tamis_model::dead_letter::DEAD_LETTERS;
use tamis_model::record::Record as Written;
use tamis_model::time::rfc3339_millis;
use tamis_model::topic::TopicSchema;
use tamis_plugin::Plugin;
use tamis_registry::rule_plan;
use tamis_tests::components;

use super::aggregates::Rows;
use super::alerts::{Content, told};
use super::decode::Letter;
use super::feed::{LATER, Record};
use super::group::Judging;
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
    /// Among how many hosts of a group the streams are shared, each with a slice.
    pub hosts: u32,
}

impl Way {
    /// Each partition at once.
    const WHOLE: Self =
        Self { chunk_records: 4096, rows_max: 4096, shards: 1, framed: false, restarted: false, hosts: 1 };

    pub const ALL: [Self; 5] = [
        Self::WHOLE,
        Self { chunk_records: 7, rows_max: 3, shards: 2, framed: true, ..Self::WHOLE },
        Self { chunk_records: 1, rows_max: 1, framed: true, ..Self::WHOLE },
        Self { chunk_records: 5, rows_max: 4, shards: 2, restarted: true, ..Self::WHOLE },
        Self { chunk_records: 5, rows_max: 4, framed: true, restarted: true, hosts: 2, ..Self::WHOLE },
    ];

    /// Batches of 1 and 4096 rows, 1 and 2 shards, 1 and 2 hosts, with and without restarts.
    pub fn each() -> impl Iterator<Item = Self> {
        (0..16).map(|bits| {
            let (one_by_one, shards, restarted) = (bits & 1 > 0, 1 + (bits >> 1 & 1), bits & 4 > 0);
            let (rows_max, hosts) = (if one_by_one { 1 } else { 4096 }, 1 + (bits >> 3));
            // Brokers have frames, and hosts that share streams have brokers.
            let framed = shards == 2 || hosts == 2;
            Self { chunk_records: rows_max, rows_max, shards, framed, restarted, hosts: hosts as u32 }
        })
    }
}

/// What came out.
#[derive(Default)]
pub struct Found {
    /// By id what it says. Hosts that read records of one id each raise it: whoever reads topics knows them by it.
    pub alerts: BTreeMap<String, Vec<Content>>,
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
        let plans = self.plugins.iter().map(|plugin| plan(plugin, overrides)).collect();
        let rules = RuleSet { revision: 1, rules: plans };
        let mut found = Found::default();
        let judging = Judging { way, schemas: &self.topics, rules: &rules };
        judging.outputs(feed).iter().for_each(|outputs| outputs.add_to(&mut found));
        found.letters.sort();
        found
    }
}

fn plan(plugin: &Arc<Plugin>, overrides: &Overrides) -> Arc<RulePlan> {
    let name = &plugin.manifest().name;
    let config = overrides.get(&name[..]).cloned().unwrap_or_default();
    let plan = plugin.effective_config(&config).and_then(|config| rule_plan(name, plugin, config));
    Arc::new(plan.unwrap_or_else(|error| panic!("{}", error.chain())))
}

/// What a stream writes.
#[derive(Clone, Default)]
pub struct Outputs {
    pub records: MemorySink<Written>,
    pub raised: MemorySink<Alert>,
    pub emitted: MemorySink<AggregateRow>,
}

impl Outputs {
    fn add_to(&self, found: &mut Found) {
        let records = self.records.content();
        let (letters, records): (Vec<&Written>, Vec<&Written>) =
            records.iter().partition(|record| record.topic == DEAD_LETTERS);
        found.letters.extend(letters.into_iter().map(letter));
        let (mut ids, mut written) = (BTreeSet::new(), Vec::new());
        for record in records {
            let alert: Json = serde_json::from_slice(record.value.as_deref().unwrap()).unwrap();
            assert_eq!(alert["event_time"], rfc3339_millis(record.timestamp), "the time of a record is the alert's");
            assert!(
                alert["generated_at"].as_str().unwrap() >= &rfc3339_millis(LATER)[..],
                "it is the time of the clock"
            );
            let id = alert["alert_id"].as_str().unwrap().to_owned();
            found.alerts.entry(id.clone()).or_default().push(content(record, &alert));
            assert!(ids.insert(id), "{alert} was raised twice");
            written.push(alert);
        }
        let raised: Vec<_> = self.raised.content().iter().map(|alert| serde_json::to_value(alert).unwrap()).collect();
        assert_eq!(raised, written, "sinks of alerts get what stands in topics");
        for row in self.emitted.content() {
            assert!(found.rows.add(serde_json::from_str(&row.json).unwrap()), "there are two rows {}", row.json);
        }
    }
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
