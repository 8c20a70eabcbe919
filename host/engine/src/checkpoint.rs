//! Checkpoints: positions, state and staged output, saved together.
//!
//! What is small is in each of them whole. Keyed state may be large, so a checkpoint has what of it has changed since the one before.

mod told;

use std::collections::BTreeMap;

use tamis_model::Result;
use tamis_model::position::Positions;

pub use self::told::{Restoring, Told};
use crate::entries::Entries;

/// Everything that a pipeline needs to go on where it was, beside the keyed state of the checkpoints before.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Checkpoint {
    /// Counts up by one with each checkpoint of a pipeline.
    pub number: u64,
    /// The next offset to read of each partition.
    pub positions: Positions,
    /// What each sink staged, by the sink's name.
    pub staged: BTreeMap<String, serde_json::Value>,
    /// Encoded state by owner (`rule/card-testing/3`, `times`, …), whole.
    pub state: BTreeMap<String, Vec<u8>>,
    /// Keyed state by owner (`keys/card-testing/1`, …). The entries of an owner that is not named are gone.
    pub keyed: BTreeMap<String, Keyed>,
}

impl Checkpoint {
    /// The same, of keyed state only the names of the owners: what [`CheckpointStore::latest`] gives.
    #[must_use]
    pub fn without_entries(&self) -> Self {
        let Self { number, positions, staged, state, keyed } = self;
        let keyed = keyed.keys().map(|owner| (owner.clone(), Keyed::default())).collect();
        Self { number: *number, positions: positions.clone(), staged: staged.clone(), state: state.clone(), keyed }
    }
}

/// What a checkpoint says of an owner's keyed state.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Keyed {
    /// Whether the entries of earlier checkpoints are gone: `changes` are all that there are.
    pub whole: bool,
    /// What changed since the last checkpoint; of a key that occurs twice the last entry stands.
    pub changes: Entries,
    /// Some of what did not change, said again. A store that keeps a log need not keep it for ever thereby, nor read it in order to
    /// shorten it; one that finds entries by their key may leave this aside.
    pub repeated: Entries,
    /// Whether this checkpoint ends a round. Of every key that is there something was said in each round, so that with this one
    /// everything said before the round is superfluous.
    pub round_ends: bool,
}

/// Keys and their values that checkpoints keep.
pub(crate) trait KeyedState: Send {
    /// How many keys there are.
    fn keys(&self) -> usize;
    /// What the next checkpoint says; it counts as said from now on.
    fn take_changes(&mut self) -> Keyed;
    /// Repeats the next keys of the round, so many at most.
    fn repeat(&mut self, keys_max: u64, keyed: &mut Keyed);
}

/// A part of an owner's entries, as they are handed back.
#[derive(Clone, Copy, Debug)]
pub struct Restored<'a> {
    /// The owner.
    pub owner: &'a str,
    /// A block of [`Entries`].
    pub block: &'a [u8],
    /// How many entries have been read with this block, those of all owners together.
    pub read: u64,
    /// How many there are to read, at most.
    pub of: u64,
}

/// Where checkpoints are kept.
///
/// Contract: `save` is atomic and durable, whatever crashes; `latest` is the last one that `save` returned `Ok`
/// for (or one whose `save` was interrupted when it had already become durable). A checkpoint
/// that does not read back is an error, never silently an older one. After a `save` that failed the store is to be dropped.
pub trait CheckpointStore: Send {
    /// The last checkpoint of the pipeline, if there is one, with the names of the owners of keyed state and without their entries.
    fn latest(&mut self) -> Result<Option<Checkpoint>>;
    /// Hands the entries of the last checkpoint's keyed state to `take`, block by block. Those of an owner come in the order
    /// in which they were saved: the last entry of a key stands, and a key that is gone may be named.
    fn restore(&mut self, take: &mut dyn FnMut(Restored<'_>) -> Result<()>) -> Result<()>;
    /// Saves a checkpoint and may forget the ones before it.
    fn save(&mut self, checkpoint: &Checkpoint) -> Result<()>;
}
