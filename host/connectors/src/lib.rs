//! The outside world behind the engine's traits: topics, files, checkpoints, the lake and the warehouse.
//!
//! Everything here is storage and nothing is policy: when to checkpoint, what to publish and what a failure means is
//! decided by the engine and by the jobs.

pub mod checkpoints;
mod durable;
pub mod files;
mod folders;
pub mod influx;
pub mod kafka;
pub mod lake;
pub mod lock;
mod parallel;
mod plain_name;
mod rows;
pub mod sql;
pub mod topics;
pub mod warehouse;

pub use checkpoints::FileCheckpoints;
pub use files::FileSource;
pub use influx::Influx;
pub use lake::{AggregateFiles, AlertFiles, DeltaTables, QuarantineFiles};
pub use lock::ProcessLock;
pub use rows::Rows;
pub use topics::{TopicReader, TopicWriter};
pub use warehouse::{AlertRows, MemoryWarehouse, SqliteWarehouse, Warehouse};
