//! What a stream is made of, what it can be told and what it tells.

use std::sync::Arc;

use tamis_model::topic::TopicSchema;

use crate::checkpoint::CheckpointStore;
use crate::clock::Clock;
use crate::outbox::Sinks;
use crate::rules::RuleSet;
use crate::source::Source;

/// How a stream works.
#[derive(Clone, Debug)]
pub struct StreamSettings {
    /// Rows of a batch at most.
    pub rows_max: usize,
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
}

impl Default for StreamSettings {
    /// The contract's times, tailing.
    fn default() -> Self {
        Self {
            rows_max: 4096,
            lateness_ms: 10_000,
            quiet_ms: 30_000,
            future_ms_max: 300_000,
            checkpoint_interval_ms: 10_000,
            bounded: false,
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
}

/// What a running stream can be told.
#[derive(Debug)]
pub enum Command {
    /// Go on with these rules. A set that cannot be put to work is logged, and the old one goes on.
    Rules(RuleSet),
    /// Take a checkpoint and return. No window closes.
    Stop,
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
