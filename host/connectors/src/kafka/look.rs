//! Looks at the cluster beside the stream: whether topics have new partitions, and whether partitions end where they did.

use std::collections::{BTreeMap, BTreeSet};
use std::panic;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use rdkafka::consumer::Consumer;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tamis_model::position::Partition;
use tamis_model::{Error, Result};

use super::client::{Reader, metadata, names};
use super::connection::REQUEST_MAX;
use super::errors::{failed, missing};
use super::settings::Share;

/// A look that is going on, on a thread of its own: brokers may take their time.
pub(super) struct Look(JoinHandle<Result<Found>>);

/// What a look asks.
pub(super) struct Question {
    pub consumer: Arc<Reader>,
    pub brokers: String,
    pub topics: Vec<String>,
    pub share: Share,
    /// Partitions that were at their end. The client tells an end once, and nothing when it cannot reach the broker any more: such a partition
    /// would let its topic's time go on, with records waiting in it.
    pub at_end: Vec<Partition>,
}

/// What a look has found.
pub(super) struct Found {
    /// All of the topics, by topic and number.
    pub partitions: Vec<Partition>,
    /// Where those end that were asked for.
    pub ends: BTreeMap<Partition, i64>,
}

impl Look {
    /// Begins to look.
    pub fn begin(question: Question) -> Self {
        Self(thread::spawn(move || question.ask()))
    }

    /// Whether it has an answer.
    pub fn is_over(&self) -> bool {
        self.0.is_finished()
    }

    /// The answer; waits for it.
    pub fn found(self) -> Result<Found> {
        self.0.join().unwrap_or_else(|panicked| panic::resume_unwind(panicked))
    }
}

impl Question {
    fn ask(&self) -> Result<Found> {
        Ok(Found { partitions: self.partitions()?, ends: self.ends()? })
    }

    /// The partitions of the topics as the cluster has them.
    pub fn partitions(&self) -> Result<Vec<Partition>> {
        let metadata = metadata(&self.consumer, &self.brokers)?;
        let mut partitions = Vec::new();
        for name in &self.topics {
            let found = metadata.topics().iter().find(|topic| topic.name() == name);
            let found = found.ok_or_else(|| missing("read topic", name))?;
            let numbers = found.partitions().iter().filter_map(|partition| u32::try_from(partition.id()).ok());
            let numbers: BTreeSet<_> = numbers.filter(|number| self.share.has(*number)).collect();
            partitions.extend(numbers.into_iter().map(|number| Partition { topic: name.clone(), number }));
        }
        Ok(partitions)
    }

    fn ends(&self) -> Result<BTreeMap<Partition, i64>> {
        let mut asked = TopicPartitionList::new();
        for partition in &self.at_end {
            // Where a time is expected, it asks for the end.
            asked
                .add_partition_offset(&partition.topic, partition.number.cast_signed(), Offset::End)
                .map_err(|error| failed("ask for the end of", partition, error))?;
        }
        if asked.count() == 0 {
            return Ok(BTreeMap::new());
        }
        let object = names(&asked);
        let answered = self.consumer.offsets_for_times(asked, REQUEST_MAX);
        let answered = answered.map_err(|error| failed("find the ends of", object, error))?;
        let ends = answered.elements().into_iter().map(|answer| {
            let number = u32::try_from(answer.partition()).unwrap_or_default();
            let partition = Partition { topic: answer.topic().to_owned(), number };
            answer.error().map_err(|error| failed("find the end of", &partition, error))?;
            Ok::<_, Error>((partition, answer.offset().to_raw().unwrap_or(-1)))
        });
        ends.collect()
    }
}
