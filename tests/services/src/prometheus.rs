//! `promtool`, out of Debian's package of Prometheus, without installing that.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::process::text_of;
use crate::{apt, install};

const DOWNLOAD: Duration = Duration::from_secs(300);
const CHECK: Duration = Duration::from_secs(60);

/// The program that checks what Prometheus would make of something.
#[derive(Clone, Debug)]
pub struct Promtool {
    path: PathBuf,
}

/// The program on the PATH, else the one in [`crate::folder`], which is fetched when it is not there. The error says why it cannot be
/// had: this is no Debian, for example.
pub fn promtool() -> Result<Promtool> {
    if let Some(path) = apt::on_path("promtool") {
        return Ok(Promtool { path });
    }
    let folder = crate::folder().join("prometheus");
    install::once(&folder, ("package", "prometheus"), || extract(&folder)).context("cannot get promtool")?;
    Ok(Promtool { path: folder.join("promtool") })
}

/// Leaves nothing but the program in the folder: the package is ten times as large.
fn extract(folder: &Path) -> Result<()> {
    let mut download = Command::new("apt-get");
    download.args(["download", "--quiet", "prometheus"]).current_dir(folder);
    text_of(download, "", DOWNLOAD)?;
    let package = folder
        .read_dir()?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|e| e == "deb"));
    let package = package.context("apt-get downloaded nothing")?;
    let whole = folder.join("whole");
    let mut extract = Command::new("dpkg");
    extract.arg("-x").args([&package, &whole]);
    text_of(extract, "", DOWNLOAD)?;
    fs::rename(whole.join("usr/bin/promtool"), folder.join("promtool")).context("the package holds no promtool")?;
    fs::remove_dir_all(&whole)?;
    Ok(fs::remove_file(&package)?)
}

impl Promtool {
    /// Checks metrics as they are exposed: that they can be parsed, and that names, help and types are as the conventions want them.
    pub fn check_metrics(&self, text: &str) -> Result<()> {
        let mut promtool = Command::new(&self.path);
        promtool.args(["check", "metrics"]);
        text_of(promtool, text, CHECK)?;
        Ok(())
    }
}
