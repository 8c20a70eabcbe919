//! Checkpoints in a compacted topic, committed together with the output that they stand for.
//!
//! A checkpoint is one transaction: what its sinks wrote, what has changed of keyed state, a record with everything small, and the positions
//! of the group. So either all of it is there or nothing. The topic has one partition, and by compaction of each key the last value;
//! another host that takes the work over reads it from its beginning.
//!
//! A key of keyed state stands under its owner and under the number of the checkpoint at which the owner began (its generation),
//! because nobody could name all keys that an owner gave up at once. What is of no generation that is named is removed by whoever restores.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use tamis_engine::chunk::FramedRecord;
use tamis_engine::entries::{self, Entries};
use tamis_engine::{Checkpoint, CheckpointStore, Clock, Keyed, Restored, Source, SystemClock, read_to_end};
use tamis_model::error::Context as _;
use tamis_model::position::{Partition, Positions};
use tamis_model::record::Record;
use tamis_model::time::Millis;
use tamis_model::{Error, Result};

use super::connection::KafkaConnection;
use super::settings::KafkaSourceSettings;
use super::sink::RECORD_BYTES_MAX;
use super::source::{KafkaGroup, KafkaSource};
use super::topics::KafkaTopics;
use super::transaction::KafkaTransactions;

/// The key of the record with everything small.
const HEAD: &[u8] = b"c";
/// What the keys of keyed state begin with.
const ENTRY: u8 = b'k';
/// So many records at the end are looked through for the last checkpoint at first; then ever more.
const TAIL_RECORDS: i64 = 64;
/// Keys of no generation that a checkpoint removes at most.
const REMOVED_MAX: usize = 20_000;
/// So many of them are remembered; whoever restores next finds the others.
const SUPERFLUOUS_MAX: usize = 100_000;
/// An entry has so many bytes at most, so that it fits into a record.
const ENTRY_BYTES_MAX: usize = RECORD_BYTES_MAX as usize - (4 << 10);

/// Checkpoints in a compacted topic.
pub struct KafkaChangelog {
    connection: KafkaConnection,
    /// The only one of its topic.
    partition: Partition,
    transactions: KafkaTransactions,
    group: Option<KafkaGroup>,
    /// By owner of keyed state; none = the last checkpoint was not read yet.
    generations: Option<BTreeMap<String, u64>>,
    /// Keys of records that nobody needs.
    superfluous: Vec<Vec<u8>>,
}

/// Everything small of a checkpoint.
#[derive(Serialize, Deserialize)]
struct Head {
    number: u64,
    positions: Positions,
    staged: BTreeMap<String, serde_json::Value>,
    /// By owner, in base64.
    state: BTreeMap<String, String>,
    /// By owner of keyed state.
    generations: BTreeMap<String, u64>,
}

impl KafkaChangelog {
    /// The checkpoints in `topic`, which is made when it is missing, with so many replicas. `transactions` are those of the sinks, and `group`
    /// is told the positions, if any is. Whoever had the transactions before is fenced by then, so what is read here stays the last word.
    pub fn open(
        connection: KafkaConnection,
        topic: &str,
        replication: u32,
        transactions: KafkaTransactions,
        group: Option<KafkaGroup>,
    ) -> Result<Self> {
        KafkaTopics::new(connection.clone()).create_compacted(topic, replication)?;
        let partition = Partition { topic: topic.to_owned(), number: 0 };
        let (generations, superfluous) = Default::default();
        Ok(Self { connection, partition, transactions, group, generations, superfluous })
    }

    /// The record of the last checkpoint.
    fn head(&self) -> Result<Option<Head>> {
        let (first, end) = KafkaTopics::new(self.connection.clone()).settled_ends(&self.partition)?;
        let mut records = TAIL_RECORDS;
        loop {
            let from = first.max(end.saturating_sub(records));
            let mut head = None;
            self.read(from, &mut |record| {
                if record.key == Some(HEAD) {
                    head = Some(record.value.unwrap_or_default().to_vec());
                }
                Ok(())
            })?;
            match head {
                Some(head) => {
                    return serde_json::from_slice(&head).corrupt("read the last checkpoint of", &self.partition);
                }
                None if from == first => return Ok(None),
                None => records = records.saturating_mul(16),
            }
        }
    }

