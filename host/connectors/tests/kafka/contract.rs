//! The source keeps the contract of sources.

use rdkafka::admin::AdminOptions;
use tamis_connectors::kafka::{KafkaSource, KafkaSourceSettings, KafkaTopics};
use tamis_engine::Source;
use tamis_engine::conformance::{SourceHarness, source_contract};
use tamis_model::position::Partition;
use tamis_model::time::Millis;

use crate::fixture::{SETTINGS, add_partitions, admin, connection, eventually, send};

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
}

#[test]
fn sources_keep_the_contract() {
    for bounded in [true, false] {
        source_contract(|| Topic::new(bounded));
    }
}
