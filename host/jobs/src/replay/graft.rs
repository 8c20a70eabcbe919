//! Checkpoints of a replay that writes through the sinks of a pipeline that does not run.

use tamis_engine::{Checkpoint, CheckpointStore, Restored};
use tamis_model::position::Positions;
use tamis_model::{Error, Kind, Result};

/// The checkpoints of a pipeline, of which a replay changes what its sinks have staged and nothing else. So what it has written is
/// committed like the pipeline's own output, and the pipeline goes on where it was. The replay itself always begins anew.
pub struct Graft {
    store: Box<dyn CheckpointStore>,
    pipeline: Checkpoint,
}

impl Graft {
    /// A graft on the last checkpoint in `store`; there must be one.
    pub fn new(mut store: Box<dyn CheckpointStore>) -> Result<Self> {
        let missing = || Error::new(Kind::Missing, "replay into", "the routes").because("the streams have never run");
        let pipeline = store.latest()?.ok_or_else(missing)?;
        Ok(Self { store, pipeline })
    }

    /// How far the pipeline has come.
    pub fn positions(&self) -> &Positions {
        &self.pipeline.positions
    }

    /// What a sink of the pipeline has staged: it is committed again before the replay begins, as at the pipeline's own start.
    pub fn staged(&self, sink: &str) -> Option<&serde_json::Value> {
        self.pipeline.staged.get(sink)
    }
}

impl CheckpointStore for Graft {
    fn latest(&mut self) -> Result<Option<Checkpoint>> {
        Ok(None)
    }

    fn restore(&mut self, _take: &mut dyn FnMut(Restored<'_>) -> Result<()>) -> Result<()> {
        Ok(())
    }

    /// What the pipeline has of keyed state stays: its owners are named, and nothing of theirs has changed.
    fn save(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        let mut next = self.pipeline.clone();
        next.number += 1;
        // What a sink of the pipeline staged that the replay does not have stays as it was.
        let staged = checkpoint.staged.iter().filter(|(_, staged)| !staged.is_null());
        next.staged.extend(staged.map(|(name, staged)| (name.clone(), staged.clone())));
        self.store.save(&next)?;
        self.pipeline = next;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;
    use tamis_engine::Keyed;
    use tamis_engine::memory::MemoryCheckpoints;
    use tamis_model::position::Partition;

    use super::*;

    #[test]
    fn only_what_is_staged_changes() {
        let mut store = MemoryCheckpoints::new();
        assert_eq!(Graft::new(Box::new(store.clone())).map(drop).unwrap_err().kind(), Kind::Missing);
        let staged = |pairs: &[(&str, i32)]| pairs.iter().map(|(name, n)| ((*name).to_owned(), json!(n))).collect();
        let mut keyed = Keyed { whole: true, ..Keyed::default() };
        keyed.changes.put(b"key", &[b"value"]);
        let partition = Partition { topic: "payments".to_owned(), number: 0 };
        let pipeline = Checkpoint {
            number: 7,
            positions: Positions::from(vec![(partition, 9)]),
            staged: staged(&[("records", 1), ("aggregates", 2)]),
            state: BTreeMap::from([("rule".to_owned(), vec![1])]),
            keyed: BTreeMap::from([("keys".to_owned(), keyed)]),
        };
        store.save(&pipeline).unwrap();
        let mut graft = Graft::new(Box::new(store.clone())).unwrap();
        assert_eq!((graft.latest().unwrap(), graft.staged("records")), (None, Some(&json!(1))));
        let mut own = Checkpoint { number: 0, staged: staged(&[("records", 3)]), ..Checkpoint::default() };
        own.staged.insert("aggregates".to_owned(), serde_json::Value::Null);
        graft.save(&own).unwrap();
        let expected = Checkpoint { number: 8, staged: staged(&[("records", 3), ("aggregates", 2)]), ..pipeline };
        assert_eq!(store.latest().unwrap(), Some(expected.without_entries()));
        let mut entries = 0;
        let count = &mut |part: Restored<'_>| {
            entries = part.read;
            Ok(())
        };
        store.restore(count).unwrap();
        assert_eq!(entries, 1, "keyed state is there still");
    }
}
