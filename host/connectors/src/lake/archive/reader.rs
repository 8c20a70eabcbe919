//! Reads the archive of topics, to the end that it has when it is looked through.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use tamis_engine::{Chunk, Read, Source};
use tamis_model::error::Context;
use tamis_model::position::{Partition, Positions};
use tamis_model::{Error, Kind, Result};

use super::{ArchiveObject, archive_objects};
use crate::topics::stamp::Stamp;

/// About how many bytes a chunk has.
const CHUNK_BYTES: usize = 1 << 20;
/// A longer line is an error, so that memory stays bounded. The writer takes what topics have.
const LINE_BYTES_MAX: usize = 128 << 20;

type Lines = BufReader<zstd::Decoder<'static, BufReader<File>>>;

/// The record lines of archived topics, in offset order within each partition. Records that stand in two objects, as a writer that was
/// interrupted may leave them, are given once.
pub struct ArchiveReader {
    partitions: BTreeMap<Partition, Vec<ArchiveObject>>,
    cursors: BTreeMap<Partition, Cursor>,
}

/// A place in a partition.
struct Cursor {
    /// The index of the next object to open.
    object: usize,
    lines: Option<Lines>,
    /// Records before it are passed over, with the lines before them that are none.
    next: i64,
}

impl ArchiveReader {
    /// The archive of `topics` below `bronze` as it is now; a topic without one has no partitions.
    pub fn find(bronze: &Path, topics: &[String]) -> Result<Self> {
        let mut partitions = BTreeMap::new();
        for topic in topics {
            for (number, objects) in archive_objects(bronze, topic)? {
                partitions.insert(Partition { topic: topic.clone(), number }, objects);
            }
        }
        Ok(Self { partitions, cursors: BTreeMap::new() })
    }

    /// The objects of each partition, in offset order.
    pub fn objects(&self) -> &BTreeMap<Partition, Vec<ArchiveObject>> {
        &self.partitions
    }
}

impl Source for ArchiveReader {
    fn open(&mut self, positions: &Positions) -> Result<()> {
        let cursor = |(partition, objects): (&Partition, &Vec<ArchiveObject>)| {
            let next = positions.next(partition);
            let object = objects.iter().rposition(|object| object.first <= next).unwrap_or(0);
            (partition.clone(), Cursor { object, lines: None, next })
        };
        self.cursors = self.partitions.iter().map(cursor).collect();
        Ok(())
    }

    fn partitions(&mut self) -> Result<Vec<Partition>> {
        Ok(self.partitions.keys().cloned().collect())
    }

    fn read(&mut self, partition: &Partition, chunk: &mut Chunk) -> Result<Read> {
        let missing = || Error::new(Kind::Missing, "read the archive of", partition);
        let objects = self.partitions.get(partition).ok_or_else(missing)?;
        let cursor = self.cursors.get_mut(partition).ok_or_else(missing)?;
        loop {
            let Some(lines) = &mut cursor.lines else {
                let Some(object) = objects.get(cursor.object) else { return Ok(Read::Ended) };
                cursor.lines = Some(open(&object.path)?);
                cursor.object += 1;
                continue;
            };
            let path = &objects[cursor.object - 1].path;
            let ended = chunk.fill(|bytes| fill(lines, path, bytes, &mut cursor.next))?;
            if ended {
                cursor.lines = None;
            }
            if !chunk.records().is_empty() {
                return Ok(Read::Records);
            }
        }
    }

    /// Objects are kept.
    fn release(&mut self, _: &Positions) -> Result<()> {
        Ok(())
    }
}

/// Appends the lines of records from `next` on, with those before each that are none; true at the end of the object.
fn fill(lines: &mut Lines, path: &Path, bytes: &mut Vec<u8>, next: &mut i64) -> Result<bool> {
    let mut held = 0;
    while bytes.len() < CHUNK_BYTES {
        let start = bytes.len();
        if !read_line(lines, path, bytes)? {
            return Ok(true);
        }
        match Stamp::of(&bytes[start..]) {
            // It goes with the record behind it.
            None => continue,
            Some(stamp) if stamp.offset < *next => bytes.truncate(held),
            Some(stamp) => *next = stamp.offset.saturating_add(1),
        }
        held = bytes.len();
    }
    Ok(false)
}

/// Appends the next line; false at the end of the object.
fn read_line(lines: &mut Lines, path: &Path, bytes: &mut Vec<u8>) -> Result<bool> {
    let start = bytes.len();
    let read = io::Read::take(&mut *lines, LINE_BYTES_MAX as u64).read_until(b'\n', bytes);
    match read.map_err(|error| broken(path, error))? {
        0 => Ok(false),
        _ if bytes.ends_with(b"\n") => Ok(true),
        _ => {
            let reason = format!("a line of {} bytes has no end", bytes.len() - start);
            Err(Error::new(Kind::Corrupt, "read", path.display()).because(reason))
        }
    }
}

/// The offset behind the last record of an object.
pub(super) fn end_of(path: &Path) -> Result<i64> {
    let (mut lines, mut line, mut end) = (open(path)?, Vec::new(), None);
    while read_line(&mut lines, path, &mut line)? {
        end = Stamp::of(&line).map(|stamp| stamp.offset.saturating_add(1)).or(end);
        line.clear();
    }
    end.ok_or_else(|| Error::new(Kind::Corrupt, "read", path.display()).because("it holds no record"))
}

fn open(path: &Path) -> Result<Lines> {
    let file = File::open(path).outage("open", path.display())?;
    let decoder = zstd::Decoder::new(file).outage("open", path.display())?;
    Ok(BufReader::with_capacity(128 << 10, decoder))
}

/// The decoder says that bytes are wrong by an error that is none of the disk's.
fn broken(path: &Path, error: io::Error) -> Error {
    let kind = if error.raw_os_error().is_some() { Kind::Outage } else { Kind::Corrupt };
    Error::new(kind, "read", path.display()).because(error)
}
