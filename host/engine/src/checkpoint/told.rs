//! A store of checkpoints that says how far a restore has come, to whoever looks on from outside.

use tamis_model::Result;

use super::{Checkpoint, CheckpointStore, Restored};

/// How far a restore of keyed state has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restoring {
    /// Entries that were read; of a key that was saved several times there may be several.
    pub entries: u64,
    /// How many there are to read. Until the end it may be too many.
    pub of: u64,
}

impl Restoring {
    /// Adds how far another one has come.
    pub fn add(&mut self, other: Self) {
        self.entries += other.entries;
        self.of += other.of;
    }
}

/// A store whose restores are told.
pub struct Told<F> {
    /// The store.
    pub store: Box<dyn CheckpointStore>,
    /// Who is told, with each block, and in the end that it was all.
    pub tell: F,
}

impl<F: FnMut(Restoring) + Send> CheckpointStore for Told<F> {
    fn latest(&mut self) -> Result<Option<Checkpoint>> {
        self.store.latest()
    }

    fn restore(&mut self, take: &mut dyn FnMut(Restored<'_>) -> Result<()>) -> Result<()> {
        let Self { store, tell } = self;
        let mut entries = 0;
        store.restore(&mut |part| {
            entries = part.read;
            tell(Restoring { entries, of: part.of });
            take(part)
        })?;
        tell(Restoring { entries, of: entries });
        Ok(())
    }

    fn save(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        self.store.save(checkpoint)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::checkpoint::Keyed;
    use crate::conformance::{CheckpointHarness, checkpoint_contract};
    use crate::entries::Entries;
    use crate::memory::MemoryCheckpoints;

    fn told<F: FnMut(Restoring) + Send>(store: &MemoryCheckpoints, tell: F) -> Told<F> {
        Told { store: Box::new(store.clone()), tell }
    }

    #[test]
    fn a_restore_is_told_block_by_block_and_its_end() {
        let store = MemoryCheckpoints::new();
        let mut keyed = BTreeMap::new();
        for owner in ["a", "b"] {
            let mut changes = Entries::default();
            (0..3_u8).for_each(|key| changes.put(&[key], &[b"state"]));
            keyed.insert(owner.to_owned(), Keyed { whole: true, changes, ..Keyed::default() });
        }
        told(&store, |_| {}).save(&Checkpoint { keyed, ..Checkpoint::default() }).unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let ear = Arc::clone(&heard);
        let mut blocks = 0;
        let mut store = told(&store, move |restoring| ear.lock().unwrap().push((restoring.entries, restoring.of)));
        store
            .restore(&mut |_| {
                blocks += 1;
                Ok(())
            })
            .unwrap();
        assert_eq!((blocks, heard.lock().unwrap().as_slice()), (2, [(3, 6), (6, 6), (6, 6)].as_slice()));
    }

    struct Saved(MemoryCheckpoints);

    impl CheckpointHarness for Saved {
        fn open(&mut self) -> Box<dyn CheckpointStore> {
            Box::new(told(&self.0, |_| {}))
        }
    }

    #[test]
    fn a_store_that_is_told_of_keeps_the_contract() {
        checkpoint_contract(|| Saved(MemoryCheckpoints::new()));
    }
}
