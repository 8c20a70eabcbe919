//! Payments on their way into topics, streams over them, and what a brute-force judge expects.

use std::collections::BTreeMap;
use std::sync::Arc;

use tamis_engine::memory::{ManualClock, MemoryCheckpoints, MemorySink, MemoryTopics};
use tamis_engine::stream::Commits;
use tamis_engine::{
    CheckpointStore, Decisions, RulePlan, RuleSet, Sink, Sinks, Step, Stream, StreamParts, StreamSettings,
};
use tamis_model::Result;
use tamis_model::aggregate::AggregateRow;
use tamis_model::alert::Alert;
use tamis_model::position::Partition;
use tamis_model::record::Record;
use tamis_model::time::{Millis, window_start};
use tamis_model::topic::TopicSchema;

/// Where the tests' clocks begin and around which events happen.
pub const NOON: Millis = 1_773_835_200_000;

pub fn payments(number: u32) -> Partition {
    Partition { topic: "payments".to_owned(), number }
}

pub fn schemas() -> Vec<TopicSchema> {
    let payments = include_str!("../../../../schemas/topics/payments.schema.json");
    let orders = include_str!("../../../../schemas/topics/orders.schema.json");
    [payments, orders].map(|schema| TopicSchema::parse(schema).unwrap()).into()
}

/// A payment record.
#[derive(Clone, Debug)]
pub struct Payment {
    pub partition: u32,
    pub time: Millis,
    pub session: Option<&'static str>,
    /// Hundredths.
    pub amount: i64,
    /// Whether it can be decoded.
    pub valid: bool,
}

impl Payment {
    pub fn new(partition: u32, time: Millis, session: &'static str, amount: i64) -> Self {
        Self { partition, time, session: Some(session), amount, valid: true }
    }
}

/// Everything that outlives a process.
#[derive(Clone)]
pub struct World {
    pub topics: MemoryTopics,
    pub records: MemorySink<Record>,
    pub alerts: MemorySink<Alert>,
    pub aggregates: MemorySink<AggregateRow>,
    pub checkpoints: MemoryCheckpoints,
    pub clock: ManualClock,
    pub decisions: Decisions,
}

/// How a stream reads.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    pub rows_max: usize,
    pub shards: usize,
    pub chunk_records: usize,
    pub bounded: bool,
    pub checkpoint_interval_ms: i64,
    pub commits: Commits,
}

impl Reading {
    /// To the end, in one batch for each partition, without checkpoints on the way.
    pub const WHOLE: Self = Self {
        rows_max: 4096,
        shards: 1,
        chunk_records: 4096,
        bounded: true,
        checkpoint_interval_ms: i64::MAX,
        commits: Commits::InStep,
    };
    /// Waiting for more.
    pub const LIVE: Self = Self { bounded: false, ..Self::WHOLE };
}

impl World {
    pub fn new() -> Self {
        Self {
            topics: MemoryTopics::new(),
            records: MemorySink::new(),
            alerts: MemorySink::new(),
            aggregates: MemorySink::new(),
            checkpoints: MemoryCheckpoints::new(),
            clock: ManualClock::new(NOON),
            decisions: Decisions::default(),
        }
    }

    /// The n-th payment has the id `p<n>`.
    pub fn of(feed: &[Payment]) -> Self {
        let world = Self::new();
        for (n, payment) in feed.iter().enumerate() {
            world.append(&format!("p{n}"), payment);
        }
        world
    }

    pub fn append(&self, id: &str, payment: &Payment) {
        let session = payment.session.map_or("null".to_owned(), |session| format!("\"{session}\""));
        let method = if payment.valid { "card" } else { "barter" };
        let amount = format!("{}.{:02}", payment.amount / 100, payment.amount % 100);
        let value = format!(
            r#"{{"payment_id":"{id}","session_id":{session},"customer_id":"{}","amount":{amount},"method":"{method}","status":"succeeded"}}"#,
            customer(payment)
        );
        self.topics.append(&payments(payment.partition), payment.time, Some(id), &value);
    }

    pub fn open(&self, rules: Vec<RulePlan>, reading: Reading) -> Stream {
        let sinks = Sinks {
            records: Box::new(self.records.clone()),
            alerts: vec![("files".to_owned(), Box::new(self.alerts.clone()))],
            aggregates: Some(Box::new(self.aggregates.clone())),
        };
        self.open_with(rules, reading, sinks, Box::new(self.checkpoints.clone())).unwrap()
    }

    pub fn open_with(
        &self,
        rules: Vec<RulePlan>,
        reading: Reading,
        sinks: Sinks,
        checkpoints: Box<dyn CheckpointStore>,
    ) -> Result<Stream> {
        let settings = StreamSettings {
            rows_max: reading.rows_max,
            shards: reading.shards,
            bounded: reading.bounded,
            checkpoint_interval_ms: reading.checkpoint_interval_ms,
            commits: reading.commits,
            ..StreamSettings::default()
        };
        Stream::open(StreamParts {
            settings,
            source: Box::new(self.topics.source(reading.bounded, reading.chunk_records)),
            schemas: schemas(),
            rules: RuleSet { revision: 1, rules: rules.into_iter().map(Arc::new).collect() },
            sinks,
            checkpoints,
            clock: Arc::new(self.clock.clone()),
            decisions: self.decisions.clone(),
        })
    }

