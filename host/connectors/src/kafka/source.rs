//! Reading topics: every partition from its own queue, which the client fills up to a bound and no further.
//!
//! Memory: a partition that nobody reads holds [`KafkaSourceSettings::queue_kib`] and one fetch of [`FETCH_BYTES`]; the client asks for no more of it
//! until there is room.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tamis_engine::frame::Frames;
use tamis_engine::source::Rebalance;
use tamis_engine::{Chunk, Read, Source};
use tamis_model::position::{Partition, Positions};
use tamis_model::{Error, Kind, Result};

use super::connection::{KafkaConnection, REQUEST_MAX};
use super::errors::{failed, failed_with, missing};
use super::membership::Member;
use super::queue::{Arrived, PartitionQueue};

/// What a fetch brings of one partition at most, unless a single batch is longer.
const FETCH_BYTES: u32 = 1 << 20;
/// What a fetch brings in all.
const FETCH_BYTES_ALL: u32 = 16 << 20;

pub(super) type Reader = BaseConsumer<Member>;

/// How topics are read.
#[derive(Clone, Debug)]
pub struct KafkaSourceSettings {
    /// The topics.
    pub topics: Vec<String>,
    /// The group: where lag tools find positions, and whose members share the partitions.
    pub group: String,
    /// Who else reads.
    pub membership: Membership,
    /// Whether to end where the topics end now.
    pub bounded: bool,
    /// About how many bytes a chunk holds.
    pub chunk_bytes: usize,
    /// How many kibibytes of a partition wait to be read at most.
    pub queue_kib: u32,
    /// Between two looks whether topics have new partitions.
    pub metadata_every: Duration,
}

/// Who reads the partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Membership {
    /// This source, all of them.
    All,
    /// The members of the group share them.
    Group {
        /// A name by which this member is known again when it comes back; none = every start is a new member.
        instance: Option<String>,
        /// A member of which nothing is heard for so long has died.
        session_max: Duration,
        /// A member that does not read for so long has died.
        silence_max: Duration,
    },
}

impl KafkaSourceSettings {
    /// These topics, all partitions, tailing.
    pub fn new(topics: impl IntoIterator<Item = String>, group: impl Into<String>) -> Self {
        Self {
            topics: topics.into_iter().collect(),
            group: group.into(),
            membership: Membership::All,
            bounded: false,
            chunk_bytes: 1 << 20,
            queue_kib: 4 << 10,
            metadata_every: Duration::from_secs(10),
        }
    }

    /// Ends where the topics end when it is opened: behind the last record that is committed then.
    #[must_use]
    pub fn until_end(mut self) -> Self {
        self.bounded = true;
        self
    }
}

/// Reads topics of a cluster. Only committed records are seen.
pub struct KafkaSource {
    connection: KafkaConnection,
    settings: KafkaSourceSettings,
    taken: Vec<Taken>,
    consumer: Option<Arc<Reader>>,
    looked_at: Instant,
    group: KafkaGroup,
}

/// The group of a source, as transactions name it.
#[derive(Clone, Default)]
pub struct KafkaGroup(Arc<Mutex<Weak<Reader>>>);

impl KafkaGroup {
    /// What a transaction that commits positions is told of the group. Fails while the source is not open.
    pub(super) fn metadata(&self) -> Result<ConsumerGroupMetadata> {
        let consumer = self.0.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
        let metadata = consumer.and_then(|consumer| consumer.group_metadata());
        metadata.ok_or_else(|| Error::new(Kind::Conflict, "commit positions of", "a source that is not open"))
    }
}

/// A partition that is read.
struct Taken {
    partition: Partition,
    queue: PartitionQueue,
    /// The offset behind the last record that was read.
    next: i64,
    /// Where a bounded source ends.
    end: Option<i64>,
    /// The client has come to the partition's end and nothing was read since.
    at_end: bool,
}

/// How far a partition is behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionLag {
    /// The partition.
    pub partition: Partition,
    /// Its end less the next offset to read.
    pub records: u64,
}

