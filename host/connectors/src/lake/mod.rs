//! The lake in a local folder: alerts, aggregates, quarantine and the archive of topics as JSON lines, datasets as Delta tables.
//!
//! JSON lines are written with plain files and not through an object store, because a stage has to be durable and the
//! local object store does not sync; tables go through the object store that deltalake brings.

mod aggregates;
mod alerts;
mod appended;
mod archive;
mod gathered_lines;
mod json_lines;
mod quarantine;
mod tables;

pub use aggregates::AggregateFiles;
pub use alerts::{AlertFiles, alert_lines};
pub use archive::{ArchiveObject, ArchiveReader, ArchiveSettings, ArchiveWriter, Closed, ORIGIN_HOME, archive_objects};
pub use quarantine::QuarantineFiles;
pub use tables::{DeltaTables, TableSpec};
