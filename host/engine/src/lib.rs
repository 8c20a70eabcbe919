//! The one path for data: source → decode → stages → sinks, with state and checkpoints.
//!
//! This crate knows no connector and no sandbox: it works on the traits [`Source`], [`Sink`],
//! [`CheckpointStore`] and on [`tamis_model::rule::Rule`].

mod aggregates;
mod alerts;
mod bounded;
mod breaker;
pub mod checkpoint;
pub mod chunk;
pub mod clock;
mod codec;
mod committer;
pub mod conformance;
mod context;
pub mod decisions;
pub mod decode;
pub mod entries;
pub mod exchange;
pub mod frame;
mod grouping;
mod judge;
mod kept;
pub mod memory;
pub mod meters;
mod outbox;
mod plan;
mod pool;
mod recent;
pub mod report;
mod ring;
mod roster;
pub mod rules;
mod shard;
mod share;
pub mod sink;
pub mod sinks;
pub mod source;
mod state;
mod states;
pub mod stream;
mod timers;
pub mod transform;
mod tray;
mod watermark;

pub use bounded::read_to_end;
pub use checkpoint::{Checkpoint, CheckpointStore, Keyed, Restored, Restoring, Told};
pub use chunk::{Chunk, Framing};
pub use clock::{Clock, SystemClock, Waker};
pub use decisions::Decisions;
pub use report::{Progress, Report};
pub use rules::{Role, RulePlan, RuleSet, SHADOW_ALERTS};
pub use sink::{Settle, Sink, Staging, Unstaged, Watched};
pub use sinks::Sinks;
pub use source::{Read, Source};
pub use stream::{Command, Commands, Step, Stream, StreamParts, StreamSettings};
