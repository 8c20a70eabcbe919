//! Finding a compiler for WebAssembly among what is installed. Nothing is ever downloaded here.

use std::env;
use std::path::{Path, PathBuf};

use crate::BuildError;
use crate::cargo::command;

/// What plugins are compiled for: no system interface at all.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// The Debian packages that hold a compiler and the source of its standard library.
pub const APT_PACKAGES: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];

/// The remedy when there is no toolchain.
pub const HOW_TO_INSTALL: &str = "run `rustup target add wasm32-unknown-unknown`, \
     or on Debian `apt-get install --no-install-recommends rustc-web cargo-web rust-web-src lld`";

/// Where Debian installs its compiler; a rustup in front of it on the PATH hides it.
const SYSTEM_RUSTC: &str = "/usr/bin/rustc";

/// A compiler that can make WebAssembly, and how to call it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toolchain {
    /// The `cargo` that belongs to it.
    pub(crate) cargo: PathBuf,
    /// Its `rustc`.
    pub(crate) rustc: PathBuf,
    /// Whether its standard library is compiled along, from source.
    pub(crate) std_from_source: bool,
    /// The linker, where its own is not installed with it.
    pub(crate) linker: Option<PathBuf>,
}

/// An installed compiler and what it has.
#[derive(Clone, Debug)]
struct Candidate {
    rustc: PathBuf,
    /// The compiled standard library for [`TARGET`] is there.
    std: bool,
    /// The source of the standard library is there.
    source: bool,
    /// `rust-lld`, if it came with the compiler.
    linker: Option<PathBuf>,
}

impl Toolchain {
    /// The first compiler that has a standard library for WebAssembly, else the first that has the
    /// source of one. `folder` is where it will be called: rustup chooses by folder.
    pub fn find(folder: &Path) -> Result<Self, BuildError> {
        let candidates: Vec<_> = [Path::new("rustc"), Path::new(SYSTEM_RUSTC)]
            .iter()
            .filter_map(|rustc| Candidate::ask(rustc, folder))
            .collect();
        let on_path = ["rust-lld", "wasm-ld"].iter().find_map(|name| find_on_path(name));
        choose(&candidates, on_path)
    }
}

fn choose(candidates: &[Candidate], linker_on_path: Option<PathBuf>) -> Result<Toolchain, BuildError> {
    let compiled = candidates.iter().find(|candidate| candidate.std);
    let chosen =
        compiled.or_else(|| candidates.iter().find(|candidate| candidate.source)).ok_or(BuildError::NoToolchain)?;
    let linker = match &chosen.linker {
        Some(_) => None,
        None => {
            let borrowed = candidates.iter().find_map(|candidate| candidate.linker.clone());
            Some(borrowed.or(linker_on_path).ok_or(BuildError::NoLinker)?)
        }
    };
    let rustc = chosen.rustc.clone();
    Ok(Toolchain { cargo: rustc.with_file_name("cargo"), rustc, std_from_source: compiled.is_none(), linker })
}

impl Candidate {
    fn ask(rustc: &Path, folder: &Path) -> Option<Self> {
        let sysroot = PathBuf::from(print(rustc, folder, &["sysroot"])?);
        let host = print(rustc, folder, &["host-tuple"])?;
        let libraries = PathBuf::from(print(rustc, folder, &["target-libdir", "--target", TARGET])?);
        let linker = sysroot.join("lib/rustlib").join(host).join("bin/rust-lld");
        Some(Self {
            rustc: rustc.to_owned(),
            std: holds_std(&libraries),
            source: sysroot.join("lib/rustlib/src/rust/library/std/Cargo.toml").exists(),
            linker: linker.exists().then_some(linker),
        })
    }
}

fn print(rustc: &Path, folder: &Path, what: &[&str]) -> Option<String> {
    let output = command(rustc).current_dir(folder).arg("--print").args(what).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

fn holds_std(libraries: &Path) -> bool {
    let Ok(entries) = libraries.read_dir() else { return false };
    entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("libstd-"))
}

fn find_on_path(program: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(program)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(rustc: &str, std: bool, source: bool, linker: Option<&str>) -> Candidate {
        Candidate { rustc: rustc.into(), std, source, linker: linker.map(Into::into) }
    }

    #[test]
    fn prefers_a_compiled_standard_library_and_borrows_a_linker() {
        let bare = candidate("rustc", false, false, Some("/r/rust-lld"));
        let ready = candidate("rustc", true, false, Some("/r/rust-lld"));
        let debian = candidate("/usr/bin/rustc", false, true, None);
        let wasm_ld = Some(PathBuf::from("/usr/bin/wasm-ld"));
        let check = |candidates: &[&Candidate], on_path: &Option<PathBuf>, expected: &str| {
            let candidates: Vec<_> = candidates.iter().copied().cloned().collect();
            let text = match choose(&candidates, on_path.clone()) {
                Ok(Toolchain { cargo, rustc, std_from_source, linker }) => {
                    format!("{} {} {std_from_source} {linker:?}", cargo.display(), rustc.display())
                }
                Err(error) => error.to_string(),
            };
            assert!(text.contains(expected), "{text}\ndoes not hold\n{expected}");
        };
        check(&[&ready, &debian], &None, "cargo rustc false None");
        check(&[&bare, &debian], &wasm_ld, r#"/usr/bin/cargo /usr/bin/rustc true Some("/r/rust-lld")"#);
        check(&[&debian], &wasm_ld, r#"/usr/bin/cargo /usr/bin/rustc true Some("/usr/bin/wasm-ld")"#);
        check(&[&debian], &None, "no WebAssembly linker: install `lld`");
        check(&[&bare], &wasm_ld, "rustup target add wasm32-unknown-unknown");
        check(&[], &wasm_ld, "apt-get install --no-install-recommends rustc-web cargo-web rust-web-src");
    }
}
