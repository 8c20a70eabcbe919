//! Checkpoints of a cluster's topics, whose output is staged in a home.
//!
//! What a checkpoint says was staged is named by its place: a log of this home's lake, a mark in this home's warehouse. In another home
//! those names mean something else, and in this one too when its checkpoints were kept in another store meanwhile. So what is staged
//! bears the home's mark, and a checkpoint that has another one is given without it: the stream goes on at its positions, and takes a
//! checkpoint before it writes anything.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tamis_engine::sinks::RECORDS;
use tamis_engine::{Checkpoint, CheckpointStore, Restored, Sink, Staging};
use tamis_model::error::Context;
use tamis_model::record::Record;
use tamis_model::{Error, Result};

use crate::durable;

/// What a home knows of the checkpoints of its streams.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HomeMark {
    /// Whose topics they are about.
    cluster: String,
    /// The store that keeps them.
    kept_in: String,
    /// New whenever one of these is.
    mark: String,
}

/// A store of checkpoints, for one home.
pub struct HomeCheckpoints {
    store: Box<dyn CheckpointStore>,
    mark: serde_json::Value,
}

/// A sink of records whose stages bear a home's mark. The sink has nothing to commit by itself.
struct Marked {
    sink: Box<dyn Sink<Record>>,
    mark: serde_json::Value,
}

impl HomeMark {
    /// The mark in `file`, or this fresh one where there is none, or checkpoints were kept elsewhere. A home whose streams are those of
    /// another cluster is refused: positions would be those of other records.
    pub fn open(file: &Path, cluster: &str, kept_in: &str, fresh: String) -> Result<Self> {
        let known: Option<Self> = match fs::read(file) {
            Ok(bytes) => Some(serde_json::from_slice(&bytes).corrupt("read", file.display())?),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error).outage("read", file.display()),
        };
        match known {
            Some(known) if known.cluster != cluster => {
                let reason = format!(
                    "the streams of this home are those of cluster {}, as {} says: take another home",
                    known.cluster,
                    file.display()
                );
                Err(Error::invalid("read the topics of", format!("Kafka cluster {cluster}"), reason))
            }
            Some(known) if known.kept_in == kept_in => Ok(known),
            _ => {
                let new = Self { cluster: cluster.to_owned(), kept_in: kept_in.to_owned(), mark: fresh };
                let text = serde_json::to_vec(&new).invalid("write", file.display())?;
                let folder = file.parent().unwrap_or(Path::new(""));
                durable::create_folder(folder).outage("create", folder.display())?;
                durable::replace_file(file, &[&text]).outage("write", file.display())?;
                Ok(new)
            }
        }
    }

    /// The sink, with stages that bear the mark.
    pub fn sink(&self, sink: impl Sink<Record> + 'static) -> Box<dyn Sink<Record>> {
        Box::new(Marked { sink: Box::new(sink), mark: self.mark.clone().into() })
    }

    /// The store, for this home.
    pub fn checkpoints(&self, store: Box<dyn CheckpointStore>) -> HomeCheckpoints {
        HomeCheckpoints { store, mark: self.mark.clone().into() }
    }
}

impl HomeCheckpoints {
    /// Whether the last checkpoint says what was staged in this home.
    pub fn goes_on(&mut self) -> Result<bool> {
        Ok(self.store.latest()?.is_some_and(|last| self.is_own(&last)))
    }

    fn is_own(&self, checkpoint: &Checkpoint) -> bool {
        checkpoint.staged.get(RECORDS) == Some(&self.mark)
    }
}

impl CheckpointStore for HomeCheckpoints {
    fn latest(&mut self) -> Result<Option<Checkpoint>> {
        let mut last = self.store.latest()?;
        if let Some(foreign) = last.as_mut().filter(|last| !self.is_own(last)) {
            foreign.staged.clear();
        }
        Ok(last)
    }

    fn restore(&mut self, take: &mut dyn FnMut(Restored<'_>) -> Result<()>) -> Result<()> {
        self.store.restore(take)
    }

    fn save(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        self.store.save(checkpoint)
    }
}

impl Sink<Record> for Marked {
    fn write(&mut self, output: &[Record]) -> Result<()> {
        self.sink.write(output)
    }

    fn stage(&mut self) -> Result<serde_json::Value> {
        marked(&self.sink.stage()?, &self.mark)
    }

    fn begin_stage(&mut self) -> Result<Staging> {
        let (staging, mark) = (self.sink.begin_stage()?, self.mark.clone());
        Ok(Box::new(move || marked(&staging()?, &mark)))
    }

    fn commit(&mut self, _staged: &serde_json::Value) -> Result<()> {
        Ok(())
    }
}

fn marked(staged: &serde_json::Value, mark: &serde_json::Value) -> Result<serde_json::Value> {
    match staged {
        serde_json::Value::Null => Ok(mark.clone()),
        _ => Err(Error::invalid("mark what was staged by", "a sink", "it has something to commit")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;
    use tamis_engine::Unstaged;
    use tamis_engine::memory::MemoryCheckpoints;
    use tamis_model::Kind;

    use super::*;

    #[test]
    fn a_mark_stays_until_checkpoints_are_kept_elsewhere() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("checkpoints/streams-kafka.json");
        let check = |cluster: &str, kept_in: &str, fresh: &str, expected: &str| {
            assert_eq!(HomeMark::open(&file, cluster, kept_in, fresh.to_owned()).unwrap().mark, expected);
        };
        check("c1", "the home", "1", "1");
        check("c1", "the home", "2", "1");
        check("c1", "a topic", "3", "3");
        check("c1", "the home", "4", "4");
        let error = HomeMark::open(&file, "c2", "the home", "5".to_owned()).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid);
        assert!(error.chain().contains("those of cluster c1"), "{}", error.chain());
    }

    #[test]
    fn what_was_staged_elsewhere_is_left_out() {
        let home = |mark: &str| HomeMark { cluster: "c".to_owned(), kept_in: "k".to_owned(), mark: mark.to_owned() };
        let store = MemoryCheckpoints::new();
        let staged = home("a").sink(Unstaged(|_: &[Record]| Ok(()))).stage().unwrap();
        let staged = BTreeMap::from([(RECORDS.to_owned(), staged), ("alerts/lake".to_owned(), json!({"log": 7}))]);
        let checkpoint = Checkpoint { number: 3, staged: staged.clone(), ..Checkpoint::default() };
        home("a").checkpoints(Box::new(store.clone())).save(&checkpoint).unwrap();
        let check = |mark: &str, expected: &BTreeMap<String, serde_json::Value>| {
            let mut checkpoints = home(mark).checkpoints(Box::new(store.clone()));
            assert_eq!(checkpoints.goes_on().unwrap(), !expected.is_empty());
            let last = checkpoints.latest().unwrap().unwrap();
            assert_eq!((last.number, &last.staged), (3, expected));
        };
        check("a", &staged);
        check("b", &BTreeMap::new());
    }
}
