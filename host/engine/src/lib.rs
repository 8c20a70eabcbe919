//! The one path for data: source → decode → stages → sinks, with state and checkpoints.
//!
//! This crate knows no connector and no sandbox: it works on the traits [`Source`], [`Sink`],
//! [`CheckpointStore`] and on [`tamis_model::rule::Rule`].

pub mod checkpoint;
pub mod clock;
pub mod conformance;
pub mod decode;
pub mod memory;
pub mod sink;
pub mod source;
pub mod transform;

pub use checkpoint::{Checkpoint, CheckpointStore};
pub use clock::{Clock, SystemClock};
pub use sink::Sink;
pub use source::{Chunk, Read, Source};
