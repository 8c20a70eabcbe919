//! Source and checkpoints keep their contracts.

use rdkafka::admin::AdminOptions;
use tamis_connectors::kafka::{
    KafkaChangelog, KafkaConnection, KafkaSource, KafkaSourceSettings, KafkaTopics, KafkaTransactions, TopicSettings,
};
use tamis_engine::conformance::{CheckpointHarness, SourceHarness, checkpoint_contract, source_contract};
use tamis_engine::{CheckpointStore, Source};
use tamis_model::position::{Partition, Positions};
use tamis_model::time::Millis;
use tamis_services::kafka::Options;

use crate::fixture::{OPEN_MAX, SETTINGS, add_partitions, admin, connection, eventually, record, send, start};

/// The topic that the contract writes to.
const TOPIC: &str = "payments";

struct Topic {
    bounded: bool,
    partitions: u32,
}

impl Topic {
    fn new(bounded: bool) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (admin, topics) = (admin(), KafkaTopics::new(connection()));
        runtime.block_on(admin.delete_topics(&[TOPIC], &AdminOptions::new())).unwrap();
        eventually("the topic is gone", || topics.require(&[TOPIC.to_owned()]).is_err());
        eventually("the topic is new", || {
            topics.create(&[TOPIC.to_owned()], SETTINGS).is_ok_and(|made| made[0].created)
        });
        eventually("the topic is known", || topics.require(&[TOPIC.to_owned()]).is_ok());
        Self { bounded, partitions: 1 }
    }
}

impl SourceHarness for Topic {
    fn append(&mut self, partition: &Partition, timestamp: Millis, value: &str) {
        if partition.number >= self.partitions {
            self.partitions = partition.number + 1;
            add_partitions(TOPIC, self.partitions as usize);
            let topics = KafkaTopics::new(connection());
            eventually("the partition is known", || {
                let overview = topics.overview().unwrap_or_default();
                overview.iter().any(|topic| topic.topic == TOPIC && topic.partitions.len() == self.partitions as usize)
            });
        }
        send(partition, timestamp, &[value.to_owned()]);
    }

    fn open(&mut self) -> Box<dyn Source> {
        let mut settings = KafkaSourceSettings::new([TOPIC.to_owned()], "contract");
        settings.metadata_every = std::time::Duration::ZERO;
        // A few records a chunk.
        settings.chunk_bytes = 200;
        Box::new(KafkaSource::new(connection(), if self.bounded { settings.until_end() } else { settings }))
    }

    fn bounded(&self) -> bool {
        self.bounded
    }

    fn wakes(&self) -> bool {
        !self.bounded
    }
}

#[test]
fn sources_keep_the_contract() {
    for bounded in [true, false] {
        source_contract(|| Topic::new(bounded));
    }
}

/// Checkpoints in a topic of their own.
struct Changelog {
    connection: KafkaConnection,
    topic: String,
    /// Whose group is told positions.
    source: KafkaSource,
    opened: u32,
}

impl Changelog {
    fn new(connection: &KafkaConnection, number: u32) -> Self {
        let topic = format!("changelog-{number}");
        let settings = KafkaSourceSettings::new([TOPIC.to_owned()], &topic);
        let mut source = KafkaSource::new(connection.clone(), settings);
        source.open(&Positions::default()).unwrap();
        Self { connection: connection.clone(), topic, source, opened: 0 }
    }

    fn transactions(&self, name: &str) -> KafkaTransactions {
        KafkaTransactions::open(&self.connection, &format!("{}-{name}", self.topic), OPEN_MAX).unwrap()
    }
}

impl CheckpointHarness for Changelog {
    /// Under a name of its own: the suite goes on with stores that it opened before, which a successor would fence.
    fn open(&mut self) -> Box<dyn CheckpointStore> {
        self.opened += 1;
        let (connection, transactions) = (self.connection.clone(), self.transactions(&self.opened.to_string()));
        Box::new(KafkaChangelog::open(connection, &self.topic, 1, transactions, Some(self.source.group())).unwrap())
    }

    fn interrupt_save(&mut self) -> bool {
        let dying = self.transactions("interrupted");
        dying.write(&vec![record(&self.topic, "half of a checkpoint"); 100]).unwrap();
        dying.flush().unwrap();
        drop(dying);
        // Whoever comes next under its name ends what it began.
        drop(self.transactions("interrupted"));
        true
    }
}

#[test]
fn checkpoints_keep_the_contract() {
    // Of their own, because the suite's positions are those of a topic that another suite removes.
    let cluster = start(1, Options::default());
    let connection = KafkaConnection::plain(cluster.bootstrap());
    let settings = TopicSettings { partitions: 2, ..SETTINGS };
    KafkaTopics::new(connection.clone()).create(&[TOPIC.to_owned()], settings).unwrap();
    let mut made = 0;
    checkpoint_contract(|| {
        made += 1;
        Changelog::new(&connection, made)
    });
}
