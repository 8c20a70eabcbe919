//! Packages of the system: installed where that is possible, said in clear words where not.

use std::env;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

/// Installs Debian packages. What apt says goes to standard error.
pub fn install(packages: &[&str]) -> Result<()> {
    ensure!(on_path("apt-get").is_some(), "there is no apt-get here to install {} with", packages.join(" "));
    let apt = |arguments: &[&str], packages: &[&str]| {
        let mut command = as_root("apt-get")?;
        command.args(arguments).args(packages).stdin(Stdio::null()).stdout(std::io::stderr());
        let status = command.status().context("cannot run apt-get")?;
        ensure!(status.success(), "apt-get {} {} ended with {status}", arguments.join(" "), packages.join(" "));
        Ok(())
    };
    apt(&["update", "--quiet"], &[])?;
    apt(&["install", "--quiet", "--yes", "--no-install-recommends"], packages)
}

/// Makes sure that a program can be called, from the Debian package that holds it if it cannot.
pub fn provide(program: &str, package: &str) -> Result<()> {
    if on_path(program).is_some() {
        return Ok(());
    }
    install(&[package]).with_context(|| format!("{program} is missing: install it (on Debian: {package})"))?;
    ensure!(on_path(program).is_some(), "{package} is installed, and yet there is no {program} on the PATH");
    Ok(())
}

/// Where a program is on the PATH.
pub fn on_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// A command with the rights to install, as far as this account has them unasked.
fn as_root(program: &str) -> Result<Command> {
    let id = Command::new("id").arg("-u").output().context("cannot run id")?;
    if id.stdout.trim_ascii() == b"0" {
        return Ok(Command::new(program));
    }
    let mut sudo = Command::new("sudo");
    sudo.arg("--non-interactive").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if !sudo.arg("true").status().is_ok_and(|status| status.success()) {
        bail!("installing packages needs root, or sudo without a password");
    }
    let mut sudo = Command::new("sudo");
    sudo.args(["--non-interactive", program]);
    Ok(sudo)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_on_the_path() {
        assert!(on_path("sh").is_some());
        assert!(on_path("no-such-program").is_none());
        assert!(on_path("no/such/program").is_none());
    }
}
