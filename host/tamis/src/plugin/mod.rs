//! Commands for plugin authors: `tamis plugin new | build | test | inspect`.
//!
//! They need no home folder and no running host: a plugin is developed on its own.

mod build;
pub mod cases;
mod inspect;
mod new;
mod test;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Subcommand;
use tamis_model::error::Context;
use tamis_model::pseudonym::Pepper;
use tamis_model::{Error, Result};
use tamis_plugin::{Plugin, Sandbox, SandboxSettings};

pub use build::Build;
pub use new::{Kind, New, new_plugin};
pub use test::Test;

/// The key of the pseudonyms that a plugin under test sees; cases are written with it.
pub const TEST_PEPPER: &str = "pepper";

/// Write, build, test and inspect plugins.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write the crate of a new plugin: a working example with its tests, to be changed.
    New(New),
    /// Compile a plugin crate to a component, and check it as an upload would.
    Build(Build),
    /// Run the cases of a plugin (cases/*.jsonl) through the real engine and sandbox. Exit code 1 when one fails.
    Test(Test),
    /// Upload a component to a running host.
    Push(crate::client::Push),
    /// Check a component as an upload would, and show what it says of itself.
    Inspect {
        /// The component.
        file: PathBuf,
    },
}

/// Runs a command; what it found goes to standard output.
pub fn run(command: &Command, json: bool) -> Result<ExitCode> {
    // Line by line: an author sees a case when it has run.
    let mut out = io::stdout().lock();
    match command {
        Command::New(new) => new::run(new, &mut out),
        Command::Build(build) => build::run(build, json, &mut out),
        Command::Test(test) => test::run(test, json, &mut out),
        Command::Push(push) => crate::client::push(&push.server, push, json),
        Command::Inspect { file } => inspect::run(file, json, &mut out),
    }
}

/// A sandbox for a plugin under test: the host's own limits, nothing cached.
pub fn test_sandbox() -> Result<Arc<Sandbox>> {
    let mut settings = SandboxSettings::new(Pepper::new(TEST_PEPPER.as_bytes()));
    settings.instances_max = 4;
    Sandbox::new(settings)
}

/// Reads and checks a component.
fn load(file: &std::path::Path) -> Result<Arc<Plugin>> {
    let bytes = std::fs::read(file).map_err(|error| {
        let kind = if error.kind() == io::ErrorKind::NotFound {
            tamis_model::Kind::Missing
        } else {
            tamis_model::Kind::Outage
        };
        Error::new(kind, "read component", file.display()).because(error)
    })?;
    test_sandbox()?.load(&bytes)
}

/// Prints a line. A reader that went away (`| head`) is no failure.
fn print(out: &mut dyn Write, text: impl std::fmt::Display) -> Result<()> {
    match writeln!(out, "{text}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error).outage("write to", "standard output"),
        _ => Ok(()),
    }
}
