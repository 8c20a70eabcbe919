//! How topics are read.

use std::time::Duration;

use rdkafka::config::ClientConfig;

use super::connection::KafkaConnection;

/// What a fetch brings of one partition at most, unless a single batch is longer.
const FETCH_BYTES: u32 = 1 << 20;
/// What a fetch brings in all.
const FETCH_BYTES_ALL: u32 = 16 << 20;

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
    /// Whether to end where the topics end now.
    pub bounded: bool,
    /// About how many bytes a chunk holds.
    pub chunk_bytes: usize,
    /// How many kibibytes of a partition wait to be read at most.
    pub queue_kib: u32,
    /// Between two looks whether topics have new partitions.
    pub metadata_every: Duration,
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

    /// What a source's client is made with.
    pub(super) fn config(&self, connection: &KafkaConnection) -> ClientConfig {
        let mut config = connection.config();
        config.set("group.id", &self.group);
        config.set("enable.auto.commit", "false").set("enable.auto.offset.store", "false");
        // What retention has deleted is never passed over in silence.
        config.set("auto.offset.reset", "error");
        config.set("isolation.level", "read_committed");
        config.set("allow.auto.create.topics", "false");
        config.set("enable.partition.eof", "true");
        config.set("queued.min.messages", "1000000");
        config.set("queued.max.messages.kbytes", self.queue_kib.to_string());
        config.set("fetch.message.max.bytes", FETCH_BYTES.to_string());
        config.set("fetch.max.bytes", FETCH_BYTES_ALL.to_string());
        // How long the client pauses when a queue is full, and how long the broker waits for the first record.
        config.set("fetch.queue.backoff.ms", "2").set("fetch.wait.max.ms", "500").set("fetch.error.backoff.ms", "100");
        config
    }
}
