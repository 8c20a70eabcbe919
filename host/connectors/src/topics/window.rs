//! Embedded topics between two times: what a backtest replays.

mod search;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{Read as _, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;

use tamis_engine::{Chunk, Read, Source};
use tamis_model::error::Context;
use tamis_model::position::{Partition, Positions};
use tamis_model::time::Millis;
use tamis_model::{Error, Kind, Result};

use self::search::{Grain, Part, Stretch};
use super::partition_numbers;
use super::stamp::Stamp;
use crate::plain_name;

/// About how many bytes a chunk has.
const CHUNK_BYTES: usize = 1 << 20;
/// A longer record is an error, so that memory stays bounded.
const RECORD_BYTES_MAX: usize = 64 << 20;
const GRAIN: Grain = Grain { block_bytes: 64 << 10, lines_min: 8 };

/// How far a record may lie behind one that stands before it. Live streams take records up to 5 minutes ahead of their clock, so those
/// behind such a one lie that far behind it and, being in time, 10 s further.
pub const DISORDER_MS: i64 = 310_000;

/// A range of record times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeRange {
    /// Its first millisecond.
    pub from: Millis,
    /// The first millisecond behind it.
    pub to: Millis,
    /// How far a record may lie behind one that stands before it in its partition. One that lies further behind may be missed where it
    /// stands at an end of the range.
    pub disorder_ms: i64,
}

impl TimeRange {
    pub(crate) fn has(&self, time: Millis) -> bool {
        (self.from..self.to).contains(&time)
    }

    /// No record at this time or behind it stands before one of the range.
    pub(crate) fn behind(&self) -> Millis {
        self.to.saturating_add(self.disorder_ms)
    }
}

/// A bounded source over the records of topics in a range of time.
///
/// It gives each partition up to its last record within the range. Left out are the records before the range, and those so far behind it
/// that none of the range may stand behind them: the times of all others are needed to tell which records were late. A line whose offset
/// or time cannot be read goes with the line before it.
///
/// What it reads is settled when it is found, whatever is appended later. No value is decoded.
#[derive(Debug)]
pub struct TimeWindow {
    range: TimeRange,
    partitions: Arc<[(Partition, Stretch)]>,
    chunk_bytes: usize,
    /// By the index of the partition.
    cursors: Vec<Cursor>,
}

/// A place in a stretch.
#[derive(Debug, Default)]
struct Cursor {
    /// Records before it were read by somebody else.
    position: i64,
    /// The index of the part.
    part: usize,
    /// The bytes of the part that were read.
    read: u64,
    file: Option<File>,
    /// Whether the line before was given.
    given: bool,
}

impl TimeWindow {
    /// The records of `topics` below `folder` (the `topics` folder) in a range; a topic that does not exist has no partitions.
    pub fn find(folder: impl Into<PathBuf>, topics: &[String], range: TimeRange) -> Result<Self> {
        Self::find_by(folder.into(), topics, range, GRAIN, CHUNK_BYTES)
    }

    fn find_by(folder: PathBuf, topics: &[String], range: TimeRange, grain: Grain, chunk_bytes: usize) -> Result<Self> {
        let mut partitions = Vec::new();
        for topic in topics {
            plain_name::check("replay topic", topic)?;
            let folder = folder.join(topic);
            for number in partition_numbers(&folder)? {
                let stretch = search::find(&folder.join(number.to_string()), &range, grain)?;
                partitions.push((Partition { topic: topic.clone(), number }, stretch));
            }
        }
        Ok(Self { range, partitions: partitions.into(), chunk_bytes, cursors: Vec::new() })
    }

    /// Another source over the same records, not open yet.
    #[must_use]
    pub fn again(&self) -> Self {
        Self { partitions: Arc::clone(&self.partitions), cursors: Vec::new(), ..*self }
    }

    /// How many records there are from the first to the last of each partition, by their offsets.
    pub fn records(&self) -> u64 {
        self.partitions.iter().map(|(_, stretch)| stretch.records).sum()
    }
}

