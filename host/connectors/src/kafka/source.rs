//! Reading topics: every partition from its own queue, which the client fills up to a bound and no further.
//!
//! Memory: of a partition that nobody reads there waits as much as [`KafkaSourceSettings::queue_kib`] says, and one fetch; the client asks for no
//! more of it until there is room. Of one partition a chunk is read ahead.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Instant;

use rdkafka::consumer::{CommitMode, Consumer, ConsumerGroupMetadata};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tamis_engine::{Chunk, Read, Source, Waker};
use tamis_model::position::{Partition, Positions};
use tamis_model::{Error, Kind, Result};

use super::client::{Reader, names, serve};
use super::connection::{KafkaConnection, Quiet, REQUEST_MAX};
use super::errors::failed;
use super::look::{Found, Look, Question};
use super::queue::PartitionQueue;
use super::settings::{Extent, KafkaSourceSettings};
use super::taken::{End, Taken};

/// Reads topics of a cluster. Only committed records are seen.
pub struct KafkaSource {
    connection: KafkaConnection,
    settings: KafkaSourceSettings,
    taken: Vec<Taken>,
    consumer: Option<Arc<Reader>>,
    /// What was read ahead.
    ahead: Option<Ahead>,
    /// Room for it.
    room: Chunk,
    /// The one that is going on.
    look: Option<Look>,
    /// When the last one began.
    looked_at: Instant,
    group: KafkaGroup,
    /// Whoever waits for records.
    waker: Option<Waker>,
}

/// Records of a partition that are not handed out yet.
struct Ahead {
    /// The index of the partition.
    taken: usize,
    /// The offset that comes first.
    from: i64,
    /// The end that the partition had before.
    at_end: Option<End>,
    chunk: Result<Chunk>,
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
        Self {
            connection,
            settings,
            taken: Vec::new(),
            consumer: None,
            ahead: None,
            room: Chunk::default(),
            look: None,
            looked_at: Instant::now(),
            group,
            waker: None,
        }
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
            let (begin, until) = match &self.settings.extent {
                Extent::Open => (first, None),
                Extent::Now => (first, Some(end)),
                Extent::Between(stretches) => match stretches.get(&partition) {
                    Some(stretch) => (stretch.start, Some(stretch.end)),
                    None => return Err(Error::new(Kind::Missing, "read partition", &partition)),
                },
            };
            let next = positions.0.get(&partition).copied().unwrap_or(begin);
            if !(first..=end).contains(&next) {
                let object = format!("{partition} at offset {next}");
                let reason = format!("it has offsets {first} to {end}: retention, or somebody, has deleted records");
                return Err(Error::new(Kind::Missing, "go on reading", object).because(reason));
            }
            // Before it is assigned, so that no record goes another way.
            let queue = PartitionQueue::new(&consumer, topic, number);
            let mut queue = queue.ok_or_else(|| Error::invalid("read", &partition, "it is no partition's name"))?;
            if let Some(waker) = &self.waker {
                queue.wake(waker);
            }
            list.add_partition_offset(topic, number, Offset::Offset(next))
                .map_err(|error| failed("go to a position of", &partition, error))?;
            self.taken.push(Taken { partition, queue, begin: next, next, end: until, at_end: None });
        }
        if list.count() > 0 {
            consumer.incremental_assign(&list).map_err(|error| failed("read", names(&list), error))?;
        }
        Ok(())
    }
}

impl Source for KafkaSource {
    fn wake(&mut self, waker: &Waker) {
        self.waker = Some(waker.clone());
    }

    fn open(&mut self, positions: &Positions) -> Result<()> {
        self.close();
        let consumer = self.connect()?;
        self.looked_at = Instant::now();
        *self.group.reader.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(&consumer);
        self.consumer = Some(consumer);
        let partitions = match &self.settings.extent {
            Extent::Between(stretches) => stretches.keys().cloned().collect(),
            Extent::Open | Extent::Now => self.question()?.partitions()?,
        };
        self.take(partitions, positions)
    }

    fn partitions(&mut self) -> Result<Vec<Partition>> {
        if !self.settings.is_bounded() {
            self.look()?;
        }
        Ok(self.taken.iter().map(|taken| taken.partition.clone()).collect())
    }

