//! One run at a time: a lock file that the system releases when the process ends, however it ends.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use tamis_model::error::Context;
use tamis_model::{Error, Kind, Result};

/// Held as long as this value lives.
#[derive(Debug)]
pub struct RunLock {
    _file: File,
}

impl RunLock {
    /// Takes the lock, or says which process has it.
    pub fn acquire(path: &Path) -> Result<Self> {
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
                let mut owner = String::new();
                // The owner may be about to write its number; the message is as good without it.
                let _ = file.read_to_string(&mut owner);
                let why = format!("another run is at work (process {})", owner.trim());
                return Err(Error::new(Kind::Outage, "lock", path.display()).because(why));
            }
        }
        file.set_len(0).and_then(|()| file.rewind()).outage("write lock", path.display())?;
        writeln!(file, "{}", std::process::id()).outage("write lock", path.display())?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_was_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nightly.lock");
        let first = RunLock::acquire(&path).unwrap();
        let refused = RunLock::acquire(&path).unwrap_err();
        assert!(refused.can_retry());
        assert!(refused.chain().ends_with(&format!("(process {})", std::process::id())), "{}", refused.chain());
        drop(first);
        RunLock::acquire(&path).unwrap();
    }
}
