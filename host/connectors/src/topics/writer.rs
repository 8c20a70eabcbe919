//! Appends records to embedded topics.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tamis_engine::Sink;
use tamis_model::error::Context;
use tamis_model::partitioner::partition_of;
use tamis_model::record::Record;
use tamis_model::time::Millis;
use tamis_model::{Error, Result};

use super::line::Parts;
use super::log::{End, Log};
use super::owner::{self, Owner};
use super::{names, partition_numbers};
use crate::lock::ProcessLock;
use crate::{durable, parallel, plain_name};

/// How a [`TopicWriter`] lays topics out.
#[derive(Clone, Debug)]
pub struct WriterSettings {
    /// Partitions of each topic that has a number of its own.
    pub partitions: BTreeMap<String, u32>,
    /// Partitions of every other topic.
    pub partitions_default: u32,
    /// A segment is closed before it grows beyond this many bytes.
    pub segment_bytes_max: u64,
}

impl Default for WriterSettings {
    fn default() -> Self {
        Self { partitions: BTreeMap::new(), partitions_default: 1, segment_bytes_max: 256 << 20 }
    }
}

/// Appends records to embedded topics; the only writer of the topics that it has ever written to.
///
/// As a [`Sink`]: what is written can be read when `write` returns (alerts do not wait for a checkpoint) and is durable
/// after `stage`. `commit` cuts every topic of this writer back to what was staged, topics that it began later to
/// nothing; topics of other writers are never touched.
#[derive(Debug)]
pub struct TopicWriter {
    folder: PathBuf,
    name: String,
    settings: WriterSettings,
    topics: BTreeMap<String, Topic>,
}

/// A topic that this writer owns.
#[derive(Debug)]
struct Topic {
    folder: PathBuf,
    base: BTreeMap<u32, End>,
    logs: BTreeMap<u32, Log>,
    /// Dropping it lets others write.
    _lock: ProcessLock,
}

/// What a stage describes: where each partition of each topic ends.
#[derive(Debug, Serialize, Deserialize)]
struct Staged {
    topics: BTreeMap<String, BTreeMap<u32, End>>,
}

impl TopicWriter {
    /// A writer of that name over `folder` (the `topics` folder, created when missing). Takes the lock of every topic
    /// that the name owns; a topic belongs to the first name that wrote to it.
    ///
    /// # Errors
    /// `Kind::Outage` when another process holds such a topic (its id is in the message), `Kind::Corrupt` when a
    /// topic does not end in a record line.
    pub fn open(folder: impl Into<PathBuf>, name: impl Into<String>, settings: WriterSettings) -> Result<Self> {
        let (folder, name) = (folder.into(), name.into());
        let mut partitions = settings.partitions.values().copied().chain([settings.partitions_default]);
        if partitions.any(|number| number == 0) {
            return Err(Error::invalid("open topics in", folder.display(), "a topic has at least one partition"));
        }
        durable::create_folder(&folder).outage("create", folder.display())?;
        let mut writer = Self { folder, name, settings, topics: BTreeMap::new() };
        for topic in names(&writer.folder)? {
            if owner::read(&writer.folder.join(&topic))?.is_some_and(|owner| owner.writer == writer.name) {
                writer.take(&topic)?;
            }
        }
        Ok(writer)
    }

