//! What a group asks of one of its members.
//!
//! The group's wishes are only noted: the stream has to take a checkpoint before it gives anything up, and to fetch state before it takes
//! anything on. The group waits until it says that it has.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::RDKafkaRespErr;
use tamis_engine::source::Rebalance;
use tamis_model::position::Partition;

use super::connection::log;

/// The context of a source's consumer.
#[derive(Default)]
pub(super) struct Member {
    asked: Mutex<VecDeque<Rebalance>>,
    /// Nobody will answer any more.
    leaving: AtomicBool,
}

impl Member {
    /// What is asked first.
    pub fn asked(&self) -> Option<Rebalance> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).front().cloned()
    }

    /// It was answered.
    pub fn answered(&self) {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    }

    /// From now on everything is given up unasked.
    pub fn leave(&self) {
        self.leaving.store(true, Ordering::Relaxed);
    }
}

impl ClientContext for Member {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!("Kafka: {error}: {reason}");
    }
}

impl ConsumerContext for Member {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, asked: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let is_gain = asked == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        if self.leaving.load(Ordering::Relaxed) {
            let done = if is_gain { consumer.unassign() } else { consumer.incremental_unassign(list) };
            if let Err(error) = done {
                tracing::debug!("Kafka: leaving a group: {error}");
            }
            return;
        }
        let partitions = partitions(list);
        let asked = match is_gain {
            true => Rebalance { gained: partitions, ..Rebalance::default() },
            false => Rebalance { given_up: partitions, lost: consumer.assignment_lost(), ..Rebalance::default() },
        };
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push_back(asked);
    }
}

/// The partitions of a list.
pub(super) fn partitions(list: &TopicPartitionList) -> Vec<Partition> {
    let partition = |topic: &str, number: i32| {
        let number = u32::try_from(number).ok()?;
        Some(Partition { topic: topic.to_owned(), number })
    };
    list.elements().iter().filter_map(|element| partition(element.topic(), element.partition())).collect()
}
