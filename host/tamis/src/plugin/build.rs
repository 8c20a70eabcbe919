//! `tamis plugin build`: from a crate to a component that a host would take.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use serde_json::json;
use tamis_build::Package;
use tamis_model::error::Context;
use tamis_model::{Error, Result};
use tamis_plugin::Plugin;

use super::{inspect, load, print};

/// Compile a plugin crate to a component.
#[derive(Args, Debug)]
pub struct Build {
    /// The folder of the crate.
    #[arg(default_value = ".")]
    pub dir: PathBuf,
    /// Where the component goes [default: NAME.wasm in the target folder of the crate].
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Use only what Cargo has already downloaded.
    #[arg(long)]
    pub offline: bool,
}

pub(super) fn run(build: &Build, json: bool, out: &mut dyn Write) -> Result<ExitCode> {
    let (wasm_path, plugin) = component(&build.dir, build.offline)?;
    let wasm_path = match &build.out {
        Some(file) => move_to(&wasm_path, file)?,
        None => wasm_path,
    };
    if json {
        print(out, json!({"component": wasm_path, "sha256": plugin.sha256(), "size_bytes": plugin.size_bytes()}))?;
    } else {
        inspect::show(&plugin, false, out)?;
        print(out, format_args!("  {:<12} {}", "component", wasm_path.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Builds the crate in `dir`; the component is checked as an upload would be.
pub(super) fn component(dir: &Path, offline: bool) -> Result<(PathBuf, Arc<Plugin>)> {
    let target = Package::read(dir).invalid("build plugin", dir.display())?.target_dir;
    let request = tamis_build::Build {
        crates: vec![dir.to_owned()],
        target_dir: target.join("guests"),
        out_dir: target,
        offline,
        locked: false,
    };
    let built = tamis_build::build(&request).invalid("build plugin", dir.display())?;
    let built = built.into_iter().next().expect("one crate was asked for, so one was built");
    let plugin = load(&built.wasm_path)?;
    Ok((built.wasm_path, plugin))
}

/// Puts the component where the author wants it, whole or not at all.
fn move_to(wasm_path: &Path, file: &Path) -> Result<PathBuf> {
    let named = |operation, error: std::io::Error| Error::invalid(operation, file.display(), error.to_string());
    let draft = file.with_extension("wasm.draft");
    std::fs::copy(wasm_path, &draft).map_err(|error| named("write component", error))?;
    std::fs::rename(&draft, file).map_err(|error| named("write component", error))?;
    Ok(file.to_owned())
}
