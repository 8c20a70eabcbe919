//! One partition on the reader's side: the segment being read, the place in it, and the way to the next one.

use std::fs::File;
use std::io::{BufRead, BufReader, Read as _, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use tamis_engine::chunk::PADDING;
use tamis_engine::{Chunk, Read};
use tamis_model::error::Context;
use tamis_model::position::Partition;
use tamis_model::{Error, Kind, Result};

use crate::topics::seek::behind_offsets_below;
use crate::topics::{segment_path, segments};

/// So much of a line that is too long is handed out.
const HEAD_BYTES: usize = 16 << 10;

/// A place in a partition.
#[derive(Debug)]
pub(super) struct Cursor {
    pub(super) partition: Partition,
    folder: PathBuf,
    /// The offset to begin with; only used until the first segment is open.
    position: i64,
    segment: Option<Segment>,
    end: Option<End>,
}

/// Where a bounded partition ends: the last segment, and the bytes it had. A torn line there is not part of it.
#[derive(Clone, Copy, Debug)]
enum End {
    /// There was no segment.
    Empty,
    At {
        segment: i64,
        bytes: u64,
    },
}

/// The segment being read.
#[derive(Debug)]
struct Segment {
    first: i64,
    path: PathBuf,
    file: File,
    /// The first byte that was not handed out yet; always the start of a line.
    at: u64,
    /// A later segment was seen, so nothing is appended to this one any more.
    sealed: bool,
}

impl Cursor {
    pub(super) fn new(partition: Partition, folder: PathBuf, position: i64) -> Self {
        Self { partition, folder, position, segment: None, end: None }
    }

    /// Makes the partition end where it ends now.
    pub(super) fn end_here(&mut self) -> Result<()> {
        let end = match segments(&self.folder)?.last() {
            None => End::Empty,
            Some(&segment) => {
                let path = segment_path(&self.folder, segment);
                let bytes = path.metadata().outage("inspect", path.display())?.len();
                End::At { segment, bytes }
            }
        };
        self.end = Some(end);
        Ok(())
    }

    /// Reads on: the records up to the last line break of about `chunk_bytes`.
    pub(super) fn read(&mut self, chunk: &mut Chunk, chunk_bytes: usize, record_bytes_max: usize) -> Result<Read> {
        loop {
            let Some(segment) = &mut self.segment else {
                match self.first_segment()? {
                    None => return Ok(self.nothing_more()),
                    found => self.segment = found,
                }
                continue;
            };
            let limit = match self.end {
                Some(End::At { segment: last, bytes }) if last == segment.first => bytes,
                _ => u64::MAX,
            };
            if segment.read(chunk, limit, chunk_bytes, record_bytes_max)? {
                return Ok(Read::Records);
            }
            if limit < u64::MAX {
                return Ok(Read::Ended);
            }
            match next_segment(&self.folder, segment.first)? {
                None => return Ok(self.nothing_more()),
                // What was appended between our read and the look at the folder is still to be read.
                Some(_) if !segment.sealed => segment.sealed = true,
                Some(first) => {
                    segment.warn_of_torn_line()?;
                    *segment = Segment::open(&self.folder, first)?;
                }
            }
        }
    }

    fn nothing_more(&self) -> Read {
        if self.end.is_some() { Read::Ended } else { Read::CaughtUp }
    }

    /// The segment that holds the position, at the position; none while the partition has no segment.
    fn first_segment(&self) -> Result<Option<Segment>> {
        let firsts = match self.end {
            Some(End::Empty) => Vec::new(),
            Some(End::At { segment, .. }) => {
                let mut firsts = segments(&self.folder)?;
                firsts.retain(|first| *first <= segment);
                firsts
            }
            None => segments(&self.folder)?,
        };
        let holding = firsts.iter().rfind(|first| **first <= self.position).or(firsts.first());
        let Some(&first) = holding else {
            return Ok(None);
        };
        let mut segment = Segment::open(&self.folder, first)?;
        if first < self.position {
            segment.at =
                behind_offsets_below(&segment.file, self.position).outage("seek in", segment.path.display())?;
        }
        Ok(Some(segment))
    }
}

impl Segment {
    fn open(folder: &Path, first: i64) -> Result<Self> {
        let path = segment_path(folder, first);
        let file = File::open(&path).outage("open", path.display())?;
        Ok(Self { first, path, file, at: 0, sealed: false })
    }

    /// Fills the chunk with whole lines before `limit`; false when there is none yet.
    fn read(&mut self, chunk: &mut Chunk, limit: u64, chunk_bytes: usize, record_bytes_max: usize) -> Result<bool> {
        let mut wanted = chunk_bytes;
        loop {
            let room = limit.saturating_sub(self.at).min(wanted as u64);
            let block = chunk.fill(|bytes| read_lines(&self.file, self.at, room as usize, bytes));
            let (read, complete) = block.outage("read", self.path.display())?;
            if complete > 0 {
                self.at += complete as u64;
                return Ok(true);
            }
            if read < wanted {
                self.check_length()?;
                return Ok(false);
            }
            if wanted >= record_bytes_max {
                return self.read_head(chunk, limit);
            }
            wanted = wanted.saturating_mul(2).min(record_bytes_max);
        }
    }

    /// Fills the chunk with the head of a line that is too long, which is refused then as the broken record that it is; false while the
    /// line has no end.
    fn read_head(&mut self, chunk: &mut Chunk, limit: u64) -> Result<bool> {
        let end = line_end(&self.file, self.at).outage("read", self.path.display())?;
        let Some(end) = end.filter(|end| *end <= limit) else { return Ok(false) };
        let head = chunk.fill(|bytes| {
            let read = read_at(&self.file, self.at, HEAD_BYTES, bytes);
            bytes.push(b'\n');
            read
        });
        head.outage("read", self.path.display())?;
        tracing::warn!(segment = %self.path.display(), byte = self.at, bytes = end - self.at, "refused a record that is too long");
        self.at = end;
        Ok(true)
    }

    /// A writer that recovers may cut back what it never committed; a reader that was beyond that point cannot
    /// know what it should have read.
    fn check_length(&self) -> Result<()> {
        let length = self.file.metadata().outage("inspect", self.path.display())?.len();
        if length < self.at {
            let reason = format!("it was read up to byte {} and has only {length} now", self.at);
            return Err(Error::new(Kind::Corrupt, "go on reading", self.path.display()).because(reason));
        }
        Ok(())
    }

    fn warn_of_torn_line(&self) -> Result<()> {
        let length = self.file.metadata().outage("inspect", self.path.display())?.len();
        if length > self.at {
            let bytes = length - self.at;
            tracing::warn!(segment = %self.path.display(), bytes, "left out a torn last line before the next segment");
        }
        Ok(())
    }
}

/// Appends the whole lines within the next `room` bytes; returns the bytes read and those of whole lines.
fn read_lines(file: &File, at: u64, room: usize, bytes: &mut Vec<u8>) -> std::io::Result<(usize, usize)> {
    let read = read_at(file, at, room, bytes)?;
    let complete = memchr::memrchr(b'\n', bytes).map_or(0, |last| last + 1);
    bytes.truncate(complete);
    Ok((read, complete))
}

fn read_at(mut file: &File, at: u64, room: usize, bytes: &mut Vec<u8>) -> std::io::Result<usize> {
    bytes.reserve(room + PADDING);
    file.seek(SeekFrom::Start(at))?;
    file.take(room as u64).read_to_end(bytes)
}

/// The byte behind the line that begins at `at`; none while it has no line break.
fn line_end(mut file: &File, at: u64) -> std::io::Result<Option<u64>> {
    file.seek(SeekFrom::Start(at))?;
    let mut rest = BufReader::new(file);
    let mut end = at;
    loop {
        let block = rest.fill_buf()?;
        if block.is_empty() {
            return Ok(None);
        }
        let (found, length) = (memchr::memchr(b'\n', block), block.len());
        end += found.map_or(length, |line_break| line_break + 1) as u64;
        if found.is_some() {
            return Ok(Some(end));
        }
        rest.consume(length);
    }
}

fn next_segment(folder: &Path, first: i64) -> Result<Option<i64>> {
    Ok(segments(folder)?.into_iter().find(|next| *next > first))
}
