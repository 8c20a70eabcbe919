//! Reading topics: every partition from its own queue, which the client fills up to a bound and no further.
//!
//! Memory: of a partition that nobody reads there waits as much as [`KafkaSourceSettings::queue_kib`] says, and one fetch; the client asks for no
//! more of it until there is room.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tamis_engine::{Chunk, Read, Source};
use tamis_model::position::{Partition, Positions};
use tamis_model::{Error, Kind, Result};

use super::connection::{KafkaConnection, Quiet, REQUEST_MAX};
use super::errors::{Refused, failed, missing};
use super::queue::PartitionQueue;
use super::settings::KafkaSourceSettings;
use super::taken::{End, Taken};

/// For so long a client is heard that gave no answer.
const HEARING: Duration = Duration::from_millis(20);

pub(super) type Reader = BaseConsumer<Quiet>;

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
#[derive(Clone)]
pub struct KafkaGroup {
    reader: Arc<Mutex<Weak<Reader>>>,
    topics: Arc<[String]>,
}

impl KafkaGroup {
    /// What a transaction that commits positions is told of the group. Fails while the source is not open.
    pub(super) fn metadata(&self) -> Result<ConsumerGroupMetadata> {
        let consumer = self.reader.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
        let metadata = consumer.and_then(|consumer| consumer.group_metadata());
        metadata.ok_or_else(|| Error::new(Kind::Conflict, "commit positions of", "a source that is not open"))
    }

    /// The positions of the topics that the source reads: a checkpoint may have others.
    pub(super) fn own<'a>(&self, positions: &'a Positions) -> impl Iterator<Item = (&'a Partition, i64)> {
        let own = positions.0.iter().filter(|(partition, _)| self.topics.contains(&partition.topic));
        own.map(|(partition, next)| (partition, *next))
    }
}

impl KafkaSource {
    /// A source; nothing is asked of the cluster before `open`.
    pub fn new(connection: KafkaConnection, settings: KafkaSourceSettings) -> Self {
        let group = KafkaGroup { reader: Arc::default(), topics: settings.topics.clone().into() };
        Self { connection, settings, taken: Vec::new(), consumer: None, looked_at: Instant::now(), group }
    }

    /// Its group, for transactions.
    pub fn group(&self) -> KafkaGroup {
        self.group.clone()
    }

    fn consumer(&self) -> Result<&Arc<Reader>> {
        self.consumer.as_ref().ok_or_else(|| Error::new(Kind::Conflict, "read", "a source that is not open"))
    }

    fn connect(&self) -> Result<Arc<Reader>> {
        let Self { connection, settings, .. } = self;
        let config = settings.config(connection);
        let consumer: Reader = config
            .create_with_context(Quiet::default())
            .map_err(|error| failed("connect to", format!("Kafka at {}", connection.bootstrap_servers), error))?;
        Ok(Arc::new(consumer))
    }

    /// The partitions of the topics as the cluster has them, by topic and number.
    fn look(&mut self) -> Result<Vec<Partition>> {
        self.looked_at = Instant::now();
        let brokers = format!("Kafka at {}", self.connection.bootstrap_servers);
        // All topics: asking for one by name may make it.
        let consumer = self.consumer()?;
        let metadata = consumer.fetch_metadata(None, REQUEST_MAX);
        let metadata = answered(consumer, "list the topics of", brokers, metadata)?;
        let mut partitions = Vec::new();
        for name in &self.settings.topics {
            let found = metadata.topics().iter().find(|topic| topic.name() == name);
            let found = found.ok_or_else(|| missing("read topic", name))?;
            let numbers = found.partitions().iter().filter_map(|partition| u32::try_from(partition.id()).ok());
            let numbers: BTreeSet<_> = numbers.filter(|number| self.settings.share.has(*number)).collect();
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
            self.taken.push(Taken { partition, queue, begin: next, next, end, at_end: None });
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
        *self.group.reader.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(&consumer);
        self.consumer = Some(consumer);
        let partitions = self.look()?;
        self.take(partitions, positions)
    }

    fn partitions(&mut self) -> Result<Vec<Partition>> {
        let is_due = self.looked_at.elapsed() >= self.settings.metadata_every;
        if is_due && !self.settings.bounded {
            let mut new = self.look()?;
            new.retain(|partition| self.taken.iter().all(|taken| taken.partition != *partition));
            self.take(new, &Positions::default())?;
            self.ask_ends()?;
        }
        Ok(self.taken.iter().map(|taken| taken.partition.clone()).collect())
    }

    fn read(&mut self, partition: &Partition, chunk: &mut Chunk) -> Result<Read> {
        serve(self.consumer()?, &self.connection.bootstrap_servers)?;
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
            false if taken.at_end.is_some() => Read::CaughtUp,
            false => Read::Waiting,
        })
    }

    /// Of a partition whose records were all worked through, the end as it was found. Behind the last record there may be marks of
    /// transactions, and when retention deletes those as well, the position would lie before everything that is there.
    fn note(&self, positions: &mut Positions) {
        for taken in &self.taken {
            let next = positions.0.get(&taken.partition).copied().unwrap_or(taken.begin);
            match taken.at_end {
                Some(End { offset, .. }) if next >= taken.next && offset > next => {
                    positions.set(&taken.partition, offset)
                }
                _ => {}
            }
        }
    }

    fn lag(&self) -> Vec<(Partition, u64)> {
        let lag = |taken: &Taken| Some((taken.partition.clone(), taken.lag()?));
        self.taken.iter().filter_map(lag).collect()
    }

    /// Tells the group how far it is, for tools that show lag. The checkpoint is what counts: nothing waits for it.
    fn release(&mut self, positions: &Positions) -> Result<()> {
        if !self.settings.tells_positions {
            return Ok(());
        }
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
}

