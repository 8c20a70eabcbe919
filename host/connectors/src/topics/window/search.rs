//! Finding the stretch of a partition that a range of time lies in, by a look at few of its blocks.
//!
//! Times ascend but for the disorder allowed. So a block whose times all lie further before the range than that tells that nothing of
//! the range stands before its end, and a block whose times all lie further behind it that nothing stands from its beginning on. Both
//! bounds are found by bisection; what lies between them is looked through, from either side, for the first record that is given and
//! the last one of the range. A block tells something only when several records agree: one whose time is far off leaves it undecided, and more is
//! looked through, never less.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use tamis_model::error::Context;
use tamis_model::time::Millis;
use tamis_model::{Error, Result};

use super::{RECORD_BYTES_MAX, TimeRange};
use crate::topics::stamp::Stamp;
use crate::topics::{segment_path, segments};

/// The bytes of a partition between the first record of a range and the last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Stretch {
    /// What it has of each segment.
    pub parts: Vec<Part>,
    /// From the first record to the last, by their offsets.
    pub records: u64,
}

/// What a stretch has of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub path: PathBuf,
    /// The first byte of a line.
    pub from: u64,
    /// The byte behind the last.
    pub to: u64,
}

/// What is looked at to tell where in a partition a time is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grain {
    /// The length of a block.
    pub block_bytes: u64,
    /// So many records must agree.
    pub lines_min: usize,
}

/// The stretch of the partition in `folder` that `range` lies in; an empty one when nothing of it is there.
pub(super) fn find(folder: &Path, range: &TimeRange, grain: Grain) -> Result<Stretch> {
    let partition = Partition::open(folder, grain)?;
    let (before, behind) = (range.from.saturating_sub(range.disorder_ms), range.behind());
    let low = bisect(0, partition.blocks, |number| {
        Ok(partition.times(number)?.is_some_and(|(_, highest)| highest < before))
    })?;
    let high =
        bisect(low, partition.blocks, |number| Ok(partition.times(number)?.is_none_or(|(lowest, _)| lowest < behind)))?;
    let first = (low..high).find_map(|number| partition.first_in(number, range).transpose()).transpose()?;
    let last = (low..high).rev().find_map(|number| partition.last_in(number, range).transpose()).transpose()?;
    Ok(first.zip(last).map(|(first, last)| partition.stretch(&first, &last)).unwrap_or_default())
}

