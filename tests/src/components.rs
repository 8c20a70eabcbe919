//! The plugins of `plugins/` as built components, in the real sandbox.

use std::path::PathBuf;
use std::sync::Arc;

use tamis_model::pseudonym::Pepper;
use tamis_plugin::{Plugin, Sandbox, SandboxSettings};

/// Names the folder of the components.
const FOLDER_VARIABLE: &str = "TAMIS_PLUGINS";

/// The folder of the components that `cargo xtask` builds before it runs tests and benchmarks.
///
/// # Panics
/// When nobody said where it is: tests that need components fail rather than pass without them.
pub fn folder() -> PathBuf {
    let folder = std::env::var_os(FOLDER_VARIABLE);
    folder
        .map(PathBuf::from)
        .unwrap_or_else(|| panic!("{FOLDER_VARIABLE} is not set: run `cargo xtask test` or `cargo xtask bench`"))
}

/// A sandbox without a cache on disk.
pub fn sandbox() -> Arc<Sandbox> {
    Sandbox::new(SandboxSettings::new(Pepper::new(b"pepper"))).expect("this machine can run a sandbox")
}

/// The plugin whose component is `<name>.wasm`.
pub fn load(sandbox: &Arc<Sandbox>, name: &str) -> Arc<Plugin> {
    let path = folder().join(name).with_extension("wasm");
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    sandbox.load(&bytes).unwrap_or_else(|error| panic!("{}: {}", path.display(), error.chain()))
}