impl KafkaSource {
    /// A source; nothing is asked of the cluster before `open`.
    pub fn new(connection: KafkaConnection, settings: KafkaSourceSettings) -> Self {
        let group = KafkaGroup::default();
        Self { connection, settings, taken: Vec::new(), consumer: None, looked_at: Instant::now(), group }
    }

    /// Its group, for transactions.
    pub fn group(&self) -> KafkaGroup {
        self.group.clone()
    }

    /// How far each partition is behind; asks the cluster.
    pub fn lag(&self) -> Result<Vec<PartitionLag>> {
        let consumer = self.consumer()?;
        let lag = |taken: &Taken| {
            let Partition { topic, number } = &taken.partition;
            let (_, end) = consumer
                .fetch_watermarks(topic, number.cast_signed(), REQUEST_MAX)
                .map_err(|error| failed("find the end of", &taken.partition, error))?;
            let records = u64::try_from(end - taken.next).unwrap_or(0);
            Ok(PartitionLag { partition: taken.partition.clone(), records })
        };
        self.taken.iter().map(lag).collect()
    }

    fn consumer(&self) -> Result<&Arc<Reader>> {
        self.consumer.as_ref().ok_or_else(|| Error::new(Kind::Conflict, "read", "a source that is not open"))
    }

    fn connect(&self) -> Result<Arc<Reader>> {
        let Self { connection, settings, .. } = self;
        let mut config = connection.config();
        config.set("group.id", &settings.group);
        config.set("enable.auto.commit", "false").set("enable.auto.offset.store", "false");
        // What retention has deleted is never passed over in silence.
        config.set("auto.offset.reset", "error");
        config.set("isolation.level", "read_committed");
        config.set("allow.auto.create.topics", "false");
        config.set("enable.partition.eof", "true");
        config.set("queued.min.messages", "1000000");
        config.set("queued.max.messages.kbytes", settings.queue_kib.to_string());
        config.set("fetch.message.max.bytes", FETCH_BYTES.to_string());
        config.set("fetch.max.bytes", FETCH_BYTES_ALL.to_string());
        // How long the client pauses when a queue is full, and how long the broker waits for the first record.
        config.set("fetch.queue.backoff.ms", "2").set("fetch.wait.max.ms", "500").set("fetch.error.backoff.ms", "100");
        if let Membership::Group { instance, session_max, silence_max } = &settings.membership {
            config.set("partition.assignment.strategy", "cooperative-sticky");
            config.set("session.timeout.ms", session_max.as_millis().to_string());
            config.set("heartbeat.interval.ms", (session_max.as_millis() / 4).to_string());
            config.set("max.poll.interval.ms", silence_max.max(session_max).as_millis().to_string());
            if let Some(instance) = instance {
                config.set("group.instance.id", instance);
            }
        }
        let consumer: Reader = config
            .create_with_context(Member::default())
            .map_err(|error| failed("connect to", format!("Kafka at {}", connection.bootstrap_servers), error))?;
        Ok(Arc::new(consumer))
    }

    /// Serves what the cluster says beside records.
    fn serve(&self) -> Result<()> {
        let consumer = self.consumer()?;
        let brokers = || format!("Kafka at {}", self.connection.bootstrap_servers);
        while let Some(said) = consumer.poll(Duration::ZERO) {
            match said {
                // Records come from the queues of their partitions.
                Ok(_) | Err(KafkaError::PartitionEOF(_)) => {}
                Err(error @ KafkaError::MessageConsumptionFatal(_)) => {
                    return Err(failed("read from", brokers(), error));
                }
                Err(KafkaError::MessageConsumption(RDKafkaErrorCode::AllBrokersDown)) => {
                    // It is said whenever the last connection breaks; most times another one is there at once.
                    consumer.fetch_metadata(None, REQUEST_MAX).map_err(|error| failed("reach", brokers(), error))?;
                }
                Err(error) => {
                    let error = failed("read from", brokers(), error);
                    if !error.can_retry() {
                        return Err(error);
                    }
                    tracing::debug!("{}", error.chain());
                }
            }
        }
        Ok(())
    }

