//! The topics: filled, counted, and read again.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tamis::demo::{Event, Scale, orders, payments};
use tamis_connectors::kafka::{KafkaConnection, KafkaSink, KafkaSource, KafkaSourceSettings, KafkaTopics};
use tamis_engine::{Chunk, Read, Sink, Source};
use tamis_model::position::{Partition, Positions};
use tamis_model::record::Record;
use tamis_services::kafka;
use tamis_tests::payments::{Numbers, Shape, line};

/// The topics that the rules read.
pub const READ: [&str; 2] = ["payments", "orders"];
/// The topic of Flink's alerts.
pub const FLINK_ALERTS: &str = "alerts_flink";
const SEED: u64 = 7;
/// Payments and orders of a day of the company's usual volume.
const PER_DAY: u64 = 35_000;
/// How far behind the latest before it a record may be and still be in time.
const LATE_MS: i64 = 10_000;
/// Records that are handed over at a time.
const BATCH: usize = 1_000;
const ARRIVAL_PAUSE: Duration = Duration::from_millis(2);

/// The topics of a cluster.
pub struct Topics {
    bootstrap: String,
    topics: KafkaTopics,
}

impl Topics {
    pub fn new(cluster: &kafka::Cluster) -> Self {
        let bootstrap = cluster.bootstrap();
        let topics = KafkaTopics::new(KafkaConnection::plain(bootstrap.clone()));
        Self { bootstrap, topics }
    }

    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    pub fn connection(&self) -> KafkaConnection {
        KafkaConnection::plain(self.bootstrap.clone())
    }

    /// Writes a day of the reference company, about `events` payments and orders. How many they are.
    pub fn fill(&self, events: u64) -> Result<u64> {
        let scale = Scale(u32::try_from(events.div_ceil(PER_DAY)).context("so many events make no day")?);
        let mut sink = KafkaSink::at_least_once(&self.connection())?;
        let sent = send(&mut sink, READ[0], payments(SEED, scale))? + send(&mut sink, READ[1], orders(SEED, scale))?;
        sink.stage()?;
        Ok(sent)
    }

    /// Writes so many payments of the benchmark from files.
    pub fn fill_payments(&self, count: u64) -> Result<()> {
        let mut sink = KafkaSink::at_least_once(&self.connection())?;
        ensure!(send(&mut sink, READ[0], usual_payments(count))? == count, "a payment is late");
        sink.stage()?;
        Ok(())
    }

    /// The topics of Tamis's alerts.
    pub fn of_tamis(&self) -> Result<Vec<String>> {
        let topics = self.topics.overview()?.into_iter().map(|topic| topic.topic);
        Ok(topics.filter(|topic| topic.starts_with("alerts_") && topic != FLINK_ALERTS).collect())
    }

    /// Where topics end now.
    pub fn ends(&self, topics: &[String]) -> Result<Positions> {
        let mut ends = Positions::default();
        for overview in self.topics.overview()? {
            if topics.contains(&overview.topic) {
                for partition in overview.partitions {
                    let number = partition.number;
                    ends.set(&Partition { topic: overview.topic.clone(), number }, partition.next_offset);
                }
            }
        }
        Ok(ends)
    }

    /// Reads the committed records of topics, from their beginning when nothing else is said, to where they end now.
    pub fn read(
        &self,
        topics: &[String],
        from: Option<&Positions>,
        take: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let settings = KafkaSourceSettings::new(topics.iter().cloned(), "bench").until_end();
        let mut source = KafkaSource::new(self.connection(), settings);
        source.open(from.unwrap_or(&Positions::default()))?;
        let mut partitions = source.partitions()?;
        let mut chunk = Chunk::default();
        while !partitions.is_empty() {
            let (mut ended, mut any) = (Vec::new(), false);
            for partition in &partitions {
                match source.read(partition, &mut chunk)? {
                    Read::Records => {
                        any = true;
                        chunk.framed().try_for_each(|record| take(record.value.unwrap_or_default()))?;
                    }
                    Read::Waiting => {}
                    Read::Ended => ended.push(partition.clone()),
                    other => bail!("{partition} is {other:?} and has no end"),
                }
            }
            partitions.retain(|partition| !ended.contains(partition));
            if !any {
                std::thread::sleep(ARRIVAL_PAUSE);
            }
        }
        Ok(())
    }
}

/// The payments of the benchmark from files.
pub fn usual_payments(count: u64) -> impl Iterator<Item = Event> {
    let mut numbers = Numbers::new(SEED);
    (0..count).map(move |offset| {
        let record: Value =
            serde_json::from_str(&line(&mut numbers, offset, Shape::Usual)).expect("it is a record line");
        Event {
            timestamp: record["timestamp"].as_i64().expect("it has a time"),
            key: record["key"].as_str().expect("it has a key").to_owned(),
            value: record["value"].to_string(),
        }
    })
}

/// How many records there are from one place to another.
pub fn between(from: &Positions, to: &Positions) -> u64 {
    let records = |(partition, end): (&Partition, &i64)| end - from.0.get(partition).copied().unwrap_or(0);
    to.0.iter().map(records).sum::<i64>().try_into().unwrap_or(0)
}

/// Writes events but those that are late: what that is, each engine sees in its own way.
fn send(sink: &mut KafkaSink, topic: &str, events: impl Iterator<Item = Event>) -> Result<u64> {
    let (mut latest, mut sent, mut waiting) = (i64::MIN, 0, Vec::with_capacity(BATCH));
    for event in events {
        if event.timestamp > latest.saturating_sub(LATE_MS) {
            latest = latest.max(event.timestamp);
            waiting.push(record(topic, event));
            sent += 1;
        }
        if waiting.len() == BATCH {
            sink.write(&waiting)?;
            waiting.clear();
        }
    }
    sink.write(&waiting)?;
    Ok(sent)
}

/// An event as it is written.
pub fn record(topic: &str, event: Event) -> Record {
    Record {
        topic: topic.to_owned(),
        partition: None,
        timestamp: event.timestamp,
        key: Some(event.key.into_bytes()),
        value: Some(event.value.into_bytes()),
        value_is_json: true,
        headers: Vec::new(),
    }
}
