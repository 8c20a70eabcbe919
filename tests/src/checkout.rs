//! The source tree that the tests were built from.

use std::fs;
use std::path::{Path, PathBuf};

/// The root of the checkout.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the checkout").to_owned()
}

/// The folders of the crates in `plugins/`, by path.
///
/// # Panics
/// When there are fewer than there once were: a test of every plugin must not pass because it found none.
pub fn plugin_crates() -> Vec<PathBuf> {
    let mut crates = Vec::new();
    for family in folders(&root().join("plugins")) {
        crates.extend(folders(&family).into_iter().filter(|folder| folder.join("Cargo.toml").exists()));
    }
    assert!(crates.len() >= 26, "only {} plugins found", crates.len());
    crates
}

fn folders(parent: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent).unwrap_or_else(|error| panic!("{}: {error}", parent.display()));
    let paths = entries.map(|entry| entry.expect("the entry of a folder can be read").path());
    let mut folders: Vec<_> = paths.filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}
