//! What Cargo says of a plugin crate.

use std::env;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::BuildError;
use crate::cargo::command;

/// The user's choice of a target folder, which holds for guests too.
const TARGET_DIR: &str = "CARGO_TARGET_DIR";

/// A plugin crate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Its name, which is the plugin's.
    pub name: String,
    /// Its `Cargo.toml`.
    pub manifest_path: PathBuf,
    /// The root of the workspace that it belongs to, itself if none.
    pub workspace_root: PathBuf,
    /// Where Cargo would put what it builds there.
    pub target_dir: PathBuf,
}

impl Package {
    /// Asks Cargo about the crate in `folder`; downloads nothing.
    pub fn read(folder: &Path) -> Result<Self, BuildError> {
        let not_a_crate =
            |message: &str| BuildError::NotACrate { folder: folder.to_owned(), message: message.to_owned() };
        let manifest_path =
            folder.join("Cargo.toml").canonicalize().map_err(|_| not_a_crate("it has no Cargo.toml"))?;
        let mut cargo = command("cargo");
        cargo.envs(env::var_os(TARGET_DIR).map(|folder| (TARGET_DIR, folder)));
        let output = cargo
            .args(["metadata", "--no-deps", "--format-version=1", "--manifest-path"])
            .arg(&manifest_path)
            .output()
            .map_err(|source| BuildError::Run { program: "cargo".to_owned(), source })?;
        if !output.status.success() {
            return Err(not_a_crate(String::from_utf8_lossy(&output.stderr).trim()));
        }
        let metadata: Value = serde_json::from_slice(&output.stdout).map_err(|e| not_a_crate(&e.to_string()))?;
        let package = metadata["packages"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|package| package["manifest_path"].as_str().map(Path::new) == Some(&manifest_path))
            .ok_or_else(|| not_a_crate("its Cargo.toml names no package"))?;
        let path = |value: &Value| value.as_str().map(PathBuf::from);
        let (Some(name), Some(workspace_root), Some(target_dir)) =
            (package["name"].as_str(), path(&metadata["workspace_root"]), path(&metadata["target_directory"]))
        else {
            return Err(not_a_crate("`cargo metadata` does not name it"));
        };
        if !makes_a_module(package) {
            return Err(BuildError::NotAPlugin(name.to_owned()));
        }
        Ok(Self { name: name.to_owned(), manifest_path, workspace_root, target_dir })
    }
}

fn makes_a_module(package: &Value) -> bool {
    let targets = package["targets"].as_array().into_iter().flatten();
    let mut crate_types = targets.flat_map(|target| target["crate_types"].as_array().into_iter().flatten());
    crate_types.any(|crate_type| crate_type == "cdylib")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_why_a_folder_is_no_plugin() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let check = |folder: &Path, expected: &str| {
            let message = Package::read(folder).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        };
        check(&here.join("src"), "has no Cargo.toml");
        check(&here.join("../.."), "names no package");
        check(here, "crate tamis-build is not a plugin");
    }
}
