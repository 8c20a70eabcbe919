//! Where the records of a stream go that hands some of them on: what a broker is to several hosts.

use serde_json::Value;
use tamis_model::position::Partition;
use tamis_model::record::Record;
use tamis_model::{Error, Result};

use super::{MemorySink, MemoryTopics};
use crate::sink::Sink;

/// A sink of records. Those of one topic are in it at once and stay, whatever becomes of who wrote them, as at a broker.
#[derive(Clone, Debug)]
pub struct MemoryBroker {
    topic: String,
    topics: MemoryTopics,
    others: MemorySink<Record>,
}

impl MemoryBroker {
    /// Writes the records of `topic` to its partitions in `topics`, and the rest to `others`.
    pub fn new(topic: impl Into<String>, topics: &MemoryTopics, others: &MemorySink<Record>) -> Self {
        Self { topic: topic.into(), topics: topics.clone(), others: others.clone() }
    }
}

impl Sink<Record> for MemoryBroker {
    fn write(&mut self, output: &[Record]) -> Result<()> {
        for record in output {
            if record.topic != self.topic {
                self.others.write(std::slice::from_ref(record))?;
                continue;
            }
            let (Some(number), Some(value)) = (record.partition, &record.value) else {
                return Err(Error::invalid("write to", &record.topic, "a record names its partition and has a value"));
            };
            let partition = Partition { topic: record.topic.clone(), number };
            self.topics.append_bytes(&partition, record.timestamp, value);
        }
        Ok(())
    }

    fn stage(&mut self) -> Result<Value> {
        self.others.stage()
    }

    fn commit(&mut self, staged: &Value) -> Result<()> {
        self.others.commit(staged)
    }
}
