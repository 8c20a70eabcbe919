//! The log of keyed state: what each checkpoint said has changed, one behind the other, in files that are called segments.
//!
//! A segment is a sequence of frames: the length of the owner's name, the number of entries and their length (u32 each), the name, the
//! entries, and a CRC-32 that begins with that of the frame before. Numbers are little-endian. Where a segment ends and with which CRC
//! is in the head of a checkpoint, so what stands there is that checkpoint's, or it is damaged; what stands behind was never saved.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use flate2::Crc;
use serde::{Deserialize, Serialize};
use tamis_engine::entries::Block;
use tamis_engine::{Keyed, Restored};
use tamis_model::Result;
use tamis_model::error::Context;

use crate::durable;

const EXTENSION: &str = "entries";
/// A segment that has come to this is full.
pub(super) const SEGMENT_BYTES: u64 = 64 << 20;
const FRAME_HEADER_BYTES: usize = 12;
const CRC_BYTES: usize = 4;

/// Where the entries of a checkpoint are.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Log {
    /// The oldest first. Only the last grows.
    segments: Vec<Segment>,
    owners: BTreeMap<String, Since>,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Segment {
    number: u64,
    bytes: u64,
    entries: u64,
    /// The CRC of its last frame.
    crc: u32,
}

/// Which of an owner's frames count.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Since {
    /// What stands before is superfluous.
    start: Place,
    /// Where its round began; when that ends, what stands before is superfluous.
    round: Place,
}

/// A place between two frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Place {
    segment: u64,
    byte: u64,
}

/// Frames that are to be written behind a log.
pub(super) struct Frames<'a> {
    /// The log as it is with them.
    pub log: Log,
    path: PathBuf,
    /// Where they begin.
    byte: u64,
    parts: Vec<Cow<'a, [u8]>>,
}

impl Log {
    /// What a checkpoint says, behind what was said before; a new segment begins behind so many bytes.
    pub fn append<'a>(&self, folder: &Path, keyed: &'a BTreeMap<String, Keyed>, segment_bytes: u64) -> Frames<'a> {
        let Self { mut segments, mut owners } = self.clone();
        owners.retain(|owner, _| keyed.contains_key(owner));
        let is_full = segments.last().is_none_or(|last| last.bytes >= segment_bytes);
        let says_nothing = |keyed: &Keyed| keyed.changes.is_empty() && keyed.repeated.is_empty();
        if is_full && !keyed.values().all(says_nothing) {
            segments.push(Segment::new(segments.last().map_or(0, |last| last.number + 1)));
        }
        let mut nowhere = Segment::new(0);
        let segment = segments.last_mut().unwrap_or(&mut nowhere);
        let (path, byte, mut parts) = (path(folder, segment.number), segment.bytes, Vec::new());
        for (owner, keyed) in keyed {
            let here = segment.end();
            let since = owners.entry(owner.clone()).or_insert(Since { start: here, round: here });
            if keyed.whole {
                *since = Since { start: here, round: here };
            }
            for block in keyed.changes.blocks().iter().chain(keyed.repeated.blocks()) {
                segment.push(owner, block, &mut parts);
            }
            if keyed.round_ends {
                *since = Since { start: since.round, round: segment.end() };
            }
        }
        let last = segment.number;
        let first = owners.values().map(|since| since.start.segment).min().unwrap_or(last);
        segments.retain(|segment| segment.number >= first);
        Frames { log: Self { segments, owners }, path, byte, parts }
    }

    /// The names of the owners.
    pub fn owners(&self) -> impl Iterator<Item = &String> {
        self.owners.keys()
    }

    /// Deletes the segments before its first.
    pub fn delete_older(&self, folder: &Path) -> io::Result<()> {
        let Some(first) = self.segments.first() else { return Ok(()) };
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let number = path.file_stem().and_then(|stem| stem.to_str()?.parse::<u64>().ok());
            let is_older = number.is_some_and(|number| number < first.number);
            if is_older && path.extension().is_some_and(|extension| extension == EXTENSION) {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    /// Reads all entries that count.
    pub fn read(&self, folder: &Path, take: &mut dyn FnMut(Restored<'_>) -> Result<()>) -> Result<()> {
        let of = self.segments.iter().map(|segment| segment.entries).sum();
        let mut read = 0;
        for segment in &self.segments {
            segment.read(&path(folder, segment.number), &mut |frame| {
                read += u64::from(frame.count);
                let place = Place { segment: segment.number, byte: frame.byte };
                if self.owners.get(frame.owner).is_some_and(|since| since.start <= place) {
                    take(Restored { owner: frame.owner, block: frame.block, read, of })?;
                }
                Ok(())
            })?;
        }
        Ok(())
    }
}

impl Frames<'_> {
    /// Writes them, durably, over whatever stands behind the log.
    pub fn write(&self) -> io::Result<()> {
        if self.parts.is_empty() {
            return Ok(());
        }
        let mut file = File::options().write(true).create(true).truncate(false).open(&self.path)?;
        file.seek(SeekFrom::Start(self.byte))?;
        self.parts.iter().try_for_each(|part| file.write_all(part))?;
        file.sync_data()?;
        match self.path.parent() {
            Some(folder) if self.byte == 0 => durable::sync_folder(folder),
            _ => Ok(()),
        }
    }
}

/// A frame as it is read.
struct Frame<'a> {
    byte: u64,
    owner: &'a str,
    count: u32,
    block: &'a [u8],
}

