//! Making topics, and looking at them.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, ConfigResource, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::metadata::MetadataTopic;
use tamis_model::position::Partition;
use tamis_model::{Error, Kind, Result};

use super::client::metadata;
use super::connection::{KafkaConnection, Quiet, REQUEST_MAX};
use super::errors::{failed, failed_with, missing};
use super::sink::RECORD_BYTES_MAX;
use crate::topics::{PartitionOverview, TopicOverview};

/// Between two looks at what is to come about.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How long transactions are waited for. Those of whoever had the topic before were aborted when its successor took them over. One that stays open is of
/// somebody who took over since then: whoever still has the topic begins again, and by that aborts it.
const SETTLED_MAX: Duration = Duration::from_secs(10);

/// The topics of a cluster.
#[derive(Clone, Debug)]
pub struct KafkaTopics {
    pub(super) connection: KafkaConnection,
}

/// How a topic is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicSettings {
    /// How many partitions it has.
    pub partitions: u32,
    /// How many brokers hold each record.
    pub replication: u32,
    /// How long records are kept; the longest = for ever.
    pub retention: Duration,
}

/// A topic as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicState {
    /// Its name.
    pub topic: String,
    /// Whether it was made just now.
    pub created: bool,
    /// As it is, which may differ from what was asked for: it is not changed.
    pub settings: TopicSettings,
}

impl KafkaTopics {
    /// The topics of this cluster.
    pub fn new(connection: KafkaConnection) -> Self {
        Self { connection }
    }

    /// Makes those of the topics that are not there. The others stay as they are. How each is now, in the order asked for.
    pub fn create(&self, names: &[String], settings: TopicSettings) -> Result<Vec<TopicState>> {
        let admin = self.admin()?;
        let retention = match settings.retention {
            Duration::MAX => "-1".to_owned(),
            retention => retention.as_millis().to_string(),
        };
        let record_bytes_max = RECORD_BYTES_MAX.to_string();
        let new: Vec<_> = names
            .iter()
            .map(|name| {
                let replication = TopicReplication::Fixed(settings.replication.cast_signed());
                NewTopic::new(name, settings.partitions.cast_signed(), replication)
                    .set("retention.ms", &retention)
                    .set("max.message.bytes", &record_bytes_max)
            })
            .collect();
        let created = self.make(&admin, &new)?;
        self.known(names, &created)?;
        self.describe(&admin, names, &created)
    }

    /// Makes a topic of one partition that keeps the last value of each key for ever, unless it is there. One that would not is refused.
    pub fn create_compacted(&self, name: &str, replication: u32) -> Result<()> {
        let record_bytes_max = RECORD_BYTES_MAX.to_string();
        let new = NewTopic::new(name, 1, TopicReplication::Fixed(replication.cast_signed()))
            .set("cleanup.policy", "compact")
            .set("max.message.bytes", &record_bytes_max)
            // What lies in the segment that is written is not compacted.
            .set("segment.bytes", "67108864")
            .set("min.cleanable.dirty.ratio", "0.3");
        let admin = self.admin()?;
        let names = [name.to_owned()];
        let created = self.make(&admin, &[new])?;
        self.known(&names, &created)?;
        if created.contains(name) {
            return Ok(());
        }
        let policy = self.configs(&admin, &names)?;
        let policy = policy.first().and_then(|config| config.get("cleanup.policy")?.value.clone()).unwrap_or_default();
        if policy != "compact" {
            let reason = format!("its cleanup.policy is {policy}, and only compact keeps the last value of each key");
            return Err(Error::invalid("use topic", name, reason));
        }
        let partitions = self.partitions(&self.reader()?)?;
        match partitions.iter().find(|(topic, _)| topic == name).map_or(0, |(_, numbers)| numbers.len()) {
            1 => Ok(()),
            found => Err(Error::invalid("use topic", name, format!("it has {found} partitions and must have one"))),
        }
    }

