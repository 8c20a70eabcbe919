//! What a stream is made of, what it can be told and what it tells.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use tamis_model::position::Partition;
use tamis_model::topic::TopicSchema;
use tamis_model::{Error, Result};

use crate::checkpoint::CheckpointStore;
use crate::clock::{Clock, Waker};
use crate::decisions::Decisions;
use crate::exchange::{Exchange, Part};
use crate::rules::RuleSet;
use crate::sinks::Sinks;
use crate::source::Source;

/// How a stream works.
#[derive(Clone, Debug)]
pub struct StreamSettings {
    /// Rows of a batch at most.
    pub rows_max: usize,
    /// Which rules it judges.
    pub part: Part,
    /// By how many threads rows are decoded and judged; each has a share of the keys.
    pub shards: usize,
    /// How far behind the highest event time of its partition an event is in time.
    pub lateness_ms: i64,
    /// How long a partition must be quiet until it no longer holds its topic's watermark.
    pub quiet_ms: i64,
    /// How far ahead of the clock an event may be.
    pub future_ms_max: i64,
    /// How much clock time lies between two checkpoints; 0 = one after each batch.
    pub checkpoint_interval_ms: i64,
    /// Whether the source ends: then there is no clock but for `generated_at`, and at the end all windows close.
    pub bounded: bool,
    /// Whether it waits while output and checkpoints become durable.
    pub commits: Commits,
}

/// Where output and checkpoints become durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Commits {
    /// In the stream's own steps: what was done before a crash follows from the steps alone.
    InStep,
    /// On a thread of its own, while the stream goes on.
    Beside {
        /// Whether records leave with their batch; else they take the same way as everything else, and are those of one checkpoint.
        records_at_once: bool,
    },
}

impl StreamSettings {
    pub(super) fn check(&self) -> Result<()> {
        let invalid = |reason: &str| Err(Error::invalid("open", "stream", reason));
        if self.rows_max == 0 {
            return invalid("a batch must have room for a row");
        }
        if self.shards == 0 {
            return invalid("the keys have at least one shard");
        }
        match &self.part {
            Part::Unkeyed(Exchange { topic, partitions: 0 }) => {
                Err(Error::invalid("open", format!("exchange {topic}"), "it has at least one partition"))
            }
            _ => Ok(()),
        }
    }
}

impl Default for StreamSettings {
    /// The contract's times, tailing, in step.
    fn default() -> Self {
        Self {
            rows_max: 4096,
            part: Part::Whole,
            shards: 1,
            lateness_ms: 10_000,
            quiet_ms: 30_000,
            future_ms_max: 300_000,
            checkpoint_interval_ms: 10_000,
            bounded: false,
            commits: Commits::InStep,
        }
    }
}

/// What a stream is made of.
pub struct StreamParts {
    /// How it works.
    pub settings: StreamSettings,
    /// Where records come from. It may have partitions of the topics in `schemas` only.
    pub source: Box<dyn Source>,
    /// The topics.
    pub schemas: Vec<TopicSchema>,
    /// The rules to begin with.
    pub rules: RuleSet,
    /// Where output goes.
    pub sinks: Sinks,
    /// Where its checkpoints are kept.
    pub checkpoints: Box<dyn CheckpointStore>,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// Who waits for what it makes of single records, and who wakes it.
    pub decisions: Decisions,
}

/// What a running stream can be told.
pub enum Command {
    /// Go on with these rules. When the set cannot be put to work, the old one goes on.
    Rules(RuleSet, Reply<()>),
    /// Judge records again; answers for each in turn.
    Redrive(Vec<Redrive>, Reply<Vec<Redriven>>),
    /// Take a checkpoint and return. No window closes.
    Stop,
}

/// Where a running stream is told something. Clones are the same place.
#[derive(Clone)]
pub struct Commands {
    sender: Sender<Command>,
    waker: Waker,
}

impl Commands {
    /// With where the stream hears it, which `waker` wakes.
    pub fn new(waker: Waker) -> (Self, Receiver<Command>) {
        let (sender, received) = channel();
        (Self { sender, waker }, received)
    }

    /// Tells the stream something; it need not wait for a record to hear it. False when it has ended.
    pub fn send(&self, command: Command) -> bool {
        let sent = self.sender.send(command).is_ok();
        self.waker.wake();
        sent
    }
}

/// Where the answer to a command goes.
pub type Reply<T> = Box<dyn FnOnce(Result<T>) + Send>;

/// A record that was refused, or that a rule failed on, to be judged again as of now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redrive {
    /// Where it came from.
    pub partition: Partition,
    /// Its record line, without the line break.
    pub line: Vec<u8>,
    /// The rule that failed on it; none = every rule, because it could not be decoded.
    pub rule: Option<RedriveRule>,
    /// How often it is tried with this one.
    pub attempt: u32,
}

/// The version of a rule that failed on a record. It judges the record again, or what runs in its place: others have judged it already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedriveRule {
    /// The rule's name.
    pub name: String,
    /// The number of the version.
    pub version: u32,
    /// Whether its alerts did not count.
    pub shadow: bool,
}

/// What came of a record that was to be judged again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redriven {
    /// Nothing failed on it.
    Judged,
    /// It has a new dead letter.
    Failed,
    /// Its rule, or its partition, is no longer there: nothing was done with it.
    Left,
}

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It judged rows.
    Judged,
    /// It found a partition without new records, or at its end.
    Looked,
    /// It took a checkpoint.
    Checkpointed,
    /// Nothing was to do: it waited a little.
    Waited,
    /// The input has come to its end and everything is written.
    Finished,
}
