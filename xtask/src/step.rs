//! One step of a task: a command, its title, how long it took.

use std::env;
use std::ffi::OsStr;
use std::fmt::Arguments;
use std::io::{Write, stderr};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

/// The Cargo that runs this program, without what it says of this program: build scripts that ask for it (ring's does) would run
/// again, and half of the dependencies be built again, each time after somebody called Cargo by hand.
pub fn cargo<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(args);
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")) {
            cargo.env_remove(name);
        }
    }
    cargo
}

/// Runs a command to its end, with its title before and its duration behind.
pub fn run(title: &str, mut command: Command) -> Result<()> {
    timed(title, || {
        let program = command.get_program().to_string_lossy().into_owned();
        let status = command.status().with_context(|| format!("cannot run {program}"))?;
        ensure!(status.success(), "{title}: {program} ended with {status}");
        Ok(())
    })
}

/// The same for work of our own.
pub fn timed<T>(title: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    say(format_args!("== {title}"));
    let start = Instant::now();
    let result = work()?;
    say(format_args!("== {title}: {:.1} s", start.elapsed().as_secs_f64()));
    Ok(result)
}

/// Tells the developer something. It goes to standard error: standard output belongs to what is run.
pub fn say(text: Arguments<'_>) {
    // A closed terminal is no reason to stop.
    let _ = writeln!(stderr(), "{text}");
}
