//! Compiles plugin crates to WebAssembly components: what `tamis plugin build`, `cargo xtask` and the tests call.
//!
//! Cargo compiles the crates of one workspace together to core modules, `wit-component` makes each
//! module a component (the WIT world travels inside it, written there by the SDK), and the component
//! replaces the older one by rename. The author's `Cargo.toml` needs nothing but `crate-type = ["cdylib"]`.

mod cargo;
mod component;
mod error;
mod package;
mod toolchain;

use std::collections::BTreeMap;
use std::path::PathBuf;

pub use error::BuildError;
pub use package::Package;
pub use toolchain::{APT_PACKAGES, HOW_TO_INSTALL, Toolchain};

/// What to build, and where to.
#[derive(Clone, Debug)]
pub struct Build {
    /// The folders of the plugin crates.
    pub crates: Vec<PathBuf>,
    /// Where Cargo may keep what it needs; must not be the target folder of a Cargo that is running.
    pub target_dir: PathBuf,
    /// Where `<crate name>.wasm` goes.
    pub out_dir: PathBuf,
    /// Use only what is already downloaded.
    pub offline: bool,
    /// Refuse to change a `Cargo.lock`.
    pub locked: bool,
}

/// A component that was built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    /// The name of its crate.
    pub name: String,
    /// The component.
    pub wasm_path: PathBuf,
    /// Its size.
    pub size_bytes: u64,
}

/// Builds the crates in release mode, in the order asked for. Compiler messages go to standard error.
pub fn build(request: &Build) -> Result<Vec<Built>, BuildError> {
    let mut packages = Vec::new();
    for folder in &request.crates {
        packages.push(Package::read(folder)?);
    }
    // Cargo compiles what the crates of a workspace share once, when it is asked for all of them at once.
    let mut workspaces = BTreeMap::<PathBuf, Vec<&Package>>::new();
    for package in &packages {
        workspaces.entry(package.workspace_root.clone()).or_default().push(package);
    }
    let mut modules = BTreeMap::new();
    for (root, members) in &workspaces {
        let toolchain = Toolchain::find(root)?;
        modules.extend(cargo::compile(&toolchain, root, members, request)?);
    }
    packages
        .iter()
        .map(|package| {
            let module =
                modules.get(&package.manifest_path).ok_or_else(|| BuildError::NoModule(package.name.clone()))?;
            component::write(package, module, &request.out_dir)
        })
        .collect()
}