    fn read(&mut self, partition: &Partition, chunk: &mut Chunk) -> Result<Read> {
        serve(self.consumer()?, &self.connection.bootstrap_servers)?;
        let index = self.index_of(partition)?;
        if let Some(ahead) = self.ahead.take_if(|ahead| ahead.taken == index) {
            self.room = std::mem::replace(chunk, ahead.chunk?);
            return Ok(Read::Records);
        }
        let taken = &mut self.taken[index];
        if taken.has_ended() {
            return Ok(Read::Ended);
        }
        let any = taken.read(chunk, self.settings.chunk_bytes)?;
        Ok(match any {
            true => Read::Records,
            false if taken.has_ended() => Read::Ended,
            false if taken.at_end.is_some() => Read::CaughtUp,
            false => Read::Waiting,
        })
    }

    fn read_ahead(&mut self, partition: &Partition) {
        let Ok(index) = self.index_of(partition) else { return };
        let taken = &mut self.taken[index];
        if self.ahead.is_none() && !taken.has_ended() {
            let (from, at_end, mut chunk) = (taken.next, taken.at_end, std::mem::take(&mut self.room));
            match taken.read(&mut chunk, self.settings.chunk_bytes) {
                Ok(false) => self.room = chunk,
                read => self.ahead = Some(Ahead { taken: index, from, at_end, chunk: read.map(|_| chunk) }),
            }
        }
    }

    /// Of a partition whose records were all worked through, the end as it was found. Behind the last record there may be marks of
    /// transactions, and when retention deletes those as well, the position would lie before everything that is there.
    fn note(&self, positions: &mut Positions) {
        for (index, taken) in self.taken.iter().enumerate() {
            let position = positions.0.get(&taken.partition).copied().unwrap_or(taken.begin);
            match self.handed_out(index) {
                (next, Some(End { offset, .. })) if position >= next && offset > position => {
                    positions.set(&taken.partition, offset);
                }
                _ => {}
            }
        }
    }

    fn lag(&self) -> Vec<(Partition, u64)> {
        let lag =
            |(index, taken): (usize, &Taken)| Some((taken.partition.clone(), taken.lag(self.handed_out(index).0)?));
        self.taken.iter().enumerate().filter_map(lag).collect()
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
    /// Hears what the last look has found, and begins the next one when it is time.
    fn look(&mut self) -> Result<()> {
        if let Some(look) = self.look.take_if(|look| look.is_over()) {
            let Found { mut partitions, ends } = look.found()?;
            for taken in &mut self.taken {
                if let Some(now) = ends.get(&taken.partition) {
                    taken.ends_at(*now, self.looked_at);
                }
            }
            partitions.retain(|partition| self.taken.iter().all(|taken| taken.partition != *partition));
            self.take(partitions, &Positions::default())?;
        }
        if self.look.is_none() && self.looked_at.elapsed() >= self.settings.metadata_every {
            self.looked_at = Instant::now();
            self.look = Some(Look::begin(self.question()?));
        }
        Ok(())
    }

    /// What a look that begins now asks.
    fn question(&self) -> Result<Question> {
        let Self { connection, settings, taken, .. } = self;
        let is_due = |end: End| end.known.elapsed() >= settings.metadata_every;
        let at_end = taken.iter().filter(|taken| taken.at_end.is_some_and(is_due));
        Ok(Question {
            consumer: Arc::clone(self.consumer()?),
            brokers: format!("Kafka at {}", connection.bootstrap_servers),
            topics: settings.topics.clone(),
            share: settings.share,
            at_end: at_end.map(|taken| taken.partition.clone()).collect(),
        })
    }

    /// Of a partition the offset behind the last record that was handed out, and the end that was there then.
    fn handed_out(&self, index: usize) -> (i64, Option<End>) {
        let ahead = self.ahead.as_ref().filter(|ahead| ahead.taken == index);
        let Taken { next, at_end, .. } = self.taken[index];
        ahead.map_or((next, at_end), |ahead| (ahead.from, ahead.at_end))
    }

    fn index_of(&self, partition: &Partition) -> Result<usize> {
        let index = self.taken.iter().position(|taken| taken.partition == *partition);
        index.ok_or_else(|| Error::new(Kind::Missing, "read partition", partition))
    }

    fn close(&mut self) {
        (self.ahead, self.look) = (None, None);
        self.taken.clear();
        self.consumer = None;
    }
}