impl Source for TimeWindow {
    fn open(&mut self, positions: &Positions) -> Result<()> {
        let cursor = |(partition, _): &(Partition, Stretch)| Cursor {
            position: positions.next(partition),
            given: true,
            ..Cursor::default()
        };
        self.cursors = self.partitions.iter().map(cursor).collect();
        Ok(())
    }

    fn partitions(&mut self) -> Result<Vec<Partition>> {
        Ok(self.partitions.iter().map(|(partition, _)| partition.clone()).collect())
    }

    fn read(&mut self, partition: &Partition, chunk: &mut Chunk) -> Result<Read> {
        let Self { range, partitions, chunk_bytes, cursors } = self;
        let index = partitions.iter().position(|(other, _)| other == partition);
        let Some((index, cursor)) = index.and_then(|index| Some((index, cursors.get_mut(index)?))) else {
            return Err(Error::new(Kind::Missing, "read partition", partition));
        };
        let parts = &partitions[index].1.parts;
        while let Some(part) = parts.get(cursor.part) {
            let some = chunk.fill(|bytes| {
                let ended = cursor.read_lines(part, *chunk_bytes, bytes)?;
                cursor.keep(range, bytes);
                if ended {
                    cursor.part += 1;
                    cursor.read = 0;
                    cursor.file = None;
                }
                Ok::<_, Error>(!bytes.is_empty())
            })?;
            if some {
                return Ok(Read::Records);
            }
        }
        Ok(Read::Ended)
    }

    /// Segments are kept: how long is the topic's business, not one reader's.
    fn release(&mut self, _: &Positions) -> Result<()> {
        Ok(())
    }
}

impl Cursor {
    /// Appends the next whole lines of a part to `bytes`. Returns whether it has come to its end.
    fn read_lines(&mut self, part: &Part, chunk_bytes: usize, bytes: &mut Vec<u8>) -> Result<bool> {
        let object = || part.path.display();
        let file = match &self.file {
            Some(file) => file,
            None => self.file.insert(File::open(&part.path).outage("open", object())?),
        };
        let at = part.from + self.read;
        let left = part.to - at;
        let mut wanted = chunk_bytes as u64;
        loop {
            let room = left.min(wanted);
            bytes.clear();
            let mut file: &File = file;
            file.seek(SeekFrom::Start(at)).outage("seek in", object())?;
            let read = file.take(room).read_to_end(bytes).outage("read", object())? as u64;
            if read < room {
                let reason = format!("it had {} bytes and has only {} now", part.to, at + read);
                return Err(Error::new(Kind::Corrupt, "go on reading", object()).because(reason));
            }
            let complete = memchr::memrchr(b'\n', bytes).map_or(0, |last| last + 1);
            // A torn line at the end of a segment that has a next one was never there.
            if complete > 0 || room == left {
                bytes.truncate(complete);
                self.read += complete as u64;
                return Ok(room == left);
            }
            if wanted >= RECORD_BYTES_MAX as u64 {
                let object = format!("record at {} byte {at}", object());
                return Err(Error::invalid("read", object, format!("it is longer than {RECORD_BYTES_MAX} bytes")));
            }
            wanted *= 2;
        }
    }

    /// Takes the lines out that are not to be given.
    fn keep(&mut self, range: &TimeRange, bytes: &mut Vec<u8>) {
        let (mut kept, mut from) = (0, 0);
        while let Some(length) = memchr::memchr(b'\n', &bytes[from..]) {
            let to = from + length + 1;
            if let Some(Stamp { offset, time }) = Stamp::of(&bytes[from..to]) {
                self.given = offset >= self.position && time >= range.from && time < range.behind();
            }
            if self.given {
                if kept < from {
                    bytes.copy_within(from..to, kept);
                }
                kept += to - from;
            }
            from = to;
        }
        bytes.truncate(kept);
    }
}