impl KafkaSource {
    /// Asks of partitions that have been at their end for a while whether they still are. The client tells the end once, and nothing when
    /// it cannot reach the broker any more: such a partition would let its topic's time go on, with records waiting in it.
    fn ask_ends(&mut self) -> Result<()> {
        let is_due = |end: End| end.known.elapsed() >= self.settings.metadata_every;
        let mut asked = TopicPartitionList::new();
        for Taken { partition, .. } in self.taken.iter().filter(|taken| taken.at_end.is_some_and(is_due)) {
            // Where a time is expected, it asks for the end.
            asked
                .add_partition_offset(&partition.topic, partition.number.cast_signed(), Offset::End)
                .map_err(|error| failed("ask for the end of", partition, error))?;
        }
        if asked.count() == 0 {
            return Ok(());
        }
        let object = names(&asked);
        let answered = self.consumer()?.offsets_for_times(asked, REQUEST_MAX);
        let answered = answered.map_err(|error| failed("find the ends of", object, error))?;
        for answer in answered.elements() {
            let of = |taken: &&mut Taken| {
                taken.partition.topic == answer.topic() && taken.partition.number.cast_signed() == answer.partition()
            };
            let Some(taken) = self.taken.iter_mut().find(of) else { continue };
            answer.error().map_err(|error| failed("find the end of", &taken.partition, error))?;
            let now = answer.offset().to_raw().unwrap_or(-1);
            taken.at_end = taken.at_end.filter(|end| now <= end.offset).map(|end| End { known: Instant::now(), ..end });
        }
        Ok(())
    }

    fn close(&mut self) {
        self.taken.clear();
        self.consumer = None;
    }
}

/// Serves what the cluster says to a consumer beside the records of its partitions' queues.
pub(super) fn serve<C: ConsumerContext + Refused>(consumer: &BaseConsumer<C>, bootstrap_servers: &str) -> Result<()> {
    let brokers = || format!("Kafka at {bootstrap_servers}");
    while let Some(said) = consumer.poll(Duration::ZERO) {
        match said {
            Ok(_) | Err(KafkaError::PartitionEOF(_)) => {}
            Err(error @ KafkaError::MessageConsumptionFatal(_)) => {
                return Err(failed("read from", brokers(), error));
            }
            Err(KafkaError::MessageConsumption(RDKafkaErrorCode::AllBrokersDown)) => {
                // It is said whenever the last connection breaks; most times another one is there at once.
                consumer.fetch_metadata(None, REQUEST_MAX).map_err(|error| failed("reach", brokers(), error))?;
            }
            Err(error) => {
                consumer.context().refusal().check("read from", brokers())?;
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

/// What came of a question. A consumer says beside its answers why it gets none.
pub(super) fn answered<T>(
    consumer: &Reader,
    operation: &'static str,
    object: impl fmt::Display,
    answer: Result<T, KafkaError>,
) -> Result<T> {
    if answer.is_err() {
        let until = Instant::now() + HEARING;
        while Instant::now() < until {
            // Its context takes what it says.
            let _ = consumer.poll(HEARING);
        }
    }
    consumer.context().refusal().judge(operation, object, answer)
}

/// The partitions of a list, for people.
pub(super) fn names(list: &TopicPartitionList) -> String {
    let elements = list.elements();
    let names = elements.iter().map(|element| format!("{}/{}", element.topic(), element.partition()));
    names.collect::<Vec<_>>().join(", ")
}
