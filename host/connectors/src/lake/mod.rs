//! The lake in a local folder: alerts and quarantine as compressed JSON lines, datasets as Delta tables.
//!
//! JSON lines are written with plain files and not through an object store, because a stage has to be durable and the
//! local object store does not sync; tables go through the object store that deltalake brings.

mod alerts;
mod json_lines;
mod quarantine;
mod tables;

pub use alerts::AlertFiles;
pub use quarantine::QuarantineFiles;
pub use tables::{DeltaTables, TableSpec};
