//! Checkpoints in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tamis_model::Result;

use super::lock;
use crate::checkpoint::{Checkpoint, CheckpointStore, Restored};
use crate::entries::{Block, Entries};

/// A store for the checkpoints of one pipeline.
#[derive(Clone, Debug, Default)]
pub struct MemoryCheckpoints(Arc<Mutex<Saved>>);

/// The last checkpoint, and by owner what is kept of its keyed state.
#[derive(Debug, Default)]
struct Saved {
    checkpoint: Option<Checkpoint>,
    keys: BTreeMap<String, Rounds>,
}

/// What was said of an owner's keys, as a log has it that trusts in rounds: nothing is left of what was said before the last whole one.
#[derive(Debug, Default)]
struct Rounds {
    last: Vec<Entries>,
    present: Vec<Entries>,
}

impl Rounds {
    fn blocks(&self) -> impl Iterator<Item = &Block> {
        self.last.iter().chain(&self.present).flat_map(Entries::blocks)
    }
}

impl MemoryCheckpoints {
    /// No checkpoint yet.
    pub fn new() -> Self {
        Self::default()
    }
}

impl CheckpointStore for MemoryCheckpoints {
    fn latest(&mut self) -> Result<Option<Checkpoint>> {
        Ok(lock(&self.0).checkpoint.clone())
    }

    fn restore(&mut self, take: &mut dyn FnMut(Restored<'_>) -> Result<()>) -> Result<()> {
        let saved = lock(&self.0);
        let of = saved.keys.values().flat_map(Rounds::blocks).map(|block| block.count).sum();
        let mut read = 0;
        for (owner, rounds) in &saved.keys {
            for block in rounds.blocks() {
                read += block.count;
                take(Restored { owner, block: &block.bytes, read, of })?;
            }
        }
        Ok(())
    }

    fn save(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        let mut saved = lock(&self.0);
        saved.keys.retain(|owner, _| checkpoint.keyed.contains_key(owner));
        for (owner, keyed) in &checkpoint.keyed {
            let rounds = saved.keys.entry(owner.clone()).or_default();
            if keyed.whole {
                *rounds = Rounds::default();
            }
            rounds.present.extend([keyed.changes.clone(), keyed.repeated.clone()]);
            if keyed.round_ends {
                rounds.last = std::mem::take(&mut rounds.present);
            }
        }
        saved.checkpoint = Some(checkpoint.without_entries());
        Ok(())
    }
}
