//! One file being read: bytes in, whole records out.

use std::fs::File;
use std::io::{self, BufReader, Read as _};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use tamis_engine::chunk::PADDING;
use tamis_model::error::Context;
use tamis_model::{Error, Kind, Result};

use super::FileSettings;
use super::framing::Framer;

/// A file and the place in it.
pub(super) struct OpenFile {
    path: PathBuf,
    bytes: Box<dyn io::Read + Send>,
    settings: FileSettings,
    framer: Framer,
    /// Whole records that were read while passing over the ones before them.
    ready: Vec<u8>,
    ready_records: u64,
    /// The beginning of a record whose end has not been read yet; the framer has seen it.
    begun: Vec<u8>,
    /// The file's (decompressed) byte that `begun` starts with.
    begun_at: u64,
    /// Records handed out or passed over.
    pub records_read: u64,
}

impl std::fmt::Debug for OpenFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenFile").field("path", &self.path).field("byte", &self.begun_at).finish_non_exhaustive()
    }
}

impl OpenFile {
    pub fn open(path: &Path, settings: FileSettings) -> Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            bytes: open_bytes(path)?,
            settings,
            framer: Framer::at_file_start(settings.framing),
            ready: Vec::new(),
            ready_records: 0,
            begun: Vec::new(),
            begun_at: 0,
            records_read: 0,
        })
    }

    /// Fills the empty `out` with the next whole records, about `chunk_bytes` of them; false at the end of the file.
    pub fn read_records(&mut self, out: &mut Vec<u8>) -> Result<bool> {
        let records = if self.ready_records > 0 {
            out.append(&mut self.ready);
            std::mem::take(&mut self.ready_records)
        } else {
            self.frame_records(out)?
        };
        self.records_read += records;
        Ok(records > 0)
    }

    /// Reads blocks until one holds the end of a record; returns how many records ended, 0 at the end of the file.
    fn frame_records(&mut self, out: &mut Vec<u8>) -> Result<u64> {
        out.reserve(self.settings.chunk_bytes + PADDING);
        out.append(&mut self.begun);
        loop {
            let seen = out.len();
            if seen >= self.settings.record_bytes_max {
                let object = format!("record at {} byte {}", self.path.display(), self.begun_at);
                let reason = format!("it is longer than {} bytes", self.settings.record_bytes_max);
                return Err(Error::invalid("read", object, reason));
            }
            let wanted = self.settings.chunk_bytes.max(seen).min(self.settings.record_bytes_max - seen);
            let read = (&mut self.bytes).take(wanted as u64).read_to_end(out);
            let read = read.map_err(|error| reading_failed(&self.path, error))?;
            let framed = self.framer.scan(&out[seen..], u64::MAX);
            if read < wanted {
                // The end of the file, where the last record needs no line break.
                let complete = if framed.records > 0 { seen + framed.end } else { 0 };
                self.begun_at += out.len() as u64;
                return Ok(framed.records + u64::from(complete < out.len()));
            }
            if framed.records > 0 {
                let complete = seen + framed.end;
                self.begun.extend_from_slice(&out[complete..]);
                self.begun_at += complete as u64;
                out.truncate(complete);
                return Ok(framed.records);
            }
        }
    }

    /// Passes over the next `records` records, or to the end where there are fewer.
    pub fn skip(&mut self, records: u64) -> Result<()> {
        let mut block = Vec::new();
        while self.records_read < records {
            let before = self.records_read;
            block.clear();
            if !self.read_records(&mut block)? {
                return Ok(());
            }
            if self.records_read > records {
                let mut framer = match before {
                    0 => Framer::at_file_start(self.settings.framing),
                    _ => Framer::at_record_start(self.settings.framing),
                };
                let passed = framer.scan(&block, records - before);
                self.ready = block.split_off(passed.end);
                self.ready_records = self.records_read - records;
                self.records_read = records;
            }
        }
        Ok(())
    }
}

/// The bytes of a file, decompressed where its name says so.
fn open_bytes(path: &Path) -> Result<Box<dyn io::Read + Send>> {
    const BUFFER_BYTES: usize = 128 << 10;
    let file = File::open(path).outage("open", path.display())?;
    let is = |ending: &str| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(ending));
    Ok(if is("gz") {
        Box::new(MultiGzDecoder::new(BufReader::with_capacity(BUFFER_BYTES, file)))
    } else if is("zst") {
        Box::new(zstd::Decoder::new(file).outage("open", path.display())?)
    } else {
        Box::new(file)
    })
}

/// A decoder says that bytes are wrong by the error's kind; everything else is the disk's.
fn reading_failed(path: &Path, error: io::Error) -> Error {
    use io::ErrorKind::{InvalidData, InvalidInput, Other, UnexpectedEof};
    let kind = match error.kind() {
        InvalidData | InvalidInput | UnexpectedEof => Kind::Corrupt,
        // That of zstd has no kind of its own.
        Other if error.raw_os_error().is_none() => Kind::Corrupt,
        _ => Kind::Outage,
    };
    Error::new(kind, "read", path.display()).because(error)
}