/// The first number of `low..high` for which `holds` is false; `high` when there is none. It holds for none behind that.
fn bisect(mut low: u64, mut high: u64, mut holds: impl FnMut(u64) -> Result<bool>) -> Result<u64> {
    while low < high {
        let middle = low + (high - low) / 2;
        if holds(middle)? {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
}

/// A partition as it was when it was opened, in blocks that are numbered through. A line belongs to the block that it begins in.
struct Partition {
    segments: Vec<Segment>,
    blocks: u64,
    grain: Grain,
}

struct Segment {
    path: PathBuf,
    bytes: u64,
    /// The number of its first block.
    block: u64,
}

/// A record line and where it stands.
struct Line {
    /// The index of its segment.
    segment: usize,
    from: u64,
    /// The byte behind its line break.
    to: u64,
    stamp: Stamp,
}

impl Partition {
    fn open(folder: &Path, grain: Grain) -> Result<Self> {
        let mut partition = Self { segments: Vec::new(), blocks: 0, grain };
        for first in segments(folder)? {
            let path = segment_path(folder, first);
            let bytes = path.metadata().outage("inspect", path.display())?.len();
            partition.segments.push(Segment { path, bytes, block: partition.blocks });
            // What is left over belongs to the last block: alone it would have few records.
            partition.blocks += (bytes / grain.block_bytes).max(1);
        }
        Ok(partition)
    }

    /// The lowest and the highest time of the records in a block, and of those behind it where it has few. None when there are too few.
    fn times(&self, number: u64) -> Result<Option<(Millis, Millis)>> {
        let mut times = Vec::new();
        self.look_through(number, self.grain.lines_min, |line| times.push(line.stamp.time))?;
        let bounds = times.iter().min().copied().zip(times.iter().max().copied());
        Ok(bounds.filter(|_| times.len() >= self.grain.lines_min))
    }

    /// The first record that is given: one behind the range counts for time when one of the range follows it.
    fn first_in(&self, number: u64, range: &TimeRange) -> Result<Option<Line>> {
        let mut found = None;
        self.look_through(number, 0, |line| {
            if found.is_none() && (range.from..range.behind()).contains(&line.stamp.time) {
                found = Some(line);
            }
        })?;
        Ok(found)
    }

    fn last_in(&self, number: u64, range: &TimeRange) -> Result<Option<Line>> {
        let mut found = None;
        self.look_through(number, 0, |line| {
            if range.has(line.stamp.time) {
                found = Some(line);
            }
        })?;
        Ok(found)
    }

    /// Shows every whole line of a block whose offset and time can be read. Goes on behind the block until it has shown `lines_min`.
    fn look_through(&self, number: u64, lines_min: usize, mut see: impl FnMut(Line)) -> Result<()> {
        let segment = self.segments.partition_point(|segment| segment.block <= number) - 1;
        let Segment { path, bytes, block } = &self.segments[segment];
        let begin = (number - block) * self.grain.block_bytes;
        let is_last = self.segments.get(segment + 1).map_or(self.blocks, |next| next.block) == number + 1;
        let end = if is_last { *bytes } else { begin + self.grain.block_bytes };
        let mut lines = Lines::open(path, begin, *bytes).outage("read", path.display())?;
        let mut shown = 0;
        while lines.at < end || shown < lines_min {
            let from = lines.at;
            let Some(line) = lines.next().outage("read", path.display())? else { break };
            let stamp = Stamp::of(line);
            if lines.is_too_long() {
                let reason = format!("it is longer than {RECORD_BYTES_MAX} bytes");
                return Err(Error::invalid("read", format!("record at {} byte {from}", path.display()), reason));
            }
            if let Some(stamp) = stamp {
                shown += 1;
                see(Line { segment, from, to: lines.at, stamp });
            }
        }
        Ok(())
    }

    fn stretch(&self, first: &Line, last: &Line) -> Stretch {
        let part = |index: usize| Part {
            path: self.segments[index].path.clone(),
            from: if index == first.segment { first.from } else { 0 },
            to: if index == last.segment { last.to } else { self.segments[index].bytes },
        };
        let offsets = last.stamp.offset.saturating_sub(first.stamp.offset).saturating_add(1);
        Stretch {
            parts: (first.segment..=last.segment).map(part).collect(),
            records: u64::try_from(offsets).unwrap_or_default(),
        }
    }
}

/// The whole lines of a segment.
struct Lines {
    file: BufReader<std::io::Take<File>>,
    /// The first byte that was not read yet.
    at: u64,
    line: Vec<u8>,
}

impl Lines {
    /// The lines that begin at byte `begin` of the file or behind it; `bytes` is its length.
    fn open(path: &Path, begin: u64, bytes: u64) -> std::io::Result<Self> {
        let mut file = File::open(path)?;
        // The byte before tells whether a line begins here.
        let at = begin.saturating_sub(1);
        file.seek(SeekFrom::Start(at))?;
        let mut lines =
            Self { file: BufReader::with_capacity(BUFFER_BYTES, file.take(bytes - at)), at, line: Vec::new() };
        if begin > 0 {
            lines.at += lines.file.skip_until(b'\n')? as u64;
        }
        Ok(lines)
    }

    /// The next line with its line break. None at the end, and for a last line without its line break.
    fn next(&mut self) -> std::io::Result<Option<&[u8]>> {
        self.line.clear();
        let read = self.file.by_ref().take(RECORD_BYTES_MAX as u64 + 1).read_until(b'\n', &mut self.line)?;
        self.at += read as u64;
        Ok((self.line.ends_with(b"\n") || self.is_too_long()).then_some(&self.line[..]))
    }

    fn is_too_long(&self) -> bool {
        self.line.len() > RECORD_BYTES_MAX
    }
}

/// What is read at a time.
const BUFFER_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_are_asked() {
        for high in [0, 1, 2, 7, 1_000, 1 << 30] {
            for threshold in [0, 1, 2, 6, 999, 1 << 20, (1 << 30) - 1, 1 << 30].into_iter().filter(|t| *t <= high) {
                let mut asked = 0;
                let found = bisect(0, high, |number| {
                    asked += 1;
                    Ok(number < threshold)
                });
                assert_eq!(found.unwrap(), threshold, "of {high}");
                assert!(asked <= high.checked_ilog2().map_or(0, |log| log + 1), "{asked} of {high}");
            }
        }
    }
}
