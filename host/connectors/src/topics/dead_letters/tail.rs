//! A partition of embedded dead letters, read from its end.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use tamis_engine::decode::json::record_parts;
use tamis_model::Result;
use tamis_model::error::Context;

use super::{StoredLetter, Tail};
use crate::topics::backwards::Backwards;
use crate::topics::seek::behind_offsets_below;
use crate::topics::{segment_path, segments};

/// The letters of a partition that were not handed out yet.
#[derive(Debug)]
pub(super) struct FolderTail {
    number: u32,
    folder: PathBuf,
    /// First offsets of the segments that were not begun, ascending.
    segments: Vec<i64>,
    /// The offset that the first segment to be read ends before.
    before: Option<i64>,
    /// The segment being read.
    lines: Option<(PathBuf, Backwards)>,
}

impl FolderTail {
    /// The letters of a partition whose offsets are below `before`; without it, all of them.
    pub fn open(topic: &Path, number: u32, before: Option<i64>) -> Result<Self> {
        let folder = topic.join(number.to_string());
        let mut segments = segments(&folder)?;
        segments.retain(|first| before.is_none_or(|before| *first < before));
        Ok(Self { number, folder, segments, before, lines: None })
    }

    fn begin(&mut self, first: i64) -> Result<()> {
        let path = segment_path(&self.folder, first);
        let file = match File::open(&path) {
            // A writer that recovered has taken it back.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            file => file.outage("open", path.display())?,
        };
        let end = match self.before.take() {
            Some(before) => behind_offsets_below(&file, before),
            None => file.metadata().map(|metadata| metadata.len()),
        };
        let end = end.outage("read", path.display())?;
        self.lines = Some((path, Backwards::new(file, end)));
        Ok(())
    }
}

impl Tail for FolderTail {
    fn next_letter(&mut self) -> Result<Option<(StoredLetter, u64)>> {
        loop {
            if let Some((path, lines)) = &mut self.lines {
                for line in lines {
                    let line = line.outage("read", path.display())?.bytes;
                    if let Some(letter) = StoredLetter::of(self.number, record_parts(&line)) {
                        return Ok(Some((letter, line.len() as u64)));
                    }
                }
                self.lines = None;
            }
            let Some(first) = self.segments.pop() else { return Ok(None) };
            self.begin(first)?;
        }
    }
}
