//! What a fresh machine lacks: installed where that is possible, said in clear words where not.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use tamis_build::{APT_PACKAGES, BuildError, Toolchain};
use tamis_services::apt;
use tamis_services::kafka::Kafka;
use tamis_services::prometheus::promtool;

use crate::step::{cargo, say, timed};

/// Makes sure that the host can be built: its client of Kafka is C, and takes OpenSSL from the system. There is a C compiler, which linked
/// this program.
pub fn host_tools() -> Result<()> {
    ["make", "pkg-config"].into_iter().try_for_each(|program| apt::provide(program, program))?;
    if succeeds(Command::new("pkg-config").args(["--exists", "openssl"])) {
        return Ok(());
    }
    install(&["libssl-dev"]).context("OpenSSL is missing: install it (on Debian: libssl-dev)")
}

/// Makes sure that plugins can be built.
pub fn wasm_toolchain() -> Result<()> {
    // The compiler first: only with one does it show whether a linker is missing too.
    for _ in 0..2 {
        match Toolchain::find(Path::new(".")) {
            Ok(_) => return Ok(()),
            Err(missing @ BuildError::NoToolchain) => install(&APT_PACKAGES).context(missing)?,
            Err(missing @ BuildError::NoLinker) => install(&["lld"]).context(missing)?,
            Err(other) => return Err(other.into()),
        }
    }
    Toolchain::find(Path::new(".")).context("the packages are installed, and yet")?;
    Ok(())
}

fn install(packages: &[&str]) -> Result<()> {
    timed(&format!("apt-get install {}", packages.join(" ")), || apt::install(packages))
}

/// Makes sure that the services which tests start can be started without a network: Kafka, and promtool where it can be had.
pub fn services() -> Result<()> {
    timed("services", || {
        Kafka::install()?;
        if let Err(reason) = promtool() {
            say(format_args!("   metrics will not be checked: {reason:#}"));
        }
        Ok(())
    })
}

/// Makes sure that Cargo can format and lint.
pub fn lint_tools() -> Result<()> {
    for (tool, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        if !succeeds(&mut cargo([tool, "--version"])) {
            bail!("`cargo {tool}` is missing: run `rustup component add {component}`");
        }
    }
    Ok(())
}

/// Makes sure that cargo-deny is there. It takes minutes to build and asks the advisory database over the
/// network, so it is a task of its own and never installed unasked.
pub fn cargo_deny() -> Result<()> {
    if !succeeds(&mut cargo(["deny", "--version"])) {
        bail!("cargo-deny is missing: run `cargo install --locked cargo-deny`");
    }
    Ok(())
}

fn succeeds(command: &mut Command) -> bool {
    let silent = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    silent.status().is_ok_and(|status| status.success())
}
