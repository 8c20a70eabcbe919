//! Installs something into a folder once, whoever asks and how many ask at a time.

use std::fmt::Write;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// The list of what was installed, written last: size and path of each file.
const INVENTORY: &str = "installed";

/// How long an installation by another process is waited for.
const WAIT: Duration = Duration::from_secs(900);

/// The folder of an installation, by a path that holds from everywhere.
pub fn folder(name: &str) -> Result<PathBuf> {
    let services = crate::folder();
    fs::create_dir_all(&services).with_context(|| format!("cannot make folder {}", services.display()))?;
    let services = services.canonicalize().with_context(|| format!("cannot resolve {}", services.display()))?;
    Ok(services.join(name))
}

/// Calls `fill` with the empty folder, unless everything that an earlier call put there is still there. `recipe` is what it is
/// made from, kept beside it as the file `recipe.0`: another one is another installation. Who asks meanwhile waits.
pub fn once(folder: &Path, recipe: (&str, &str), fill: impl FnOnce() -> Result<()>) -> Result<()> {
    if is_whole(folder, recipe) {
        return Ok(());
    }
    let _lock = lock(&folder.with_added_extension("lock"))?;
    if is_whole(folder, recipe) {
        return Ok(());
    }
    let installing = || format!("cannot install into {}", folder.display());
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error).with_context(installing),
        _ => {}
    }
    fs::create_dir_all(folder).with_context(installing)?;
    fs::write(folder.join(recipe.0), recipe.1).with_context(installing)?;
    fill().with_context(installing)?;
    let mut inventory = String::new();
    for path in files(folder).with_context(installing)? {
        let path = path.strip_prefix(folder).context("a file of a folder lies in it")?;
        writeln!(inventory, "{} {}", folder.join(path).metadata()?.len(), path.display())?;
    }
    fs::write(folder.join(INVENTORY), inventory).with_context(installing)
}

/// The lock on a file, which the system takes back from a process that ends.
fn lock(path: &Path) -> Result<File> {
    let locking = || format!("cannot lock {}", path.display());
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(locking)?;
    }
    let file = File::create(path).with_context(locking)?;
    let deadline = Instant::now() + WAIT;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => sleep(Duration::from_millis(100)),
            Err(TryLockError::WouldBlock) => bail!("{} is held by another process for too long", path.display()),
            Err(TryLockError::Error(error)) => return Err(error).with_context(locking),
        }
    }
}

fn is_whole(folder: &Path, recipe: (&str, &str)) -> bool {
    let Ok(inventory) = fs::read_to_string(folder.join(INVENTORY)) else { return false };
    let has_size = |line: &str| {
        let Some((size, path)) = line.split_once(' ') else { return false };
        folder.join(path).metadata().is_ok_and(|found| found.len().to_string() == size)
    };
    fs::read_to_string(folder.join(recipe.0)).is_ok_and(|found| found == recipe.1) && inventory.lines().all(has_size)
}

/// All files below a folder.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in folder.read_dir()? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            files.extend(self::files(&entry.path())?);
        } else {
            files.push(entry.path());
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    const RECIPE: (&str, &str) = ("recipe", "one");

    #[test]
    fn is_done_anew_when_something_of_it_is_gone_or_other() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path().join("thing-1.0");
        let check = |recipe, expected: bool, what: &str| {
            let mut done = false;
            let fill = || {
                done = true;
                fs::create_dir(folder.join("in"))?;
                Ok(fs::write(folder.join("in/a"), "abc")?)
            };
            once(&folder, recipe, fill).unwrap();
            assert_eq!(done, expected, "{what}");
            assert_eq!(fs::read(folder.join("in/a")).unwrap(), b"abc", "{what}");
        };
        check(RECIPE, true, "nothing is there");
        check(RECIPE, false, "it is there");
        fs::write(folder.join("in/a"), "ab").unwrap();
        check(RECIPE, true, "a file is cut short");
        fs::remove_dir_all(folder.join("in")).unwrap();
        check(RECIPE, true, "a file is gone");
        fs::remove_file(folder.join(INVENTORY)).unwrap();
        check(RECIPE, true, "it was left halfway");
        check(("recipe", "two"), true, "it is made from something else");
        check(("recipe", "two"), false, "it is there");
    }

    #[test]
    fn a_failure_leaves_nothing_that_counts() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path().join("thing");
        let error = once(&folder, RECIPE, || bail!("no network")).unwrap_err();
        assert_eq!(format!("{error:#}"), format!("cannot install into {}: no network", folder.display()));
        assert!(!is_whole(&folder, RECIPE));
    }

    #[test]
    fn who_asks_at_the_same_time_waits() {
        let temporary = tempfile::tempdir().unwrap();
        let (folder, fills) = (temporary.path().join("thing"), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let fill = || {
                        fills.fetch_add(1, Ordering::Relaxed);
                        sleep(Duration::from_millis(20));
                        Ok(fs::write(folder.join("a"), "abc")?)
                    };
                    once(&folder, RECIPE, fill).unwrap();
                    assert!(folder.join("a").exists());
                });
            }
        });
        assert_eq!(fills.into_inner(), 1);
    }
}
