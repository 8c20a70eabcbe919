//! Checkpoints: positions, state and staged output, saved together.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tamis_model::Result;
use tamis_model::position::Positions;

/// Everything that a pipeline needs to go on where it was.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Counts up by one with each checkpoint of a pipeline.
    pub number: u64,
    /// The next offset to read of each partition.
    pub positions: Positions,
    /// What each sink staged, by the sink's name.
    pub staged: BTreeMap<String, serde_json::Value>,
    /// Encoded state by owner (`rule/card-testing`, `times`, …).
    pub state: BTreeMap<String, Vec<u8>>,
}

/// Where checkpoints are kept.
///
/// Contract: `save` is atomic and durable, whatever crashes; `latest` is the last one that `save` returned `Ok`
/// for (or one whose `save` was interrupted when it had already become durable). A checkpoint
/// that does not read back is an error, never silently an older one.
pub trait CheckpointStore: Send {
    /// The last checkpoint of the pipeline, if there is one.
    fn latest(&mut self) -> Result<Option<Checkpoint>>;
    /// Saves a checkpoint and may forget the ones before it.
    fn save(&mut self, checkpoint: &Checkpoint) -> Result<()>;
}
