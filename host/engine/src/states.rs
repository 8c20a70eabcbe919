//! The state of a rule over all shards.

use std::hash::BuildHasher;

use hashbrown::DefaultHashBuilder;
use tamis_model::Result;
use tamis_model::rule::Rule;

use crate::checkpoint::{Keyed, KeyedState};
use crate::entries::Entry;
use crate::shard::Shard;
use crate::state::StateStore;

/// The state of a rule, each shard's by itself. Checkpoints know no shards: every process may have as many as it likes.
pub(crate) struct States {
    shards: Vec<StateStore>,
    /// The shard whose turn it is to repeat what did not change.
    round: usize,
}

impl States {
    /// No keys.
    pub fn new(shards: usize) -> Self {
        Self { shards: (0..shards).map(|_| StateStore::default()).collect(), round: 0 }
    }

    /// What the last checkpoint has, of which nothing was handed back yet.
    pub fn restoring(shards: usize) -> Self {
        Self { shards: (0..shards).map(|_| StateStore::restoring()).collect(), round: 0 }
    }

    /// The same keys, states and wakes for another owner, of whom no checkpoint knows anything.
    pub fn copied(&self) -> Self {
        Self { shards: self.shards.iter().map(StateStore::copied).collect(), round: 0 }
    }

    /// The same keys and wakes with the states that `code` makes of theirs, which a plugin of state version `from_version` wrote.
    pub fn migrated(&self, code: &mut dyn Rule, from_version: u32) -> Result<Self> {
        let shards = self.shards.iter().map(|shard| shard.migrated(code, from_version));
        Ok(Self { shards: shards.collect::<Result<_>>()?, round: 0 })
    }

    /// From now on another version, or another configuration, says when keys wake.
    pub fn pass_on(&mut self) {
        self.shards.iter_mut().for_each(StateStore::pass_on);
    }

    /// How many keys have state.
    pub fn keys(&self) -> usize {
        self.shards.iter().map(StateStore::len).sum()
    }

    /// What keys and states take, in bytes.
    pub fn bytes(&self) -> u64 {
        self.shards.iter().map(StateStore::bytes).sum()
    }

    /// Takes back what a checkpoint has. None when it cannot have been saved.
    pub fn restore(&mut self, entry: Entry<'_>, hasher: &DefaultHashBuilder) -> Option<()> {
        let shard = Shard::of(hasher.hash_one(entry.key), self.shards.len());
        self.shards[shard].restore(entry, hasher)
    }

    /// Each shard's.
    pub fn shards_mut(&mut self) -> impl Iterator<Item = &mut StateStore> {
        self.shards.iter_mut()
    }
}

impl KeyedState for States {
    fn keys(&self) -> usize {
        self.keys()
    }

    fn take_changes(&mut self) -> Keyed {
        let mut all = Keyed::default();
        for Keyed { whole, changes, .. } in self.shards.iter_mut().map(KeyedState::take_changes) {
            // They begin together, so all of them are whole or none is.
            all.whole |= whole;
            all.changes.append(changes);
        }
        all
    }

    /// One shard after the other: the round of all ends with that of the last one.
    fn repeat(&mut self, keys_max: u64, keyed: &mut Keyed) {
        let before = keyed.repeated.len();
        loop {
            let left = keys_max - (keyed.repeated.len() - before);
            self.shards[self.round].repeat(left, keyed);
            if !keyed.round_ends {
                return;
            }
            self.round = (self.round + 1) % self.shards.len();
            if self.round == 0 {
                return;
            }
        }
    }
}