    /// Reads the topic from an offset to its end.
    fn read(&self, from: i64, take: &mut dyn FnMut(FramedRecord<'_>) -> Result<()>) -> Result<()> {
        // A group of its own, to which nothing is ever committed.
        let settings = KafkaSourceSettings::new([self.partition.topic.clone()], &self.partition.topic).until_end();
        let mut source = KafkaSource::new(self.connection.clone(), settings);
        let mut positions = Positions::default();
        positions.set(&self.partition, from);
        source.open(&positions)?;
        read_to_end(&mut source, &self.partition, &mut |chunk| chunk.framed().try_for_each(&mut *take))
    }

    fn record(&self, key: Vec<u8>, value: Option<Vec<u8>>, timestamp: Millis) -> Record {
        let Partition { topic, number } = &self.partition;
        Record {
            topic: topic.clone(),
            partition: Some(*number),
            timestamp,
            key: Some(key),
            value,
            value_is_json: false,
            headers: Vec::new(),
        }
    }

    /// Writes what a checkpoint says of an owner.
    fn write_keyed(&self, owner: &str, generation: u64, keyed: &Keyed, now: Millis) -> Result<()> {
        for block in keyed.changes.blocks() {
            let record = |entry: entries::Entry<'_>| {
                let value_bytes = entry.value.map_or(0, <[u8]>::len);
                if owner.len() + entry.key.len() + value_bytes > ENTRY_BYTES_MAX {
                    let reason = format!(
                        "of {owner}, a key of {} bytes has a state of {value_bytes}, and both together may have {ENTRY_BYTES_MAX}",
                        entry.key.len()
                    );
                    return Err(Error::invalid("write state to", &self.partition, reason));
                }
                Ok(self.record(entry_key(owner, generation, entry.key), entry.value.map(<[u8]>::to_vec), now))
            };
            let records = entries::read(owner, &block.bytes).map(|entry| record(entry?));
            self.transactions.write(&records.collect::<Result<Vec<_>>>()?)?;
        }
        Ok(())
    }
}

impl CheckpointStore for KafkaChangelog {
    fn latest(&mut self) -> Result<Option<Checkpoint>> {
        let Some(Head { number, positions, staged, state, generations }) = self.head()? else { return Ok(None) };
        let keyed = generations.keys().map(|owner| (owner.clone(), Keyed::default())).collect();
        self.generations = Some(generations);
        let decoded = |(owner, blob): (String, String)| {
            let blob = BASE64_STANDARD.decode(blob).corrupt("read the last checkpoint of", &self.partition)?;
            Ok((owner, blob))
        };
        let state = state.into_iter().map(decoded).collect::<Result<_>>()?;
        Ok(Some(Checkpoint { number, positions, staged, state, keyed }))
    }

