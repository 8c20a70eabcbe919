//! Who writes a topic: one writer for the topic's life, one process at a time.
//!
//! The owner's name and where the topic ended when it took it over stand in `<topic>/.owner`; that is how a
//! restarted writer finds the topics that it began after its last checkpoint. The process holds an advisory
//! lock on `<topic>/.lock`, which says its process id and goes with it when it dies.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind::{NotADirectory, NotFound};
use std::path::Path;

use serde::{Deserialize, Serialize};
use tamis_model::Result;
use tamis_model::error::Context;

use super::log::End;
use crate::durable;
use crate::lock::ProcessLock;
use crate::plain_name;

const OWNER: &str = ".owner";
const LOCK: &str = ".lock";

/// What `.owner` says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Owner {
    /// The writer's name.
    pub writer: String,
    /// The end of each partition when the writer took the topic over: nothing before is its own.
    pub base: BTreeMap<u32, End>,
}

/// The owner of a topic, if somebody has written to it through a writer. A file that lies among the topics has none.
pub(super) fn read(topic: &Path) -> Result<Option<Owner>> {
    let path = topic.join(OWNER);
    match fs::read(&path) {
        Err(error) if matches!(error.kind(), NotFound | NotADirectory) => Ok(None),
        bytes => {
            let bytes = bytes.outage("read", path.display())?;
            serde_json::from_slice(&bytes).map(Some).corrupt("read", path.display())
        }
    }
}

/// Whether somebody has written to a topic through a writer.
pub fn has_owner(topics: &Path, topic: &str) -> Result<bool> {
    plain_name::check("look for topic", topic)?;
    Ok(read(&topics.join(topic))?.is_some())
}

/// Makes `owner` the owner of a topic that has none.
pub(super) fn write(topic: &Path, owner: &Owner) -> Result<()> {
    let json = serde_json::to_vec(owner).expect("an owner is JSON");
    durable::replace_file(&topic.join(OWNER), &[&json]).outage("take over topic", topic.display())
}

/// Locks a topic for this process, for as long as the lock lives.
pub(super) fn lock(topic: &Path) -> Result<ProcessLock> {
    ProcessLock::acquire(&topic.join(LOCK), "another writer is at work")
}