    /// The partitions of the topics as the cluster has them, by topic and number.
    fn look(&mut self) -> Result<Vec<Partition>> {
        self.looked_at = Instant::now();
        let brokers = format!("Kafka at {}", self.connection.bootstrap_servers);
        // All topics: asking for one by name may make it.
        let metadata = self.consumer()?.fetch_metadata(None, REQUEST_MAX);
        let metadata = metadata.map_err(|error| failed("list the topics of", brokers, error))?;
        let mut partitions = Vec::new();
        for name in &self.settings.topics {
            let found = metadata.topics().iter().find(|topic| topic.name() == name);
            let found = found.ok_or_else(|| missing("read topic", name))?;
            let numbers: BTreeSet<_> = found.partitions().iter().filter_map(|p| u32::try_from(p.id()).ok()).collect();
            partitions.extend(numbers.into_iter().map(|number| Partition { topic: name.clone(), number }));
        }
        Ok(partitions)
    }

    /// Reads these partitions too, each from its position.
    fn take(&mut self, partitions: Vec<Partition>, positions: &Positions) -> Result<()> {
        let consumer = Arc::clone(self.consumer()?);
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for partition in partitions {
            let Partition { topic, number } = &partition;
            let number = number.cast_signed();
            let (first, end) = consumer
                .fetch_watermarks(topic, number, REQUEST_MAX)
                .map_err(|error| failed("find the ends of", &partition, error))?;
            let next = positions.0.get(&partition).copied().unwrap_or(first);
            if !(first..=end).contains(&next) {
                let object = format!("{partition} at offset {next}");
                let reason = format!("it has offsets {first} to {end}: retention, or somebody, has deleted records");
                return Err(Error::new(Kind::Missing, "go on reading", object).because(reason));
            }
            // Before it is assigned, so that no record goes another way.
            let queue = PartitionQueue::new(&consumer, topic, number);
            let queue = queue.ok_or_else(|| Error::invalid("read", &partition, "it is no partition's name"))?;
            list.add_partition_offset(topic, number, Offset::Offset(next))
                .map_err(|error| failed("go to a position of", &partition, error))?;
            let end = self.settings.bounded.then_some(end);
            self.taken.push(Taken { partition, queue, next, end, at_end: false });
        }
        if list.count() > 0 {
            consumer.incremental_assign(&list).map_err(|error| failed("read", names(&list), error))?;
        }
        Ok(())
    }
}

impl Source for KafkaSource {
    fn open(&mut self, positions: &Positions) -> Result<()> {
        self.close();
        let consumer = self.connect()?;
        *self.group.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(&consumer);
        self.consumer = Some(consumer);
        let partitions = self.look()?;
        match &self.settings.membership {
            Membership::All => self.take(partitions, positions),
            Membership::Group { .. } => {
                let topics: Vec<_> = self.settings.topics.iter().map(String::as_str).collect();
                let joined = self.consumer()?.subscribe(&topics);
                joined.map_err(|error| failed("join group", &self.settings.group, error))
            }
        }
    }

    fn partitions(&mut self) -> Result<Vec<Partition>> {
        let is_due = self.looked_at.elapsed() >= self.settings.metadata_every;
        if is_due && self.settings.membership == Membership::All && !self.settings.bounded {
            let mut new = self.look()?;
            new.retain(|partition| self.taken.iter().all(|taken| taken.partition != *partition));
            self.take(new, &Positions::default())?;
        }
        Ok(self.taken.iter().map(|taken| taken.partition.clone()).collect())
    }

    fn read(&mut self, partition: &Partition, chunk: &mut Chunk) -> Result<Read> {
        self.serve()?;
        let chunk_bytes = self.settings.chunk_bytes;
        let taken = self.taken.iter_mut().find(|taken| taken.partition == *partition);
        let taken = taken.ok_or_else(|| Error::new(Kind::Missing, "read partition", partition))?;
        if taken.has_ended() {
            return Ok(Read::Ended);
        }
        let any = chunk.fill_frames(|frames| {
            taken.fill(frames, chunk_bytes)?;
            Ok::<_, Error>(!frames.is_empty())
        })?;
        Ok(match any {
            true => Read::Records,
            false if taken.has_ended() => Read::Ended,
            false if taken.at_end => Read::CaughtUp,
            false => Read::Waiting,
        })
    }

