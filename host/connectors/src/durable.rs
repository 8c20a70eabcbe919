//! Files that survive a crash: what is renamed into place was whole before, and the folder knows about it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use tamis_model::error::Context;
use tamis_model::{Error, Kind, Result};

/// The ending of files that are not finished; whoever opens a folder may delete them.
pub(crate) const UNFINISHED: &str = "tmp";

/// Replaces `path` by `parts`, one behind the other: a reader sees the old file or the new one, whatever crashes.
pub(crate) fn replace_file(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    let temporary = path.with_added_extension(UNFINISHED);
    let mut file = File::create(&temporary)?;
    for part in parts {
        file.write_all(part)?;
    }
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    match path.parent() {
        Some(folder) => sync_folder(folder),
        None => Ok(()),
    }
}

/// Makes a file end where it was staged; what stands behind was never committed.
pub(crate) fn cut(file: &File, bytes: u64, path: &Path) -> Result<()> {
    let length = file.metadata().outage("inspect", path.display())?.len();
    if length < bytes {
        let reason = format!("it has {length} bytes where {bytes} were staged");
        return Err(Error::new(Kind::Corrupt, "commit", path.display()).because(reason));
    }
    if length > bytes {
        file.set_len(bytes).outage("cut back", path.display())?;
    }
    Ok(())
}

/// Makes the names in a folder durable: an fsync of a file alone does not.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Creates a folder and whatever is missing above it, and makes every new level durable.
pub(crate) fn create_folder(folder: &Path) -> io::Result<()> {
    let existing = folder.ancestors().find(|level| level.is_dir());
    if existing == Some(folder) {
        return Ok(());
    }
    fs::create_dir_all(folder)?;
    for level in folder.ancestors().skip(1) {
        // The parent of a relative path's first part is the working directory.
        sync_folder(if level.as_os_str().is_empty() { Path::new(".") } else { level })?;
        if Some(level) == existing {
            break;
        }
    }
    Ok(())
}
