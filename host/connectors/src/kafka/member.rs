//! A member of a group: hosts that share work by sharing the partitions of one topic.
//!
//! What the group asks is only noted: whoever has a partition takes a last checkpoint before it gives it up. The group waits until the member
//! says that it has, and nobody gets a partition before. A member reads nothing itself.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaRespErr;
use tamis_model::Result;

use super::client::{names, serve};
use super::connection::{KafkaConnection, log};
use super::errors::{Refusal, Refused, failed};

/// A member of a group.
pub struct KafkaMember {
    consumer: BaseConsumer<Wishes>,
    settings: KafkaMemberSettings,
    bootstrap_servers: String,
}

/// Of which group, and how it is seen to live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaMemberSettings {
    /// The group.
    pub group: String,
    /// The topic whose partitions are shared.
    pub topic: String,
    /// A member of which nothing is heard for so long has died.
    pub session_max: Duration,
    /// A member that does not ask what is asked of it for so long has died.
    pub silence_max: Duration,
}

/// What a group asks of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// To take these partitions on.
    TakeOn(Vec<u32>),
    /// To give these partitions up. When they are lost others may have them already.
    GiveUp {
        /// Which.
        partitions: Vec<u32>,
        /// Whether the group has given them away.
        lost: bool,
    },
}

impl KafkaMember {
    /// Joins the group; it answers in its own time.
    pub fn join(connection: &KafkaConnection, settings: KafkaMemberSettings) -> Result<Self> {
        let mut config = connection.config();
        config.set("group.id", &settings.group);
        config.set("partition.assignment.strategy", "cooperative-sticky");
        config.set("enable.auto.commit", "false").set("enable.auto.offset.store", "false");
        config.set("allow.auto.create.topics", "false");
        config.set("session.timeout.ms", settings.session_max.as_millis().to_string());
        config.set("heartbeat.interval.ms", (settings.session_max.as_millis() / 4).to_string());
        config.set("max.poll.interval.ms", settings.silence_max.max(settings.session_max).as_millis().to_string());
        let consumer = config.create_with_context(Wishes::default());
        let consumer: BaseConsumer<Wishes> = consumer
            .map_err(|error| failed("connect to", format!("Kafka at {}", connection.bootstrap_servers), error))?;
        let joined = consumer.subscribe(&[&settings.topic]);
        joined.map_err(|error| failed("join group", &settings.group, error))?;
        Ok(Self { consumer, settings, bootstrap_servers: connection.bootstrap_servers.clone() })
    }

    /// What is asked of it first; the same until it is answered. To be called often: it is how the group sees that the member lives.
    pub fn asked(&self) -> Result<Option<Asked>> {
        serve(&self.consumer, &self.bootstrap_servers)?;
        Ok(self.consumer.context().first())
    }

    /// Says that what is asked first is done.
    pub fn accept(&self) -> Result<()> {
        let Some(asked) = self.consumer.context().first() else { return Ok(()) };
        let list = self.list(&asked);
        answer(&self.consumer, &asked, &list).map_err(|error| {
            failed("answer group", format!("{} about {}", self.settings.group, names(&list)), error)
        })?;
        self.consumer.context().answered();
        Ok(())
    }

    fn list(&self, asked: &Asked) -> TopicPartitionList {
        let (Asked::TakeOn(partitions) | Asked::GiveUp { partitions, .. }) = asked;
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for number in partitions {
            let added = list.add_partition_offset(&self.settings.topic, number.cast_signed(), Offset::End);
            added.expect("the end is an offset");
        }
        list
    }
}

/// It leaves: the client waits for every answer before it closes.
impl Drop for KafkaMember {
    fn drop(&mut self) {
        self.consumer.context().leaving.store(true, Ordering::Relaxed);
        while let Some(asked) = self.consumer.context().first() {
            if let Err(error) = answer(&self.consumer, &asked, &self.list(&asked)) {
                tracing::debug!("Kafka: leaving group {}: {error}", self.settings.group);
            }
            self.consumer.context().answered();
        }
    }
}

fn answer(consumer: &BaseConsumer<Wishes>, asked: &Asked, list: &TopicPartitionList) -> Result<(), KafkaError> {
    match asked {
        Asked::GiveUp { .. } => consumer.incremental_unassign(list),
        Asked::TakeOn(_) => {
            consumer.incremental_assign(list)?;
            // Others read what is in it.
            consumer.pause(list)
        }
    }
}

/// What the group asks, in its order.
#[derive(Default)]
struct Wishes {
    asked: Mutex<VecDeque<Asked>>,
    /// Nobody will answer any more.
    leaving: AtomicBool,
    refusal: Refusal,
}

impl Wishes {
    fn first(&self) -> Option<Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).front().cloned()
    }

    fn answered(&self) {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    }
}

impl ClientContext for Wishes {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.refusal.hear(&error, reason);
    }
}

impl Refused for Wishes {
    fn refusal(&self) -> &Refusal {
        &self.refusal
    }
}

impl ConsumerContext for Wishes {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, asked: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let partitions = list.elements().iter().filter_map(|element| u32::try_from(element.partition()).ok()).collect();
        let asked = match asked == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            true => Asked::TakeOn(partitions),
            false => Asked::GiveUp { partitions, lost: consumer.assignment_lost() },
        };
        if !self.leaving.load(Ordering::Relaxed) {
            return self.asked.lock().unwrap_or_else(PoisonError::into_inner).push_back(asked);
        }
        if let Err(error) = answer(consumer, &asked, list) {
            tracing::debug!("Kafka: leaving a group: {error}");
        }
    }
}
