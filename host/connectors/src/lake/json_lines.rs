//! Files of JSON lines that appear whole or not at all.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use tamis_model::Result;
use tamis_model::error::Context;

use crate::durable;

/// Bytes of plain lines that are collected before they go to the operating system.
pub(super) const BUFFER_BYTES: usize = 64 << 10;

/// How lines lie on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// As they are.
    Plain,
    /// Compressed.
    Zstd,
}

impl Form {
    /// The ending of the files' names.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Plain => ".jsonl",
            Self::Zstd => ".jsonl.zst",
        }
    }
}

/// A file being written where nobody looks.
pub(super) struct JsonLines {
    path: PathBuf,
    output: Output,
}

enum Output {
    Plain(BufWriter<File>),
    Zstd(zstd::Encoder<'static, File>),
}

impl JsonLines {
    /// Begins the file, replacing a leftover of the same name.
    pub fn create(path: PathBuf, form: Form) -> Result<Self> {
        let file = File::create(&path).outage("create", path.display())?;
        let output = match form {
            Form::Plain => Output::Plain(BufWriter::with_capacity(BUFFER_BYTES, file)),
            Form::Zstd => {
                let encoder = zstd::Encoder::new(file, zstd::DEFAULT_COMPRESSION_LEVEL).and_then(|mut encoder| {
                    encoder.include_checksum(true)?;
                    Ok(encoder)
                });
                Output::Zstd(encoder.outage("create", path.display())?)
            }
        };
        Ok(Self { path, output })
    }

    /// Appends a value as one line.
    pub fn append(&mut self, value: &impl Serialize) -> Result<()> {
        let json = serde_json::to_string(value).invalid("encode a line of", self.path.display())?;
        self.append_text(&json)
    }

    /// Appends a line that is JSON already; it has no line break.
    pub fn append_text(&mut self, json: &str) -> Result<()> {
        self.append_line(json.as_bytes())
    }

    /// Appends a line as it is; it has no line break.
    pub fn append_line(&mut self, line: &[u8]) -> Result<()> {
        debug_assert!(!line.contains(&b'\n'));
        let output: &mut dyn Write = match &mut self.output {
            Output::Plain(file) => file,
            Output::Zstd(encoder) => encoder,
        };
        let written = output.write_all(line).and_then(|()| output.write_all(b"\n"));
        written.outage("append to", self.path.display())
    }

    /// Ends the file and makes its content durable.
    pub fn finish(self) -> Result<()> {
        let file = match self.output {
            Output::Plain(file) => file.into_inner().map_err(io::IntoInnerError::into_error),
            Output::Zstd(encoder) => encoder.finish(),
        };
        let file = file.outage("finish", self.path.display())?;
        file.sync_all().outage("sync", self.path.display())
    }
}

/// Moves a finished file to `path`. Done twice it moves nothing: then `staged` is gone and `path` is there.
pub(super) fn publish(staged: &Path, path: &Path) -> Result<()> {
    if let Some(folder) = path.parent() {
        durable::create_folder(folder).outage("create", folder.display())?;
    }
    match fs::rename(staged, path) {
        // Whoever moved it may have died before the folder was synced: that is done again.
        Err(error) if error.kind() == io::ErrorKind::NotFound && path.exists() => {}
        renamed => renamed.outage("make visible", path.display())?,
    }
    match path.parent() {
        Some(folder) => durable::sync_folder(folder).outage("sync", folder.display()),
        None => Ok(()),
    }
}