impl Segment {
    fn new(number: u64) -> Self {
        // A segment under another's name does not read back.
        Self { number, bytes: 0, entries: 0, crc: crc(0, &[&number.to_le_bytes()]) }
    }

    fn end(&self) -> Place {
        Place { segment: self.number, byte: self.bytes }
    }

    fn push<'a>(&mut self, owner: &str, block: &'a Block, parts: &mut Vec<Cow<'a, [u8]>>) {
        let lengths = [owner.len() as u64, block.count, block.bytes.len() as u64];
        let lengths = lengths.map(|length| u32::try_from(length).expect("a block is small").to_le_bytes());
        let header = [lengths.as_flattened(), owner.as_bytes()].concat();
        self.crc = crc(self.crc, &[&header, &block.bytes]);
        self.bytes += (header.len() + block.bytes.len() + CRC_BYTES) as u64;
        self.entries += block.count;
        parts.extend([header.into(), block.bytes.as_slice().into(), self.crc.to_le_bytes().to_vec().into()]);
    }

    fn read(&self, path: &Path, take: &mut dyn FnMut(Frame<'_>) -> Result<()>) -> Result<()> {
        let file = match File::open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(error).corrupt("read", path.display()),
            file => file.outage("read", path.display())?,
        };
        let mut file = BufReader::with_capacity(1 << 20, file);
        let mut found = Self::new(self.number);
        let mut bytes = Vec::new();
        while found.bytes < self.bytes {
            let byte = found.bytes;
            let frame = found.read_frame(&mut file, self.bytes, &mut bytes);
            let frame = frame.outage("read", path.display())?.corrupt("read", path.display())?;
            take(Frame { byte, ..frame })?;
        }
        if (found.crc, found.entries) != (self.crc, self.entries) {
            return Err("it is not what the checkpoint names").corrupt("read", path.display());
        }
        Ok(())
    }

    /// Reads a frame into `bytes` and goes on behind it; the reason in words when it is not what was saved.
    fn read_frame<'a>(
        &mut self,
        file: &mut impl Read,
        end: u64,
        bytes: &'a mut Vec<u8>,
    ) -> io::Result<Result<Frame<'a>, &'static str>> {
        let mut header = [0; FRAME_HEADER_BYTES];
        if self.bytes + header.len() as u64 > end || !fills(file, &mut header)? {
            return Ok(Err("it ends too early"));
        }
        let lengths = header.as_chunks::<4>().0;
        let [owner_bytes, count, block_bytes] = [0, 1, 2].map(|i| u32::from_le_bytes(lengths[i]));
        let length = owner_bytes as usize + block_bytes as usize;
        let next = self.bytes + (header.len() + length + CRC_BYTES) as u64;
        if next > end {
            return Ok(Err("a frame is longer than the checkpoint says"));
        }
        bytes.resize(length + CRC_BYTES, 0);
        if !fills(file, bytes)? {
            return Ok(Err("it ends too early"));
        }
        let (content, stored) = bytes.split_at(length);
        let found = crc(self.crc, &[&header, content]);
        let (owner, block) = content.split_at(owner_bytes as usize);
        let Some(owner) = str::from_utf8(owner).ok().filter(|_| stored == found.to_le_bytes()) else {
            return Ok(Err("its checksum is not what it says"));
        };
        *self = Self { bytes: next, entries: self.entries + u64::from(count), crc: found, ..*self };
        Ok(Ok(Frame { byte: 0, owner, count, block }))
    }
}

/// Whether there is so much.
fn fills(file: &mut impl Read, bytes: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(bytes) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        read => read.map(|()| true),
    }
}

fn crc(before: u32, parts: &[&[u8]]) -> u32 {
    let mut crc = Crc::new();
    crc.update(&before.to_le_bytes());
    parts.iter().for_each(|part| crc.update(part));
    crc.sum()
}

fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:020}.{EXTENSION}"))
}
