//! In-memory twins of the connectors: for tests, for `tamis plugin test` and for backtests.
//!
//! What a twin holds outlives it, as a disk outlives a process: clones share the content, and a "new
//! process" is a new source, sink or store over the same content.

mod broker;
mod checkpoints;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tamis_model::position::{Partition, Positions};
use tamis_model::time::Millis;
use tamis_model::{Error, Kind, Result};

pub use self::broker::MemoryBroker;
pub use self::checkpoints::MemoryCheckpoints;
use crate::chunk::{Chunk, Framing};
use crate::clock::Clock;
use crate::decode::json::record_parts;
use crate::sink::Sink;
use crate::source::{Read, Source};

/// The content is whole after every single operation, so a panic of another holder did not break it.
fn lock<T>(content: &Mutex<T>) -> MutexGuard<'_, T> {
    content.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Topics of record lines (contracts 1).
#[derive(Clone, Debug, Default)]
pub struct MemoryTopics(Arc<Mutex<BTreeMap<Partition, Vec<Vec<u8>>>>>);

impl MemoryTopics {
    /// No topics.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a partition without records, unless it exists.
    pub fn create(&self, partition: &Partition) {
        lock(&self.0).entry(partition.clone()).or_default();
    }

    /// Appends a record whose value is a JSON text, and returns its offset.
    pub fn append(&self, partition: &Partition, timestamp: Millis, key: Option<&str>, value: &str) -> i64 {
        let mut topics = lock(&self.0);
        let lines = topics.entry(partition.clone()).or_default();
        let offset = lines.len() as i64;
        let key = key.map_or_else(String::new, |key| format!(r#""key":{},"#, Value::from(key)));
        lines.push(format!(r#"{{"offset":{offset},"timestamp":{timestamp},{key}"value":{value}}}"#).into_bytes());
        offset
    }

    /// Appends a record whose value is any bytes, and returns its offset.
    pub fn append_bytes(&self, partition: &Partition, timestamp: Millis, value: &[u8]) -> i64 {
        let mut topics = lock(&self.0);
        let lines = topics.entry(partition.clone()).or_default();
        let offset = lines.len() as i64;
        let value = BASE64_STANDARD.encode(value);
        lines.push(format!(r#"{{"offset":{offset},"timestamp":{timestamp},"value_base64":"{value}"}}"#).into_bytes());
        offset
    }

    /// Appends a line as it is, which may be no record line at all.
    pub fn append_line(&self, partition: &Partition, line: &str) {
        lock(&self.0).entry(partition.clone()).or_default().push(line.as_bytes().to_vec());
    }

    /// A source over all topics. A bounded one ends where the records end, another one waits for more.
    /// Its chunks hold up to `chunk_records` records.
    pub fn source(&self, bounded: bool, chunk_records: usize) -> MemorySource {
        MemorySource {
            topics: self.clone(),
            share: None,
            positions: Positions::default(),
            next: BTreeMap::new(),
            bounded,
            chunk_records,
            framing: Framing::Lines,
        }
    }

    /// The same with its records in frames, as a broker's source has them.
    pub fn framed_source(&self, bounded: bool, chunk_records: usize) -> MemorySource {
        MemorySource { framing: Framing::Frames, ..self.source(bounded, chunk_records) }
    }
}

/// A source over [`MemoryTopics`].
#[derive(Debug)]
pub struct MemorySource {
    topics: MemoryTopics,
    /// The partitions that it has; none = all.
    share: Option<BTreeSet<Partition>>,
    positions: Positions,
    /// The next line of each partition that was read.
    next: BTreeMap<Partition, usize>,
    bounded: bool,
    chunk_records: usize,
    framing: Framing,
}

impl MemorySource {
    /// The same over these partitions alone.
    pub fn of(self, partitions: impl IntoIterator<Item = Partition>) -> Self {
        Self { share: Some(partitions.into_iter().collect()), ..self }
    }
}

impl Source for MemorySource {
    fn open(&mut self, positions: &Positions) -> Result<()> {
        self.positions = positions.clone();
        self.next.clear();
        Ok(())
    }

    fn partitions(&mut self) -> Result<Vec<Partition>> {
        let is_own = |partition: &&Partition| self.share.as_ref().is_none_or(|share| share.contains(partition));
        Ok(lock(&self.topics.0).keys().filter(is_own).cloned().collect())
    }

    fn read(&mut self, partition: &Partition, chunk: &mut Chunk) -> Result<Read> {
        let topics = lock(&self.topics.0);
        let lines = topics.get(partition).ok_or_else(|| Error::new(Kind::Missing, "read partition", partition))?;
        let position = self.positions.next(partition);
        let first = self.next.entry(partition.clone()).or_insert_with(|| behind_offsets_below(lines, position));
        let read: Vec<_> = lines.iter().skip(*first).take(self.chunk_records).collect();
        if read.is_empty() {
            return Ok(if self.bounded { Read::Ended } else { Read::CaughtUp });
        }
        *first += read.len();
        match self.framing {
            Framing::Lines => chunk.fill(|bytes| {
                for line in read {
                    bytes.extend_from_slice(line);
                    bytes.push(b'\n');
                }
            }),
            Framing::Frames => chunk.fill_frames(|frames| {
                for parts in read.into_iter().map(|line| record_parts(line)) {
                    let headers = parts.headers.iter().map(|(name, value)| (name.as_bytes(), value.as_slice()));
                    let (key, value) = (parts.key.as_deref(), parts.value.as_deref());
                    frames.push(parts.offset.unwrap_or(-1), parts.timestamp, key, value, headers);
                }
            }),
        }
        Ok(Read::Records)
    }

    fn release(&mut self, _: &Positions) -> Result<()> {
        Ok(())
    }
}

/// The place behind the last line whose offset is below `offset`, as the reader of files has it: a line without one is read again
/// rather than lost.
fn behind_offsets_below(lines: &[Vec<u8>], offset: i64) -> usize {
    let is_below = |line: &Vec<u8>| {
        let record: Option<Value> = serde_json::from_slice(line).ok();
        record.and_then(|record| record.get("offset")?.as_i64()).is_some_and(|found| found < offset)
    };
    lines.iter().rposition(is_below).map_or(0, |last| last + 1)
}

/// A sink whose output is visible at once and cut back to what was staged by `commit`.
#[derive(Clone, Debug)]
pub struct MemorySink<T>(Arc<Mutex<Vec<T>>>);

impl<T> Default for MemorySink<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T: Clone> MemorySink<T> {
    /// An empty sink.
    pub fn new() -> Self {
        Self::default()
    }

    /// Everything visible, in the order in which it was written.
    pub fn content(&self) -> Vec<T> {
        lock(&self.0).clone()
    }
}

impl<T: Clone + Send> Sink<T> for MemorySink<T> {
    fn write(&mut self, output: &[T]) -> Result<()> {
        lock(&self.0).extend_from_slice(output);
        Ok(())
    }

    fn stage(&mut self) -> Result<Value> {
        Ok(json!({ "written": lock(&self.0).len() }))
    }

    fn commit(&mut self, staged: &Value) -> Result<()> {
        let written = staged["written"].as_u64().and_then(|n| usize::try_from(n).ok());
        let written = written.ok_or_else(|| Error::new(Kind::Corrupt, "commit", "memory sink"))?;
        let mut content = lock(&self.0);
        if content.len() < written {
            return Err(Error::new(Kind::Corrupt, "commit", format!("memory sink, {} of {written}", content.len())));
        }
        content.truncate(written);
        Ok(())
    }
}

/// A clock that stands until it is set; sleeping moves it on and takes no time.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    /// A clock that stands at `now`.
    pub fn new(now: Millis) -> Self {
        Self(Arc::new(AtomicI64::new(now)))
    }

    /// Moves it on.
    pub fn advance(&self, duration_ms: i64) {
        self.0.fetch_add(duration_ms, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Millis {
        self.0.load(Ordering::SeqCst)
    }

    fn sleep(&self, duration_ms: u64) {
        self.advance(i64::try_from(duration_ms).unwrap_or(i64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::CheckpointStore;
    use crate::conformance::{
        CheckpointHarness, SinkHarness, SourceHarness, checkpoint_contract, sink_contract, source_contract,
    };

    struct Topics {
        topics: MemoryTopics,
        bounded: bool,
    }

    impl SourceHarness for Topics {
        fn append(&mut self, partition: &Partition, timestamp: Millis, value: &str) {
            self.topics.append(partition, timestamp, None, value);
        }

        fn open(&mut self) -> Box<dyn Source> {
            Box::new(self.topics.source(self.bounded, 3))
        }

        fn bounded(&self) -> bool {
            self.bounded
        }
    }

    #[test]
    fn sources_keep_the_contract() {
        for bounded in [true, false] {
            source_contract(|| Topics { topics: MemoryTopics::new(), bounded });
        }
    }

    impl SinkHarness<String> for MemorySink<String> {
        fn open(&mut self) -> Box<dyn Sink<String>> {
            Box::new(self.clone())
        }

        fn item(&self, n: usize) -> String {
            format!("item {n}")
        }

        fn committed(&mut self) -> Vec<usize> {
            self.content().iter().map(|item| item["item ".len()..].parse().unwrap()).collect()
        }
    }

    #[test]
    fn sinks_keep_the_contract() {
        sink_contract(MemorySink::new);
    }

    impl CheckpointHarness for MemoryCheckpoints {
        fn open(&mut self) -> Box<dyn CheckpointStore> {
            Box::new(self.clone())
        }
    }

    #[test]
    fn checkpoint_stores_keep_the_contract() {
        checkpoint_contract(MemoryCheckpoints::new);
    }
}