    fn restore(&mut self, take: &mut dyn FnMut(Restored<'_>) -> Result<()>) -> Result<()> {
        let generations = self.head()?.map(|head| head.generations).unwrap_or_default();
        let (first, end) = KafkaTopics::new(self.connection.clone()).settled_ends(&self.partition)?;
        let of = u64::try_from(end - first).unwrap_or(0);
        // Offsets that have been passed, and entries among them that are not handed over yet. Those whose records are gone, or are no entries
        // of the checkpoint, count as read: nobody knows before how many of them there are.
        let (mut passed, mut held) = (0, 0);
        let mut waiting: BTreeMap<String, Entries> = BTreeMap::new();
        let mut superfluous = Vec::new();
        let mut hand_over = |owner: &str, entries: &Entries, passed: u64, held: &mut u64| {
            entries.blocks().iter().try_for_each(|block| {
                *held -= block.count;
                take(Restored { owner, block: &block.bytes, read: passed - *held, of })
            })
        };
        self.read(first, &mut |FramedRecord { offset, key, value, .. }| {
            passed = u64::try_from(offset + 1 - first).unwrap_or(0);
            let key = key.unwrap_or_default();
            let Some((owner, generation, name)) = entry_of(key) else { return Ok(()) };
            if generations.get(owner) != Some(&generation) {
                if value.is_some() && superfluous.len() < SUPERFLUOUS_MAX {
                    superfluous.push(key.to_vec());
                }
                return Ok(());
            }
            if !waiting.contains_key(owner) {
                waiting.insert(owner.to_owned(), Entries::default());
            }
            let entries = waiting.get_mut(owner).expect("it is there by now");
            match value {
                Some(value) => entries.put(name, &[value]),
                None => entries.put_gone(name),
            }
            held += 1;
            if entries.blocks().len() > 1 {
                hand_over(owner, &std::mem::take(entries), passed, &mut held)?;
            }
            Ok(())
        })?;
        waiting.iter().try_for_each(|(owner, entries)| hand_over(owner, entries, passed, &mut held))?;
        self.superfluous = superfluous;
        Ok(())
    }

    fn save(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        let Checkpoint { number, positions, staged, state, keyed } = checkpoint;
        let mut generations = match self.generations.take() {
            Some(generations) => generations,
            None => self.head()?.map(|head| head.generations).unwrap_or_default(),
        };
        generations.retain(|owner, _| keyed.contains_key(owner));
        let now = SystemClock.now();
        for (owner, keyed) in keyed {
            if keyed.whole || !generations.contains_key(owner) {
                generations.insert(owner.clone(), *number);
            }
            self.write_keyed(owner, generations[owner], keyed, now)?;
        }
        let removed = self.superfluous.len().saturating_sub(REMOVED_MAX);
        let removed = self.superfluous.split_off(removed).into_iter().map(|key| self.record(key, None, now));
        self.transactions.write(&removed.collect::<Vec<_>>())?;
        let head = Head {
            number: *number,
            positions: positions.clone(),
            staged: staged.clone(),
            state: state.iter().map(|(owner, blob)| (owner.clone(), BASE64_STANDARD.encode(blob))).collect(),
            generations,
        };
        let written = serde_json::to_vec(&head).invalid("write a checkpoint to", &self.partition)?;
        self.transactions.write(&[self.record(HEAD.to_vec(), Some(written), now)])?;
        match &self.group {
            Some(group) => self.transactions.commit_with(positions, group)?,
            None => self.transactions.commit()?,
        }
        self.generations = Some(head.generations);
        Ok(())
    }
}

/// The key of a record: owner, generation and key of an entry. Owners have no zero byte in their names.
fn entry_key(owner: &str, generation: u64, key: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(owner.len() + key.len() + 10);
    out.push(ENTRY);
    out.extend_from_slice(owner.as_bytes());
    out.push(0);
    out.extend_from_slice(&generation.to_be_bytes());
    out.extend_from_slice(key);
    out
}

fn entry_of(key: &[u8]) -> Option<(&str, u64, &[u8])> {
    let (first, rest) = key.split_first()?;
    if *first != ENTRY {
        return None;
    }
    let end = memchr::memchr(0, rest)?;
    let (generation, name) = rest[end + 1..].split_first_chunk()?;
    Some((str::from_utf8(&rest[..end]).ok()?, u64::from_be_bytes(*generation), name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_s_key_names_owner_generation_and_key() {
        let check = |owner: &str, generation, key: &[u8]| {
            assert_eq!(entry_of(&entry_key(owner, generation, key)), Some((owner, generation, key)));
        };
        check("keys/card-testing/1", 0, b"s1");
        check("é", u64::MAX, b"\0\0");
        check("", 1, b"");
        for foreign in [&b""[..], b"c", b"k", b"kowner", b"kowner\0short"] {
            assert_eq!(entry_of(foreign), None);
        }
    }
}