    /// What tells the cluster from all others.
    pub fn cluster_id(&self) -> Result<String> {
        let consumer = self.reader()?;
        metadata(&consumer, self)?;
        let id = consumer.client().fetch_cluster_id(REQUEST_MAX);
        id.ok_or_else(|| failed_with("find the id of", self, RDKafkaErrorCode::OperationTimedOut))
    }

    /// The first offset of a partition, and the one behind its last record, once no transaction is open there.
    pub fn settled_ends(&self, partition: &Partition) -> Result<(i64, i64)> {
        let Partition { topic, number } = partition;
        let ends = |isolation: &str| {
            let mut config = self.connection.config();
            let consumer = config.set("isolation.level", isolation).create_with_context(Quiet::default());
            let consumer: BaseConsumer<Quiet> = consumer.map_err(|error| failed("connect to", self, error))?;
            let ends = consumer.fetch_watermarks(topic, number.cast_signed(), REQUEST_MAX);
            ends.map_err(|error| failed("find the ends of", partition, error))
        };
        let deadline = Instant::now() + SETTLED_MAX;
        loop {
            let (written, committed) = (ends("read_uncommitted")?, ends("read_committed")?);
            if written == committed {
                return Ok(written);
            }
            if Instant::now() > deadline {
                return Err(failed_with("find the ends of", partition, RDKafkaErrorCode::ConcurrentTransactions));
            }
            thread::sleep(LOOK_EVERY);
        }
    }

