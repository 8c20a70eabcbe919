//! Finding the files of the drop folder.

use std::collections::BTreeMap;
use std::fs::{self, DirEntry, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use tamis_catalog::bronze::BronzeFile;

use super::{LeftFile, LeftReason, VERSION_BYTES};

/// The longest name that a file can have.
const NAME_BYTES_MAX: usize = 255;

/// What lies in the drop.
#[derive(Debug, Default)]
pub(super) struct Scanned {
    /// The files of each source, in order of path.
    pub sources: BTreeMap<String, Vec<Found>>,
    /// Hidden and temporary entries.
    pub skipped: u64,
    /// What cannot be looked at.
    pub left: Vec<LeftFile>,
}

/// A file of the drop.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub source: String,
    pub original_path: String,
    pub path: PathBuf,
    pub stamp: Stamp,
}

/// What tells that a file has changed, without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub size_bytes: i64,
    pub modified_ns: i64,
    /// Device and inode: another file, or a link, put in the place of this one is not this one, whatever its length.
    pub identity: (u64, u64),
}

impl Stamp {
    pub fn of(metadata: &Metadata) -> io::Result<Self> {
        let modified = metadata.modified()?;
        let modified_ns = match modified.duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |ns| -ns),
        };
        let size_bytes = i64::try_from(metadata.len()).unwrap_or(i64::MAX);
        Ok(Self { size_bytes, modified_ns, identity: (metadata.dev(), metadata.ino()) })
    }

    /// Whether the catalogue knows the file as it is.
    pub fn is_of(self, file: &BronzeFile) -> bool {
        (self.size_bytes, self.modified_ns) == (file.size_bytes, file.source_modified_ns)
    }
}

impl Found {
    /// Why the file must wait, if it is no longer as it was found.
    pub fn reason_to_wait(&self) -> Option<LeftReason> {
        match fs::symlink_metadata(&self.path).and_then(|metadata| Stamp::of(&metadata)) {
            Ok(stamp) if stamp == self.stamp => None,
            Ok(_) => Some(LeftReason::Growing),
            Err(error) => Some(LeftReason::Unreadable(error.to_string())),
        }
    }

    /// The report's line about leaving it.
    pub fn left(&self, reason: LeftReason) -> LeftFile {
        LeftFile { path: format!("{}/{}", self.source, self.original_path), reason }
    }
}

/// Looks through the drop folder; one that is not there is empty.
pub(super) fn scan(drop: &Path) -> Scanned {
    let mut scanned = Scanned::default();
    // Folders still to look into, with their path below the drop.
    let mut folders = vec![(drop.to_owned(), String::new())];
    while let Some((folder, below)) = folders.pop() {
        let entries = match fs::read_dir(&folder).and_then(|entries| entries.collect::<io::Result<Vec<_>>>()) {
            Ok(entries) => entries,
            Err(error) if below.is_empty() && error.kind() == io::ErrorKind::NotFound => break,
            Err(error) => {
                scanned.leave(below, error.to_string());
                continue;
            }
        };
        for entry in entries {
            if let Some(folder) = scanned.entry(&entry, &below) {
                folders.push(folder);
            }
        }
    }
    for files in scanned.sources.values_mut() {
        files.sort_by(|a, b| a.original_path.cmp(&b.original_path));
    }
    scanned.left.sort_by(|a, b| a.path.cmp(&b.path));
    scanned
}

impl Scanned {
    /// Notes a file; a folder comes back to be looked into.
    fn entry(&mut self, entry: &DirEntry, below: &str) -> Option<(PathBuf, String)> {
        let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
            self.leave(join(below, &entry.file_name().to_string_lossy()), "its name is not UTF-8".to_owned());
            return None;
        };
        if name.starts_with('.') || name.ends_with(".tmp") {
            self.skipped += 1;
            return None;
        }
        let below = join(below, &name);
        // Links are not followed: who may write here could have any file of this machine copied into Bronze.
        let looked_at = fs::symlink_metadata(entry.path()).and_then(|metadata| Ok((Stamp::of(&metadata)?, metadata)));
        match (looked_at, below.split_once('/')) {
            (Err(error), _) => self.leave(below, error.to_string()),
            (Ok((_, metadata)), _) if metadata.is_dir() => return Some((entry.path(), below)),
            (Ok((_, metadata)), _) if metadata.is_symlink() => {
                self.leave(below, "a symbolic link, which is not followed".to_owned());
            }
            (Ok((_, metadata)), _) if !metadata.is_file() => self.leave(below, "not a regular file".to_owned()),
            (Ok(_), None) => self.leave(below, "not in the folder of a source".to_owned()),
            (Ok(_), Some(_)) if name.len() + VERSION_BYTES > NAME_BYTES_MAX => {
                let why = format!("its name has more than {} bytes", NAME_BYTES_MAX - VERSION_BYTES);
                self.leave(below, why);
            }
            (Ok((stamp, _)), Some((source, original_path))) => {
                let found = Found {
                    source: source.to_owned(),
                    original_path: original_path.to_owned(),
                    path: entry.path(),
                    stamp,
                };
                self.sources.entry(source.to_owned()).or_default().push(found);
            }
        }
        None
    }

    fn leave(&mut self, path: String, words: String) {
        self.left.push(LeftFile { path, reason: LeftReason::Unreadable(words) });
    }
}

fn join(below: &str, name: &str) -> String {
    if below.is_empty() { name.to_owned() } else { format!("{below}/{name}") }
}
