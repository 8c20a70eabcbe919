//! One process at a time: a lock file that the system releases when the process ends, however it ends.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::Path;

use tamis_model::error::Context;
use tamis_model::{Error, Kind, Result};

/// Another process has the lock.
#[derive(Debug)]
struct Taken(String);

impl std::fmt::Display for Taken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Taken {}

/// An advisory lock on a file, which says the process that holds it. Held as long as this value lives.
#[derive(Debug)]
pub struct ProcessLock {
    _file: File,
}

impl ProcessLock {
    /// Takes the lock on `path`, which is created when missing.
    ///
    /// # Errors
    /// `Kind::Outage` when another process has it: with `taken`, which says what that means ("another run is at
    /// work"), and the process's id.
    pub fn acquire(path: &Path, taken: &str) -> Result<Self> {
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .outage("open lock", path.display())?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::Error(error)) => return Err(error).outage("lock", path.display()),
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // The holder may be between locking and writing its id; then the message names nobody.
                file.read_to_string(&mut holder).outage("read lock", path.display())?;
                let reason = format!("{taken} (process {})", holder.trim());
                return Err(Error::new(Kind::Outage, "lock", path.display()).because(Taken(reason)));
            }
        }
        write_id(&mut file).outage("write lock", path.display())?;
        Ok(Self { _file: file })
    }

    /// Whether an error says that another process has a lock, and nothing else.
    pub fn is_taken(error: &Error) -> bool {
        std::error::Error::source(error).is_some_and(|source| source.is::<Taken>())
    }
}

fn write_id(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_was_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nightly.lock");
        let acquire = || ProcessLock::acquire(&path, "another run is at work");
        let first = acquire().unwrap();
        let refused = acquire().unwrap_err();
        assert!(refused.can_retry() && ProcessLock::is_taken(&refused));
        let elsewhere = ProcessLock::acquire(&folder.path().join("none/nightly.lock"), "").unwrap_err();
        assert!(elsewhere.can_retry() && !ProcessLock::is_taken(&elsewhere));
        let expected = format!("nightly.lock: another run is at work (process {})", std::process::id());
        assert!(refused.chain().ends_with(&expected), "{}", refused.chain());
        drop(first);
        acquire().unwrap();
    }
}