    /// Makes topics. Returns those that were not there.
    fn make(&self, admin: &AdminClient<Quiet>, new: &[NewTopic<'_>]) -> Result<BTreeSet<String>> {
        let options = AdminOptions::new().request_timeout(Some(REQUEST_MAX)).operation_timeout(Some(REQUEST_MAX));
        let results =
            wait(admin.create_topics(new, &options)).map_err(|error| failed("make topics at", self, error))?;
        let mut created = BTreeSet::new();
        for result in results {
            match result {
                Ok(name) => drop(created.insert(name)),
                Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((name, code)) => return Err(failed_with("make topic", name, code)),
            }
        }
        Ok(created)
    }

    /// Waits until the brokers have told each other of them, and those that lead the new ones answer for them.
    fn known(&self, names: &[String], created: &BTreeSet<String>) -> Result<()> {
        let consumer = self.reader()?;
        let deadline = Instant::now() + REQUEST_MAX;
        loop {
            match self.require_of(&consumer, names).and_then(|()| self.answer(&consumer, created)) {
                Err(error) if (error.kind() == Kind::Missing || error.can_retry()) && Instant::now() < deadline => {
                    thread::sleep(LOOK_EVERY);
                }
                done => return done,
            }
        }
    }

    /// Fails when a partition of one of these topics cannot be read yet.
    fn answer(&self, consumer: &BaseConsumer<Quiet>, names: &BTreeSet<String>) -> Result<()> {
        for (topic, numbers) in self.partitions(consumer)?.iter().filter(|(topic, _)| names.contains(topic)) {
            for number in numbers {
                consumer
                    .fetch_watermarks(topic, number.cast_signed(), REQUEST_MAX)
                    .map_err(|error| failed("find the ends of", format!("{topic}/{number}"), error))?;
            }
        }
        Ok(())
    }

    /// Fails when one of these topics is not there, and says how it is made.
    pub fn require(&self, names: &[String]) -> Result<()> {
        self.require_of(&self.reader()?, names)
    }

    fn require_of(&self, consumer: &BaseConsumer<Quiet>, names: &[String]) -> Result<()> {
        let there: BTreeSet<_> = self.partitions(consumer)?.into_iter().map(|(name, _)| name).collect();
        let lacking: Vec<_> = names.iter().map(String::as_str).filter(|name| !there.contains(*name)).collect();
        match lacking.is_empty() {
            true => Ok(()),
            false => Err(missing("find topic", &lacking.join(", "))),
        }
    }

    /// The topics, by name, with where each partition begins and ends. Kafka's own are left out.
    pub fn overview(&self) -> Result<Vec<TopicOverview>> {
        let consumer = self.reader()?;
        let mut topics = Vec::new();
        for (topic, partitions) in self.partitions(&consumer)? {
            let mut overview = Vec::with_capacity(partitions.len());
            for number in partitions {
                let ends = consumer.fetch_watermarks(&topic, number.cast_signed(), REQUEST_MAX);
                let (first_offset, next_offset) =
                    ends.map_err(|error| failed("find the ends of", format!("{topic}/{number}"), error))?;
                overview.push(PartitionOverview { number, first_offset, next_offset, bytes: None });
            }
            topics.push(TopicOverview { topic, partitions: overview });
        }
        Ok(topics)
    }

    /// Name and partitions of each topic but Kafka's own.
    pub(super) fn partitions(&self, consumer: &BaseConsumer<Quiet>) -> Result<Vec<(String, Vec<u32>)>> {
        let metadata = metadata(consumer, self)?;
        let own = metadata.topics().iter().filter(|topic| !topic.name().starts_with("__"));
        let numbers = |topic: &MetadataTopic| {
            let mut numbers: Vec<_> = topic.partitions().iter().filter_map(|p| u32::try_from(p.id()).ok()).collect();
            numbers.sort_unstable();
            numbers
        };
        let mut topics: Vec<_> = own.map(|topic| (topic.name().to_owned(), numbers(topic))).collect();
        topics.sort_unstable();
        Ok(topics)
    }

    fn describe(
        &self,
        admin: &AdminClient<Quiet>,
        names: &[String],
        created: &BTreeSet<String>,
    ) -> Result<Vec<TopicState>> {
        let metadata = metadata(&self.reader()?, self)?;
        let mut states = Vec::with_capacity(names.len());
        for (name, config) in names.iter().zip(self.configs(admin, names)?) {
            let found = metadata.topics().iter().find(|topic| topic.name() == name);
            let partitions = found.map(MetadataTopic::partitions).unwrap_or_default();
            let retention = config.get("retention.ms").and_then(|entry| entry.value.as_ref()?.parse().ok());
            states.push(TopicState {
                topic: name.clone(),
                created: created.contains(name),
                settings: TopicSettings {
                    partitions: partitions.len() as u32,
                    replication: partitions.first().map_or(0, |partition| partition.replicas().len() as u32),
                    retention: retention.map_or(Duration::MAX, Duration::from_millis),
                },
            });
        }
        Ok(states)
    }

    /// The settings of topics, in their order.
    fn configs(&self, admin: &AdminClient<Quiet>, names: &[String]) -> Result<Vec<ConfigResource>> {
        let resources: Vec<_> = names.iter().map(|name| ResourceSpecifier::Topic(name)).collect();
        let options = AdminOptions::new().request_timeout(Some(REQUEST_MAX));
        let configs = wait(admin.describe_configs(&resources, &options))
            .map_err(|error| failed("read the settings of topics at", self, error))?;
        let config = |(name, config): (&String, Result<_, _>)| {
            config.map_err(|code| failed_with("read the settings of topic", name, code))
        };
        names.iter().zip(configs).map(config).collect()
    }

    /// A reader without a group. It sees what is committed.
    pub(super) fn reader(&self) -> Result<BaseConsumer<Quiet>> {
        let mut config = self.connection.config();
        let consumer = config.set("isolation.level", "read_committed").create_with_context(Quiet::default());
        consumer.map_err(|error| failed("connect to", self, error))
    }

    /// A client that makes topics. It hears of nothing but what it asked for, not even why it is not let in.
    fn admin(&self) -> Result<AdminClient<Quiet>> {
        metadata(&self.reader()?, self)?;
        let admin = self.connection.config().create_with_context(Quiet::default());
        admin.map_err(|error| failed("connect to", self, error))
    }
}

impl std::fmt::Display for KafkaTopics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Kafka at {}", self.connection.bootstrap_servers)
    }
}

/// Waits for an answer that a thread of the client's own brings.
fn wait<F: Future>(answer: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut answer = pin!(answer);
    loop {
        match answer.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(answer) => return answer,
            Poll::Pending => thread::park(),
        }
    }
}
