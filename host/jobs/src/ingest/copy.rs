//! Copying a file into Bronze: to a hidden folder first, then by rename.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tamis_model::Result;
use tamis_model::error::Context;

use super::LeftReason;
use super::scan::{Found, Stamp};

const BUFFER_BYTES: usize = 1 << 20;

/// The place of the one copy in the making. Readers of Bronze pass over hidden folders.
#[derive(Clone, Debug)]
pub(super) struct Incoming {
    bronze: PathBuf,
    file: PathBuf,
}

/// What became of a copy.
pub(super) enum Copied {
    /// It holds the bytes that the file had all the while.
    Whole { sha256: String },
    /// The file must wait for the next pass.
    Left(LeftReason),
}

impl Incoming {
    /// One pass at a time has it: the caller holds the lock of the job. An unfinished copy is overwritten.
    pub fn open(bronze: &Path) -> Result<Self> {
        let folder = bronze.join(".incoming");
        fs::create_dir_all(&folder).outage("create folder", folder.display())?;
        Ok(Self { bronze: bronze.to_owned(), file: folder.join("copy") })
    }

    /// Copies and hashes a file. Only trouble on this side is an error.
    pub fn copy(&self, found: &Found) -> Result<Copied> {
        let unreadable = |error: io::Error| Ok(Copied::Left(LeftReason::Unreadable(error.to_string())));
        let mut from = match File::open(&found.path) {
            Ok(file) => file,
            Err(error) => return unreadable(error),
        };
        // What opened is what was found, and no link to somewhere else that took its place.
        match from.metadata().and_then(|metadata| Stamp::of(&metadata)) {
            Ok(stamp) if stamp == found.stamp => {}
            Ok(_) => return Ok(Copied::Left(LeftReason::Growing)),
            Err(error) => return unreadable(error),
        }
        let mut to = File::create(&self.file).outage("create", self.file.display())?;
        let mut hash = Sha256::new();
        let mut buffer = vec![0; BUFFER_BYTES];
        let mut copied_bytes = 0_u64;
        loop {
            let length = match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return unreadable(error),
            };
            hash.update(&buffer[..length]);
            to.write_all(&buffer[..length]).outage("write", self.file.display())?;
            copied_bytes += length as u64;
            if copied_bytes > found.stamp.size_bytes.cast_unsigned() {
                return Ok(Copied::Left(LeftReason::Growing));
            }
        }
        to.sync_all().outage("write", self.file.display())?;
        if copied_bytes != found.stamp.size_bytes.cast_unsigned() {
            return Ok(Copied::Left(LeftReason::Growing));
        }
        if let Some(reason) = found.reason_to_wait() {
            return Ok(Copied::Left(reason));
        }
        Ok(Copied::Whole { sha256: hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect() })
    }

    /// Moves the copy to its place, durably.
    pub fn put(&self, place: &Path) -> Result<()> {
        let folder = place.parent().unwrap_or(&self.bronze);
        fs::create_dir_all(folder).outage("create folder", folder.display())?;
        fs::rename(&self.file, place).outage("move a copy to", place.display())?;
        for level in folder.ancestors().take_while(|level| level.starts_with(&self.bronze)) {
            File::open(level).and_then(|folder| folder.sync_all()).outage("make durable", level.display())?;
        }
        Ok(())
    }
}
