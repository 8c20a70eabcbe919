//! The components that `cargo xtask test` builds before the tests.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// The folder of the plugins in `plugins/`, built.
pub fn folder() -> PathBuf {
    let folder = env::var_os("TAMIS_PLUGINS");
    folder.expect("TAMIS_PLUGINS names the folder of the built plugins: run the tests by `cargo xtask test`").into()
}

/// The root of the checkout.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the checkout").to_owned()
}

/// The folders of the crates in `plugins/`, by path.
pub fn plugin_crates() -> Vec<PathBuf> {
    let mut crates = Vec::new();
    for family in folders(&root().join("plugins")) {
        crates.extend(folders(&family).into_iter().filter(|folder| folder.join("Cargo.toml").exists()));
    }
    assert!(crates.len() >= 8, "only {} plugins found", crates.len());
    crates
}

fn folders(parent: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent).unwrap().map(|entry| entry.unwrap().path());
    let mut folders: Vec<_> = entries.filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}
