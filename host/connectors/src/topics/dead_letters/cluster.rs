//! Dead letters in a cluster, read from the end of each partition: block by block, a block from its beginning.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;

use tamis_engine::Chunk;
use tamis_model::dead_letter::DEAD_LETTERS;
use tamis_model::position::Partition;
use tamis_model::{Kind, Result};

use super::{StoredLetter, Tail};
use crate::kafka::{KafkaTopics, Stretches};

/// Offsets of the first block that is read of a partition, and of the longest.
const BLOCK: i64 = 256;
const BLOCK_MAX: i64 = 4_096;
/// Bytes of the letters of a partition that wait at most, unless a single one is longer; of a longer block the end is kept.
const WAITING_BYTES_MAX: u64 = 4 << 20;

/// Where the letters are.
#[derive(Clone, Debug)]
pub(super) struct Cluster {
    pub topics: KafkaTopics,
    pub group: String,
}

impl Cluster {
    /// The letters of each partition that were not handed out yet: those whose offsets are below the one that stands beside the partition. Without
    /// places, all of them.
    pub fn tails(&self, places: Option<&[(u32, i64)]>) -> Result<Vec<ClusterTail>> {
        let tail = |(partition, whole): (Partition, Range<i64>)| {
            let before = match places {
                None => whole.end,
                Some(places) => {
                    places.iter().find(|(number, _)| *number == partition.number)?.1.clamp(whole.start, whole.end)
                }
            };
            Some(ClusterTail {
                cluster: self.clone(),
                partition,
                first: whole.start,
                from: before,
                block: BLOCK,
                waiting: VecDeque::new(),
                waiting_bytes: 0,
            })
        };
        let mut tails: Vec<_> = self.whole()?.into_iter().filter_map(tail).collect();
        self.fill(&mut tails)?;
        Ok(tails)
    }

    /// The letters at these places, where there are any.
    pub fn at(&self, places: &[(u32, i64)]) -> Result<Vec<Option<StoredLetter>>> {
        let whole = self.whole()?;
        let is_there = |(number, offset): &(u32, i64)| {
            whole.get(&partition(*number)).is_some_and(|stretch| stretch.contains(offset))
        };
        let mut wanted: BTreeSet<_> = places.iter().copied().filter(is_there).collect();
        let mut found = BTreeMap::new();
        while !wanted.is_empty() {
            // Of each partition the next ones that lie near each other.
            let mut near = Stretches::new();
            for (number, offset) in &wanted {
                let stretch = near.entry(partition(*number)).or_insert(*offset..*offset);
                if *offset < stretch.start.saturating_add(BLOCK) {
                    stretch.end = offset + 1;
                }
            }
            self.topics.look_through(&self.group, near.clone(), &mut |partition, chunk| {
                let letters =
                    letters(partition.number, chunk).map(|(letter, _)| ((letter.partition, letter.offset), letter));
                found.extend(letters.filter(|(place, _)| wanted.contains(place)));
                Ok(())
            })?;
            wanted.retain(|(number, offset)| !near[&partition(*number)].contains(offset));
        }
        Ok(places.iter().map(|place| found.get(place).cloned()).collect())
    }

    /// The partitions there are; none when there is no such topic yet.
    fn whole(&self) -> Result<Stretches> {
        match self.topics.between(&[DEAD_LETTERS.to_owned()], None, None) {
            Err(error) if error.kind() == Kind::Missing => Ok(Stretches::new()),
            found => found,
        }
    }

    /// Reads the next block of tails of which nothing waits.
    fn fill(&self, tails: &mut [ClusterTail]) -> Result<()> {
        let blocks = tails.iter().map(|tail| (tail.partition.clone(), tail.next_block()));
        let mut dropped = BTreeSet::new();
        self.topics.look_through(&self.group, blocks.collect(), &mut |partition, chunk| {
            let tail = tails.iter_mut().find(|tail| tail.partition == *partition);
            if tail.is_some_and(|tail| tail.take(chunk)) {
                dropped.insert(partition.number);
            }
            Ok(())
        })?;
        for tail in tails {
            let block = tail.next_block();
            match tail.waiting.front() {
                Some((oldest, _)) if dropped.contains(&tail.partition.number) => {
                    tail.from = oldest.offset;
                    tail.block = (tail.waiting.len() as i64 * 2).min(BLOCK);
                }
                _ => {
                    tail.from = block.start;
                    tail.block = (tail.block * 4).min(BLOCK_MAX);
                }
            }
        }
        Ok(())
    }
}

fn partition(number: u32) -> Partition {
    Partition { topic: DEAD_LETTERS.to_owned(), number }
}

/// The letters of a chunk, each with the bytes of its record.
fn letters(number: u32, chunk: &Chunk) -> impl Iterator<Item = (StoredLetter, u64)> {
    chunk.origins().filter_map(move |origin| {
        Some((StoredLetter::of(number, chunk.record(origin))?, chunk.raw(origin).len() as u64))
    })
}

/// The letters of a partition that were not handed out yet.
pub(super) struct ClusterTail {
    cluster: Cluster,
    partition: Partition,
    /// The first offset that there is.
    first: i64,
    /// What is here or behind was handed out, or waits.
    from: i64,
    /// Offsets of the next block.
    block: i64,
    /// Those that were read, the oldest first, and the bytes of their records together.
    waiting: VecDeque<(StoredLetter, u64)>,
    waiting_bytes: u64,
}

impl ClusterTail {
    fn next_block(&self) -> Range<i64> {
        self.first.max(self.from - self.block)..self.from
    }

    /// Takes letters behind those that wait. Returns whether some of these had to go.
    fn take(&mut self, chunk: &Chunk) -> bool {
        let mut dropped = false;
        for letter in letters(self.partition.number, chunk) {
            self.waiting_bytes += letter.1;
            self.waiting.push_back(letter);
            while self.waiting.len() > 1 && self.waiting_bytes > WAITING_BYTES_MAX {
                self.waiting_bytes -= self.waiting.pop_front().map_or(0, |(_, bytes)| bytes);
                dropped = true;
            }
        }
        dropped
    }
}

impl Tail for ClusterTail {
    fn next_letter(&mut self) -> Result<Option<(StoredLetter, u64)>> {
        while self.waiting.is_empty() && self.first < self.from {
            let cluster = self.cluster.clone();
            cluster.fill(std::slice::from_mut(self))?;
        }
        let newest = self.waiting.pop_back();
        self.waiting_bytes -= newest.as_ref().map_or(0, |(_, bytes)| *bytes);
        Ok(newest)
    }
}
