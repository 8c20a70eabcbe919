//! Files of JSON lines, zstd, that appear whole or not at all.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use tamis_model::error::Context;
use tamis_model::{Error, Result};

use crate::durable;

/// The ending of the files' names.
pub(super) const EXTENSION: &str = ".jsonl.zst";

/// A file being written where nobody looks.
pub(super) struct JsonLines {
    path: PathBuf,
    encoder: zstd::Encoder<'static, File>,
}

impl JsonLines {
    /// Begins the file, replacing a leftover of the same name.
    pub fn create(path: PathBuf) -> Result<Self> {
        let file = File::create(&path).outage("create", path.display())?;
        let encoder = zstd::Encoder::new(file, zstd::DEFAULT_COMPRESSION_LEVEL).outage("create", path.display())?;
        Ok(Self { path, encoder })
    }

    /// Appends one line.
    pub fn append(&mut self, value: &impl Serialize) -> Result<()> {
        let mut line = serde_json::to_vec(value).outage("encode a line of", self.path.display())?;
        line.push(b'\n');
        io::Write::write_all(&mut self.encoder, &line).outage("append to", self.path.display())
    }

    /// Ends the file and makes its content durable.
    pub fn finish(self) -> Result<()> {
        let file = self.encoder.finish().outage("finish", self.path.display())?;
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

/// Removes the files of a folder whose names are `unwanted`; a folder that does not exist has none.
pub(super) fn remove_files(folder: &Path, unwanted: impl Fn(&str) -> bool) -> Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.outage("list", folder.display())?,
    };
    for entry in entries {
        let entry = entry.outage("list", folder.display())?;
        if entry.file_name().to_str().is_some_and(&unwanted) {
            fs::remove_file(entry.path()).outage("remove", entry.path().display())?;
        }
    }
    Ok(())
}

/// Refuses a name that is not one plain folder or file.
pub(super) fn check_name(name: &str) -> Result<()> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if name.is_empty() || name.starts_with('.') || !name.bytes().all(legal) {
        let reason = "a name has letters, digits, dots, dashes and underscores and does not begin with a dot";
        return Err(Error::invalid("use as a file name", format!("{name:?}"), reason));
    }
    Ok(())
}
