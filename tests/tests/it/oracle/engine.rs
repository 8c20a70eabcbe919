//! The real plugins in the real engine, over topics and sinks in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use tamis_engine::memory::{ManualClock, MemoryCheckpoints, MemorySink, MemoryTopics};
use tamis_engine::{Decisions, RulePlan, RuleSet, Sinks, Step, Stream, StreamParts, StreamSettings};
use tamis_model::aggregate::AggregateRow;
use tamis_model::alert::Alert;
use tamis_model::position::Partition;
use tamis_model::record::Record as Written;
use tamis_model::topic::TopicSchema;
use tamis_plugin::Plugin;
use tamis_registry::rule_plan;
use tamis_tests::components;

use super::aggregates::Rows;
use super::alerts::Content;
use super::feed::{Record, START};
use super::settings::{AGGREGATES, Overrides, RULES};

/// How a feed goes through the engine: none may change what comes out.
#[derive(Clone, Copy, Debug)]
pub enum Way {
    /// Each partition at once.
    Whole,
    /// In batches of three out of chunks of seven.
    Few,
    /// Record by record.
    Single,
    /// In batches of four with a checkpoint after each, and again and again the process dies.
    Restarted,
}

impl Way {
    pub const ALL: [Self; 4] = [Self::Whole, Self::Few, Self::Single, Self::Restarted];

    /// Records of a chunk, rows of a batch.
    fn sizes(self) -> (usize, usize) {
        match self {
            Self::Whole => (4096, 4096),
            Self::Few => (7, 3),
            Self::Single => (1, 1),
            Self::Restarted => (5, 4),
        }
    }
}

/// What came out.
pub struct Found {
    pub alerts: BTreeMap<String, Content>,
    pub rows: Rows,
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
            topics.append(&partition, record.time, None, &record.value);
        }
        let plans: Vec<_> = self.plugins.iter().map(|plugin| plan(plugin, overrides)).collect();
        let (chunk_records, rows_max) = way.sizes();
        let open = || {
            let restarted = matches!(way, Way::Restarted);
            let checkpoint_interval_ms = if restarted { 0 } else { i64::MAX };
            let parts = StreamParts {
                settings: StreamSettings {
                    rows_max,
                    bounded: true,
                    checkpoint_interval_ms,
                    ..StreamSettings::default()
                },
                source: Box::new(topics.source(true, chunk_records)),
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
        let mut lives = (1..).map(|life| if matches!(way, Way::Restarted) { 3 * life + 2 } else { usize::MAX });
        while !lives.next().is_some_and(|steps| finishes(open(), steps)) {}
        found(&raised.content(), &emitted.content())
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

fn found(raised: &[Alert], emitted: &[AggregateRow]) -> Found {
    let mut alerts = BTreeMap::new();
    for alert in raised {
        let before = alerts.insert(alert.alert_id.clone(), content(alert));
        assert!(before.is_none(), "{} was raised twice", alert.alert_id);
    }
    let mut rows = Rows::default();
    for row in emitted {
        assert!(rows.add(serde_json::from_str(&row.json).unwrap()), "there are two rows {}", row.json);
    }
    Found { alerts, rows }
}

fn content(alert: &Alert) -> Content {
    Content {
        rule: alert.rule.clone(),
        severity: alert.severity.name(),
        criteria: alert.criteria.clone(),
        key: alert.key.clone(),
        event_time: alert.event_time.clone(),
        payment_id: alert.payment_id.clone(),
        order_id: alert.order_id.clone(),
        customer_id: alert.customer_id.clone(),
    }
}
