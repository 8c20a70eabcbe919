//! The host as a process, with a home of its own.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tamis_tests::components;
use tamis_tests::workload::{self, Work};
use tempfile::TempDir;

/// A home whose topics lie in a cluster, with the defaults of everything else.
pub struct Home {
    folder: TempDir,
    host: PathBuf,
}

impl Home {
    /// With the rules as their plugins have them.
    pub fn new(bootstrap: &str, rules: &[&'static str], delivery: &str) -> Result<Self> {
        let work: Vec<Work> = rules.iter().map(|name| (*name, *name, Value::Null)).collect();
        Self::with(bootstrap, &work, delivery)
    }

    pub fn with(bootstrap: &str, work: &[Work], delivery: &str) -> Result<Self> {
        let host = std::env::var_os("TAMIS_HOST").context("TAMIS_HOST names the host: run `cargo xtask bench`")?;
        let folder = tempfile::Builder::new().prefix("tamis-bench-").tempdir()?;
        let plugins = folder.path().join("plugins");
        fs::create_dir(&plugins)?;
        // Rules are compiled once for all homes.
        let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache");
        fs::create_dir_all(&cache)?;
        symlink(cache, folder.path().join("cache"))?;
        for (_, plugin, _) in work {
            let file = format!("{plugin}.wasm");
            fs::copy(components::folder().join(&file), plugins.join(&file)).with_context(|| file.clone())?;
        }
        // A group of its own: what an earlier home has left of one must not count. The feed is of 2026, and retention goes by record times.
        let group = folder.path().file_name().unwrap_or_default().to_string_lossy();
        let settings = format!(
            "[kafka]\nbootstrap_servers = \"{bootstrap}\"\ngroup = \"{group}\"\ndelivery = \"{delivery}\"\nretention_hours = 900000\n"
        );
        fs::write(folder.path().join("tamis.toml"), settings + &workload::config(work))?;
        Ok(Self { folder, host: host.into() })
    }

    /// The host with a command.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.host);
        command.args(["--json", "--home"]).arg(self.folder.path()).args(arguments);
        command.env("TAMIS_PEPPER", "bench").stdin(Stdio::null());
        command
    }

    /// Judges all that is there.
    pub fn to_the_end(&self) -> Command {
        let mut command = self.command(&["run", "streams", "--until-end"]);
        command.stdout(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Result<()> {
        let output = self.command(arguments).stderr(Stdio::inherit()).output()?;
        ensure!(output.status.success(), "tamis {} ended with {}", arguments.join(" "), output.status);
        Ok(())
    }
}
