//! One partition's log on the writer's side: append, roll, recover a torn end, cut back.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tamis_model::error::Context;
use tamis_model::{Error, Kind, Result};

use super::backwards::{Backwards, Line};
use super::line::{self, Parts};
use super::{segment_path, segments};
use crate::durable;

/// Bytes that are collected before they go to the operating system.
const BUFFER_BYTES: usize = 256 << 10;

/// Where a partition ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct End {
    /// The first offset of the last segment.
    pub segment: i64,
    /// The bytes of the last segment.
    pub bytes: u64,
    /// The offset that the next record gets.
    pub next: i64,
}

/// A partition's log, open for appending.
#[derive(Debug)]
pub(super) struct Log {
    folder: PathBuf,
    /// The end, counting what is still in the buffer.
    end: End,
    /// The last segment; none until something is appended to it.
    file: Option<File>,
    buffer: Vec<u8>,
    /// Whether something has reached the last segment since the last sync.
    dirty: bool,
    /// Whether a segment was opened since the last sync: it may be new, or of a process that died before it synced.
    folder_dirty: bool,
}

impl Log {
    /// Opens a partition. A last line without its line break was never there: it is cut off.
    pub fn open(folder: PathBuf) -> Result<Self> {
        let end = match segments(&folder)?.last() {
            None => End::default(),
            Some(&first) => recover(&folder, first)?,
        };
        Ok(Self { folder, end, file: None, buffer: Vec::new(), dirty: false, folder_dirty: false })
    }

    /// Where the log ends.
    pub fn end(&self) -> End {
        self.end
    }

    /// Appends a record; rolls over to a new segment before one grows beyond `segment_bytes`.
    pub fn append(&mut self, parts: &Parts<'_>, segment_bytes: u64) -> Result<i64> {
        let offset = self.end.next;
        let start = self.buffer.len();
        line::append(&mut self.buffer, offset, parts);
        let length = (self.buffer.len() - start) as u64;
        if self.end.bytes > 0 && self.end.bytes + length > segment_bytes {
            self.roll(start)?;
        }
        self.end.bytes += length;
        self.end.next += 1;
        if self.buffer.len() >= BUFFER_BYTES {
            self.flush()?;
        }
        Ok(offset)
    }

    /// Closes the segment with what the buffer holds before `start`; what stands behind it opens the next one.
    fn roll(&mut self, start: usize) -> Result<()> {
        let line = self.buffer.split_off(start);
        self.sync()?;
        self.buffer = line;
        self.file = None;
        self.end = End { segment: self.end.next, bytes: 0, next: self.end.next };
        Ok(())
    }

    /// Hands everything to the operating system, where readers see it.
    pub fn flush(&mut self) -> Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let path = segment_path(&self.folder, self.end.segment);
        if self.file.is_none() {
            let file =
                File::options().write(true).create(true).truncate(false).open(&path).outage("open", path.display())?;
            self.file = Some(file);
            self.folder_dirty = true;
        }
        if let Some(file) = &mut self.file {
            // At its own place and not at the file's end: a write that failed half way is simply written again.
            let at = self.end.bytes - self.buffer.len() as u64;
            let written = file.seek(SeekFrom::Start(at)).and_then(|_| file.write_all(&self.buffer));
            written.outage("append to", path.display())?;
        }
        self.buffer.clear();
        self.dirty = true;
        Ok(())
    }

    /// Whether there is something to sync.
    pub fn is_dirty(&self) -> bool {
        self.dirty || self.folder_dirty || !self.buffer.is_empty()
    }

    /// Makes everything durable.
    pub fn sync(&mut self) -> Result<()> {
        self.flush()?;
        if let Some(file) = self.file.as_ref().filter(|_| self.dirty) {
            file.sync_data().outage("sync", segment_path(&self.folder, self.end.segment).display())?;
        }
        self.dirty = false;
        if self.folder_dirty {
            durable::sync_folder(&self.folder).outage("sync", self.folder.display())?;
            self.folder_dirty = false;
        }
        Ok(())
    }

    /// Makes the log end at `end`: whatever stands behind it is gone.
    pub fn cut(&mut self, end: End) -> Result<()> {
        self.buffer.clear();
        self.file = None;
        for first in segments(&self.folder)?.into_iter().filter(|first| *first > end.segment) {
            let path = segment_path(&self.folder, first);
            fs::remove_file(&path).outage("remove", path.display())?;
        }
        let path = segment_path(&self.folder, end.segment);
        match File::options().write(true).open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && end.bytes == 0 => {}
            file => durable::cut(&file.outage("open", path.display())?, end.bytes, &path)?,
        }
        self.end = end;
        self.dirty = true;
        Ok(())
    }
}

/// The end of the partition whose last segment begins with offset `first`, after cutting off a torn line.
fn recover(folder: &Path, first: i64) -> Result<End> {
    let path = segment_path(folder, first);
    let file = File::options().read(true).write(true).open(&path).outage("open", path.display())?;
    let length = file.metadata().outage("inspect", path.display())?.len();
    let reading = file.try_clone().outage("open", path.display())?;
    let last = Backwards::new(reading, length).next().transpose().outage("read", path.display())?;
    let bytes = last.as_ref().map_or(0, Line::end);
    if bytes < length {
        file.set_len(bytes).outage("cut a torn line off", path.display())?;
        tracing::warn!(segment = %path.display(), bytes = length - bytes, "cut a torn last line off");
    }
    let Some(last) = last else { return Ok(End { segment: first, bytes, next: first }) };
    let Some(offset) = last.offset() else {
        let object = format!("{} byte {}", path.display(), last.start);
        return Err(Error::new(Kind::Corrupt, "read the last offset of", object).because("the line has no offset"));
    };
    Ok(End { segment: first, bytes, next: offset + 1 })
}
