//! The components that the host, the tests and the benchmarks load.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use tamis_build::{Build, Built, Package};

use crate::setup;
use crate::step::{say, timed};

/// Where the built components are.
pub struct Components {
    /// The target folder of the workspace.
    pub target: PathBuf,
    /// The plugins of `plugins/`.
    pub plugins: PathBuf,
    /// These and the hostile ones of `tests/plugins/`; never what a host would load by itself.
    with_hostile: PathBuf,
}

impl Components {
    /// Builds `plugins/*/*`.
    pub fn build() -> Result<Self> {
        let crates = crates_in(Path::new("plugins"), 2)?;
        let first = crates.first().context("there are no plugins in plugins/")?;
        let target = Package::read(first)?.target_dir;
        let components = Self { plugins: target.join("plugins"), with_hostile: target.join("test-plugins"), target };
        setup::host_tools()?;
        setup::wasm_toolchain()?;
        components.compile("plugins", crates, &components.plugins)?;
        Ok(components)
    }

    /// Builds `plugins/*/*` and `tests/plugins/*`.
    pub fn build_with_hostile() -> Result<Self> {
        let components = Self::build()?;
        let mut crates = crates_in(Path::new("plugins"), 2)?;
        crates.extend(crates_in(Path::new("tests/plugins"), 1)?);
        components.compile("hostile plugins", crates, &components.with_hostile)?;
        Ok(components)
    }

    /// The `tamis` binary, once it is built.
    pub fn host_path(&self) -> PathBuf {
        self.target.join("release").join("tamis").with_extension(std::env::consts::EXE_EXTENSION)
    }

    /// Tells a command where the components are.
    pub fn known_to(&self, mut command: Command) -> Command {
        command.env("TAMIS_PLUGINS", &self.plugins).env("TAMIS_TEST_PLUGINS", &self.with_hostile);
        command
    }

    fn compile(&self, title: &str, crates: Vec<PathBuf>, out_dir: &Path) -> Result<()> {
        let request = Build {
            crates,
            target_dir: self.target.join("guests"),
            out_dir: out_dir.to_owned(),
            offline: false,
            locked: true,
        };
        let built = timed(title, || Ok(tamis_build::build(&request)?))?;
        for component in &built {
            say(format_args!("   {:>9} bytes  {}", component.size_bytes, component.wasm_path.display()));
        }
        remove_others(out_dir, &built)
    }
}

/// Removes the components of crates that are no more: nothing may run or pass on account of them.
fn remove_others(out_dir: &Path, built: &[Built]) -> Result<()> {
    for entry in out_dir.read_dir().with_context(|| format!("cannot list {}", out_dir.display()))? {
        let path = entry?.path();
        if !built.iter().any(|component| component.wasm_path == path) {
            std::fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}

/// The crates `depth` folders below `folder`, by path.
fn crates_in(folder: &Path, depth: usize) -> Result<Vec<PathBuf>> {
    if depth == 0 {
        return Ok(if folder.join("Cargo.toml").exists() { vec![folder.to_owned()] } else { Vec::new() });
    }
    let entries = folder.read_dir().with_context(|| format!("cannot list {}", folder.display()))?;
    let mut folders = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            folders.push(entry.path());
        }
    }
    folders.sort();
    let nested: Result<Vec<_>> = folders.iter().map(|folder| crates_in(folder, depth - 1)).collect();
    Ok(nested?.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_crates_at_their_depth_only() {
        let folder = tempfile::tempdir().unwrap();
        for path in ["rules/b", "rules/a", "rules/a/nested", "notes"] {
            std::fs::create_dir_all(folder.path().join(path)).unwrap();
        }
        for path in ["rules/b", "rules/a", "rules/a/nested"] {
            std::fs::write(folder.path().join(path).join("Cargo.toml"), "").unwrap();
        }
        let found = crates_in(folder.path(), 2).unwrap();
        assert_eq!(found, [folder.path().join("rules/a"), folder.path().join("rules/b")]);
    }
}