    /// Appends one record to a partition and returns its offset. It reaches readers with the next
    /// [`flush`](Self::flush) or when the partition's buffer is full.
    pub fn append(
        &mut self,
        topic: &str,
        partition: u32,
        timestamp: Millis,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Result<i64> {
        self.append_parts(topic, partition, &Parts { timestamp, key, value, ..Parts::default() })
    }

    /// The partition that a record with this key goes to: keys as in Kafka's default partitioner; records without
    /// one in turn, which after a restart goes on where the topic ends.
    pub fn partition_for(&mut self, topic: &str, key: Option<&[u8]>) -> Result<u32> {
        let partitions = self.settings.partitions.get(topic).copied().unwrap_or(self.settings.partitions_default);
        if partitions == 1 {
            return Ok(0);
        }
        if let Some(key) = key {
            return Ok(partition_of(key, partitions));
        }
        let records: i64 = self.topic(topic)?.logs.values().map(|log| log.end().next).sum();
        Ok((records.unsigned_abs() % u64::from(partitions)) as u32)
    }

    /// Hands everything appended to the operating system, where readers see it.
    pub fn flush(&mut self) -> Result<()> {
        self.topics.values_mut().flat_map(|topic| topic.logs.values_mut()).try_for_each(Log::flush)
    }

    fn append_parts(&mut self, topic: &str, partition: u32, parts: &Parts<'_>) -> Result<i64> {
        let segment_bytes_max = self.settings.segment_bytes_max;
        self.topic(topic)?.log(partition)?.append(parts, segment_bytes_max)
    }

    fn topic(&mut self, name: &str) -> Result<&mut Topic> {
        if !self.topics.contains_key(name) {
            self.take(name)?;
        }
        Ok(self.topics.get_mut(name).expect("the topic was just taken"))
    }

    /// Locks a topic, opens its partitions and makes it this writer's own. Nothing of another writer's is touched: to open a log
    /// cuts its torn end off, which the other one may be writing.
    fn take(&mut self, name: &str) -> Result<()> {
        plain_name::check("use topic", name)?;
        let folder = self.folder.join(name);
        self.owner(&folder)?;
        durable::create_folder(&folder).outage("create", folder.display())?;
        let lock = owner::lock(&folder)?;
        // Another one may have been faster.
        let owner = self.owner(&folder)?;
        let mut logs = BTreeMap::new();
        for number in partition_numbers(&folder)? {
            logs.insert(number, Log::open(folder.join(number.to_string()))?);
        }
        let base = match owner {
            Some(owner) => owner.base,
            None => {
                let base: BTreeMap<u32, End> = logs.iter().map(|(number, log)| (*number, log.end())).collect();
                owner::write(&folder, &Owner { writer: self.name.clone(), base: base.clone() })?;
                base
            }
        };
        self.topics.insert(name.to_owned(), Topic { folder, base, logs, _lock: lock });
        Ok(())
    }

    /// What `.owner` of a topic says, if it is this writer; none when it has no owner.
    fn owner(&self, topic: &Path) -> Result<Option<Owner>> {
        match owner::read(topic)? {
            Some(owner) if owner.writer != self.name => {
                let reason = format!("it belongs to the writer {:?}", owner.writer);
                Err(Error::invalid("write to topic", topic.display(), reason))
            }
            owner => Ok(owner),
        }
    }
}

impl Sink<Record> for TopicWriter {
    fn write(&mut self, output: &[Record]) -> Result<()> {
        for record in output {
            let key = record.key.as_deref();
            let parts = Parts {
                timestamp: record.timestamp,
                key,
                value: record.value.as_deref(),
                value_is_json: record.value_is_json,
                headers: &record.headers,
            };
            let partition = match record.partition {
                Some(partition) => partition,
                None => self.partition_for(&record.topic, key)?,
            };
            self.append_parts(&record.topic, partition, &parts)?;
        }
        self.flush()
    }

    fn stage(&mut self) -> Result<serde_json::Value> {
        let logs = self.topics.values_mut().flat_map(|topic| topic.logs.values_mut());
        parallel::each(logs.filter(|log| log.is_dirty()).collect(), Log::sync)?;
        let ends = |topic: &Topic| topic.logs.iter().map(|(number, log)| (*number, log.end())).collect();
        let topics = self.topics.iter().map(|(name, topic)| (name.clone(), ends(topic))).collect();
        Ok(serde_json::to_value(Staged { topics }).expect("a stage is JSON"))
    }

    fn commit(&mut self, staged: &serde_json::Value) -> Result<()> {
        let mut staged = Staged::deserialize(staged).corrupt("commit to", self.folder.display())?;
        let missing: BTreeSet<_> =
            staged.topics.keys().filter(|name| !self.topics.contains_key(*name)).cloned().collect();
        missing.iter().try_for_each(|name| self.take(name))?;
        for (name, topic) in &mut self.topics {
            let ends = staged.topics.remove(name).unwrap_or_else(|| topic.base.clone());
            topic.cut(&ends)?;
        }
        Ok(())
    }
}

impl Topic {
    fn log(&mut self, number: u32) -> Result<&mut Log> {
        if !self.logs.contains_key(&number) {
            let folder = self.folder.join(number.to_string());
            durable::create_folder(&folder).outage("create", folder.display())?;
            self.logs.insert(number, Log::open(folder)?);
        }
        Ok(self.logs.get_mut(&number).expect("the log was just opened"))
    }

    /// Cuts every partition back to its end; partitions without one did not exist then and are removed.
    fn cut(&mut self, ends: &BTreeMap<u32, End>) -> Result<()> {
        for (number, end) in ends {
            let log = self.log(*number)?;
            if log.end() != *end {
                log.cut(*end)?;
            }
        }
        for (number, _) in self.logs.extract_if(.., |number, _| !ends.contains_key(number)) {
            remove_partition(&self.folder.join(number.to_string()))?;
        }
        Ok(())
    }
}

fn remove_partition(folder: &Path) -> Result<()> {
    fs::remove_dir_all(folder).outage("remove", folder.display())
}
