//! What can go wrong between a plugin crate and its component, in words that say what to do.

use std::path::PathBuf;

use crate::toolchain::HOW_TO_INSTALL;

/// Why there is no component.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// No compiler here can make WebAssembly.
    #[error("no Rust compiler here can build for {target}: {HOW_TO_INSTALL}", target = crate::toolchain::TARGET)]
    NoToolchain,
    /// There is a compiler and the standard library's source, but nothing that links.
    #[error("no WebAssembly linker: install `lld` (it brings `wasm-ld`), or {HOW_TO_INSTALL}")]
    NoLinker,
    /// Cargo does not understand the folder.
    #[error("{} is not a crate: {message}", .folder.display())]
    NotACrate {
        /// The folder.
        folder: PathBuf,
        /// What Cargo says.
        message: String,
    },
    /// The crate is no plugin.
    #[error("crate {0} is not a plugin: its Cargo.toml needs `[lib]` with `crate-type = [\"cdylib\", \"rlib\"]`")]
    NotAPlugin(String),
    /// Cargo could not be started.
    #[error("cannot run {program}")]
    Run {
        /// The program.
        program: String,
        /// Why.
        source: std::io::Error,
    },
    /// The crates do not compile; the compiler said why on standard error.
    #[error("{crates} did not compile (see the compiler's messages above)")]
    Compile {
        /// Their names.
        crates: String,
    },
    /// Cargo said that it built the crate but not where to.
    #[error("Cargo built no module for crate {0}")]
    NoModule(String),
    /// The module is no component.
    #[error("cannot make a component of {name}: {message}")]
    Component {
        /// The name of its crate.
        name: String,
        /// What is wrong with it, with causes.
        message: String,
    },
    /// A file could not be read or written.
    #[error("cannot {operation} {}", .path.display())]
    File {
        /// `read`, `write`, …
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}
