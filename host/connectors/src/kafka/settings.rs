//! How topics are read.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::config::ClientConfig;

use tamis_model::position::Partition;

use super::connection::KafkaConnection;
use crate::topics::CHUNK_BYTES;

/// What a fetch brings of one partition at most, unless a single batch is longer.
const FETCH_BYTES: u32 = 1 << 20;
/// What a fetch brings in all.
const FETCH_BYTES_ALL: u32 = 16 << 20;

/// How long a broker waits for more of what ends: only marks of transactions may be left.
const AT_END_MS_MAX: u32 = 10;

/// How topics are read.
#[derive(Clone, Debug)]
pub struct KafkaSourceSettings {
    /// The topics.
    pub topics: Vec<String>,
    /// The group: where lag tools find positions.
    pub group: String,
    /// Which of their partitions.
    pub share: Share,
    /// Whether `release` tells the group the positions; false = whoever writes the checkpoints does.
    pub tells_positions: bool,
    /// How far.
    pub extent: Extent,
    /// About how many bytes a chunk holds.
    pub chunk_bytes: usize,
    /// How many kibibytes of a partition wait to be read at most.
    pub queue_kib: u32,
    /// How much a broker gathers before it answers.
    pub fetch_bytes_min: u32,
    /// How long it does so at most. The client asks a broker one question at a time: while the queues of busy partitions are full it asks for
    /// quiet ones alone, and until that is answered the busy ones get nothing more, however empty their queues are by then.
    pub fetch_wait_max_ms: u32,
    /// Between two looks whether topics have new partitions.
    pub metadata_every: Duration,
}

/// Offsets of partitions: the first one, and the one behind the last.
pub type Stretches = BTreeMap<Partition, Range<i64>>;

/// How far topics are read.
#[derive(Clone, Debug)]
pub enum Extent {
    /// Without an end.
    Open,
    /// To where they end when the source is opened: behind the last record that is committed then.
    Now,
    /// These partitions, each from its first offset to its last, and no others.
    Between(Arc<Stretches>),
}

/// A share of the partitions of topics: of every `of` partitions the one with this number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Which, from 0.
    pub number: u32,
    /// Into how many shares they are dealt out.
    pub of: u32,
}

impl Share {
    /// All partitions.
    pub const ALL: Self = Self { number: 0, of: 1 };

    /// Whether a partition belongs to it.
    pub(super) fn has(self, partition: u32) -> bool {
        partition % self.of == self.number
    }
}

impl KafkaSourceSettings {
    /// These topics, all partitions, tailing.
    pub fn new(topics: impl IntoIterator<Item = String>, group: impl Into<String>) -> Self {
        Self {
            topics: topics.into_iter().collect(),
            group: group.into(),
            share: Share::ALL,
            tells_positions: true,
            extent: Extent::Open,
            chunk_bytes: CHUNK_BYTES,
            queue_kib: 4 << 10,
            fetch_bytes_min: 1,
            fetch_wait_max_ms: 50,
            metadata_every: Duration::from_secs(10),
        }
    }

    /// The same, to where the topics end when it is opened.
    #[must_use]
    pub fn until_end(mut self) -> Self {
        self.extent = Extent::Now;
        self.fetch_wait_max_ms = AT_END_MS_MAX;
        self
    }

    /// Nobody waits for what it reads: a broker is asked seldom, for much.
    #[must_use]
    pub fn unhurried(mut self) -> Self {
        self.fetch_bytes_min = FETCH_BYTES;
        self.fetch_wait_max_ms = 500;
        self
    }

    /// These stretches alone, for a look that leaves no trace: the group hears nothing of it.
    #[must_use]
    pub fn between(stretches: Arc<Stretches>, group: impl Into<String>) -> Self {
        Self {
            extent: Extent::Between(stretches),
            tells_positions: false,
            fetch_wait_max_ms: AT_END_MS_MAX,
            ..Self::new([], group)
        }
    }

    /// Whether it ends.
    pub(super) fn is_bounded(&self) -> bool {
        !matches!(self.extent, Extent::Open)
    }

    /// What a source's client is made with.
    pub(super) fn config(&self, connection: &KafkaConnection) -> ClientConfig {
        let mut config = connection.config();
        config.set("group.id", &self.group);
        config.set("enable.auto.commit", "false").set("enable.auto.offset.store", "false");
        // What retention has deleted is never passed over in silence.
        config.set("auto.offset.reset", "error");
        config.set("isolation.level", "read_committed");
        config.set("enable.partition.eof", "true");
        config.set("queued.min.messages", "1000000");
        config.set("queued.max.messages.kbytes", self.queue_kib.to_string());
        config.set("fetch.message.max.bytes", FETCH_BYTES.to_string());
        config.set("fetch.max.bytes", FETCH_BYTES_ALL.to_string());
        config.set("fetch.min.bytes", self.fetch_bytes_min.to_string());
        config.set("fetch.wait.max.ms", self.fetch_wait_max_ms.to_string());
        // How long the client pauses when a queue is full.
        config.set("fetch.queue.backoff.ms", "2").set("fetch.error.backoff.ms", "100");
        config
    }
}
