//! Calling Cargo for guests, also from within a Cargo that is running.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::toolchain::TARGET;
use crate::{Build, BuildError, Package, Toolchain};

/// How guests are compiled, whatever their `Cargo.toml` says: small and fast, one unit, no unwinding.
const PROFILE: [&str; 8] = [
    r#"profile.plugin.inherits="release""#,
    "profile.plugin.opt-level=3",
    r#"profile.plugin.lto="fat""#,
    "profile.plugin.codegen-units=1",
    "profile.plugin.debug=false",
    "profile.plugin.incremental=false",
    r#"profile.plugin.panic="abort""#,
    "profile.plugin.strip=true",
];

/// 64 KiB of stack instead of 1 MiB: an instance stays small and runaway recursion stops early.
const RUSTFLAGS: &str = "-Clink-arg=-zstack-size=65536";

/// Compiles the members of one workspace; gives the core module of each `Cargo.toml`.
pub(crate) fn compile(
    toolchain: &Toolchain,
    root: &Path,
    members: &[&Package],
    request: &Build,
) -> Result<BTreeMap<PathBuf, PathBuf>, BuildError> {
    let mut cargo = guest_command(toolchain);
    cargo.args(["build", "--lib", "--profile=plugin", "--target", TARGET, "--message-format=json-render-diagnostics"]);
    cargo.arg("--manifest-path").arg(root.join("Cargo.toml")).arg("--target-dir").arg(&request.target_dir);
    cargo.args(PROFILE.iter().flat_map(|setting| ["--config", setting]));
    cargo.args(members.iter().flat_map(|member| ["--package", &member.name]));
    for (flag, wanted) in [("--offline", request.offline), ("--locked", request.locked)] {
        if wanted {
            cargo.arg(flag);
        }
    }
    cargo.current_dir(root).stdin(Stdio::null()).stderr(Stdio::inherit());
    let output =
        cargo.output().map_err(|source| BuildError::Run { program: toolchain.cargo.display().to_string(), source })?;
    if !output.status.success() {
        let crates: Vec<_> = members.iter().map(|member| member.name.as_str()).collect();
        return Err(BuildError::Compile { crates: crates.join(", ") });
    }
    Ok(output.stdout.split(|byte| *byte == b'\n').filter_map(module_of).collect())
}

fn guest_command(toolchain: &Toolchain) -> Command {
    let mut cargo = command(&toolchain.cargo);
    cargo.env("RUSTC", &toolchain.rustc).env("CARGO_ENCODED_RUSTFLAGS", RUSTFLAGS);
    if toolchain.std_from_source {
        // Building the standard library is unstable, so a released compiler must be told that it is meant.
        cargo.env("RUSTC_BOOTSTRAP", "1").arg("-Zbuild-std=std,panic_abort");
    }
    if let Some(linker) = &toolchain.linker {
        cargo.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
    }
    cargo
}

/// Reads one line of Cargo's messages: `Cargo.toml` and module of a crate that is done.
fn module_of(line: &[u8]) -> Option<(PathBuf, PathBuf)> {
    let message: Value = serde_json::from_slice(line).ok()?;
    if message["reason"] != "compiler-artifact" {
        return None;
    }
    let files = message["filenames"].as_array()?;
    let module = files.iter().filter_map(Value::as_str).find(|file| file.ends_with(".wasm"))?;
    Some((message["manifest_path"].as_str()?.into(), module.into()))
}

/// A command without what an outer Cargo, or settings meant for the host's own build, put into the environment.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(is_for_another_build) {
            command.env_remove(name);
        }
    }
    // A missing rustup toolchain is an error to report, not something to download.
    command.env("RUSTUP_AUTO_INSTALL", "0");
    command
}

/// Where Cargo's home and registries are, and how to reach them, holds for every build; target folders, flags,
/// wrappers and the library path of another compiler do not.
fn is_for_another_build(variable: &str) -> bool {
    const KEPT: [&str; 6] =
        ["CARGO_HOME", "CARGO_HTTP_", "CARGO_NET_", "CARGO_REGISTR", "CARGO_SOURCE_", "CARGO_TERM_"];
    let cargo = variable == "CARGO" || variable.starts_with("CARGO_");
    let rustc = variable.starts_with("RUSTC") || variable.starts_with("RUSTDOC") || variable == "RUSTFLAGS";
    let linking = variable == "LD_LIBRARY_PATH" || variable == "DYLD_FALLBACK_LIBRARY_PATH";
    rustc || linking || cargo && !KEPT.iter().any(|kept| variable.starts_with(kept))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_what_belongs_to_another_build() {
        for variable in [
            "CARGO",
            "CARGO_TARGET_DIR",
            "CARGO_BUILD_TARGET_DIR",
            "RUSTC",
            "RUSTC_WRAPPER",
            "RUSTFLAGS",
            "LD_LIBRARY_PATH",
        ] {
            assert!(is_for_another_build(variable), "{variable} must go");
        }
        for variable in [
            "CARGO_HOME",
            "CARGO_NET_OFFLINE",
            "CARGO_HTTP_PROXY",
            "CARGO_REGISTRIES_X_INDEX",
            "RUSTUP_TOOLCHAIN",
            "PATH",
        ] {
            assert!(!is_for_another_build(variable), "{variable} must stay");
        }
    }

    #[test]
    fn finds_the_module_among_the_messages() {
        let line = br#"{"reason":"compiler-artifact","manifest_path":"/p/Cargo.toml","filenames":["/t/libp.rlib","/t/p.wasm"]}"#;
        assert_eq!(module_of(line), Some(("/p/Cargo.toml".into(), "/t/p.wasm".into())));
        assert_eq!(module_of(br#"{"reason":"build-finished","success":true}"#), None);
        assert_eq!(module_of(b"what a build script printed"), None);
    }
}