    /// Tells the group how far it is, for tools that show lag. The checkpoint is what counts: nothing waits for it.
    fn release(&mut self, positions: &Positions) -> Result<()> {
        let mut list = TopicPartitionList::new();
        for taken in &self.taken {
            let Partition { topic, number } = &taken.partition;
            if let Some(next) = positions.0.get(&taken.partition) {
                list.add_partition_offset(topic, number.cast_signed(), Offset::Offset(*next))
                    .map_err(|error| failed("release", &taken.partition, error))?;
            }
        }
        if list.count() > 0
            && let Err(error) = self.consumer()?.commit(&list, CommitMode::Async)
        {
            tracing::debug!("Kafka: positions of {} were not told: {error}", self.settings.group);
        }
        Ok(())
    }

    fn rebalance(&mut self) -> Result<Option<Rebalance>> {
        self.serve()?;
        Ok(self.consumer()?.context().asked())
    }

    fn accept(&mut self, positions: &Positions) -> Result<()> {
        let consumer = Arc::clone(self.consumer()?);
        let Some(Rebalance { given_up, gained, .. }) = consumer.context().asked() else { return Ok(()) };
        if !given_up.is_empty() {
            let mut list = TopicPartitionList::with_capacity(given_up.len());
            for Partition { topic, number } in &given_up {
                list.add_partition(topic, number.cast_signed());
            }
            self.taken.retain(|taken| !given_up.contains(&taken.partition));
            consumer.incremental_unassign(&list).map_err(|error| failed("give up", names(&list), error))?;
        }
        if given_up.is_empty() {
            let is_empty = gained.is_empty();
            self.take(gained, positions)?;
            if is_empty {
                // The group waits for an answer to that, too.
                let none = TopicPartitionList::new();
                consumer
                    .incremental_assign(&none)
                    .map_err(|error| failed("join group", &self.settings.group, error))?;
            }
        }
        consumer.context().answered();
        Ok(())
    }
}

impl KafkaSource {
    fn close(&mut self) {
        self.taken.clear();
        if let Some(consumer) = self.consumer.take() {
            consumer.context().leave();
        }
    }
}

/// What is taken is given back without asking whoever reads no more.
impl Drop for KafkaSource {
    fn drop(&mut self) {
        self.close();
    }
}

impl Taken {
    fn has_ended(&self) -> bool {
        self.end.is_some_and(|end| self.next >= end || self.at_end)
    }

    /// Takes what has arrived, up to about `chunk_bytes`.
    fn fill(&mut self, frames: &mut Frames<'_>, chunk_bytes: usize) -> Result<()> {
        while frames.len() < chunk_bytes {
            match self.queue.next() {
                None => break,
                Some(Arrived::Record(record)) => {
                    self.at_end = false;
                    if self.end.is_some_and(|end| record.offset() >= end) {
                        self.next = record.offset();
                        break;
                    }
                    frames.push(record.offset(), record.timestamp(), record.key(), record.value(), record.headers());
                    self.next = record.offset() + 1;
                }
                // It stands behind the records before the end, and behind the marks of transactions.
                Some(Arrived::End) => {
                    self.at_end = true;
                    break;
                }
                Some(Arrived::Failed(code, words)) => {
                    let object = format!("{} from offset {}: {words}", self.partition, self.next);
                    let error = failed_with("read", object, code);
                    if !error.can_retry() {
                        return Err(error);
                    }
                    tracing::debug!("{}", error.chain());
                }
            }
        }
        Ok(())
    }
}

/// The partitions of a list, for people.
fn names(list: &TopicPartitionList) -> String {
    let elements = list.elements();
    let names = elements.iter().map(|element| format!("{}/{}", element.topic(), element.partition()));
    names.collect::<Vec<_>>().join(", ")
}