    /// Every record written and every alert raised, as sorted texts.
    pub fn output(&self) -> Vec<String> {
        let text = |bytes: &Option<Vec<u8>>| String::from_utf8_lossy(bytes.as_deref().unwrap_or(b"null")).into_owned();
        let record = |r: Record| format!("{} {} {} {}", r.topic, r.timestamp, text(&r.key), text(&r.value));
        let alert = |alert: Alert| format!("alert {}", serde_json::to_string(&alert).unwrap());
        let records = self.records.content().into_iter().map(record);
        let mut output: Vec<_> = records.chain(self.alerts.content().into_iter().map(alert)).collect();
        output.sort();
        output
    }

    /// The rule and trigger of every alert: `burst p3`, `rate s1 1773835200000`.
    pub fn raised(&self) -> Vec<String> {
        let mut raised: Vec<_> = self.alerts.content().iter().map(name).collect();
        raised.sort();
        raised
    }
}

fn name(alert: &Alert) -> String {
    match &alert.payment_id {
        Some(id) => format!("{} {id}", alert.rule),
        None => format!("{} {} {}", alert.rule, alert.key.as_deref().unwrap(), alert.event_time),
    }
}

/// Steps until the input has ended.
pub fn finish(stream: &mut Stream) {
    for _ in 0..100_000 {
        if stream.step().unwrap() == Step::Finished {
            return;
        }
    }
    panic!("the stream does not end");
}

/// Steps until there is nothing to do.
pub fn settle(stream: &mut Stream) {
    for _ in 0..100_000 {
        if stream.step().unwrap() == Step::Waited {
            return;
        }
    }
    panic!("the stream does not come to rest");
}

/// The limits of the rules that [`expected`] judges by.
pub const AMOUNT_MAX: i64 = 150_000;
pub const BURST_MAX: usize = 2;
pub const BURST_MS: Millis = 5_000;
pub const RATE_MAX: i64 = 3;
pub const RATE_MS: Millis = 60_000;

pub fn all_rules() -> Vec<RulePlan> {
    use crate::rules::{burst, high_amount, rate};
    vec![high_amount(AMOUNT_MAX), burst(BURST_MAX, BURST_MS), rate("session_id", RATE_MAX, RATE_MS)]
}

/// What the rules of [`all_rules`] raise, by the words of the contract and without any cleverness.
pub fn expected(feed: &[Payment]) -> Vec<String> {
    let high = feed.iter().enumerate().filter(|(_, payment)| payment.valid && payment.amount > AMOUNT_MAX);
    let mut raised: Vec<String> = high.map(|(n, _)| format!("high-amount p{n}")).collect();
    let timely = timely(feed);
    for (n, Payment { time, session, .. }) in timely.iter().filter(|(_, payment)| payment.session.is_some()) {
        let before = |(_, p): &&(usize, &Payment)| p.session == *session && p.time > time - BURST_MS && p.time <= *time;
        if timely.iter().filter(before).count() > BURST_MAX {
            raised.push(format!("burst p{n}"));
        }
    }
    raised.extend(expected_rates(feed, "rate", |payment| payment.session.map(str::to_owned)));
    raised.sort();
    raised
}

/// What a rate of payments by some key raises, unsorted.
pub fn expected_rates(feed: &[Payment], rule: &str, key: impl Fn(&Payment) -> Option<String>) -> Vec<String> {
    let mut windows = BTreeMap::<(String, Millis), i64>::new();
    for (_, payment) in timely(feed) {
        if let Some(key) = key(payment) {
            *windows.entry((key, window_start(payment.time, RATE_MS))).or_default() += 1;
        }
    }
    let many = windows.into_iter().filter(|(_, count)| *count > RATE_MAX);
    many.map(|((key, start), _)| format!("{rule} {key} {}", tamis_model::time::rfc3339_millis(start))).collect()
}

/// The payments that can be decoded and are not behind the watermark of their partition, with their numbers.
fn timely(feed: &[Payment]) -> Vec<(usize, &Payment)> {
    let mut highest = BTreeMap::<u32, Millis>::new();
    let mut timely = Vec::new();
    for (n, payment) in feed.iter().enumerate() {
        let watermark = highest.get(&payment.partition).map_or(Millis::MIN, |time| time - 10_000);
        let top = highest.entry(payment.partition).or_insert(payment.time);
        *top = (*top).max(payment.time);
        if payment.valid && payment.time >= watermark {
            timely.push((n, payment));
        }
    }
    timely
}

/// A key that cuts across sessions and partitions.
pub fn customer(payment: &Payment) -> String {
    format!("c{}", payment.amount % 3)
}

/// Sinks over a world that are given to a stream, each behind `wrap`.
pub fn sinks(records: Box<dyn Sink<Record>>, alerts: Box<dyn Sink<Alert>>) -> Sinks {
    Sinks { records, alerts: vec![("files".to_owned(), alerts)], aggregates: None }
}
