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
        if let Membership::Group { instance, session_max, silence_max } = &self.membership {
            config.set("partition.assignment.strategy", "cooperative-sticky");
            config.set("session.timeout.ms", session_max.as_millis().to_string());
            config.set("heartbeat.interval.ms", (session_max.as_millis() / 4).to_string());
            config.set("max.poll.interval.ms", silence_max.max(session_max).as_millis().to_string());
            if let Some(instance) = instance {
                config.set("group.instance.id", instance);
            }
        }
        config
    }
}
