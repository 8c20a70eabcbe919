//! Jars, which Maven resolves from the `pom.xml` in the folder of an installation.

use std::env;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::apt;
use crate::process::text_of;

/// The goal that copies them, of the version that Debian's Maven takes.
const COPY: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies";
/// How long Maven may take.
const LIMIT: Duration = Duration::from_secs(600);
/// Where they are in the folder.
const JARS: &str = "jars";

/// Copies the jars into the folder.
pub fn resolve(folder: &Path) -> Result<()> {
    apt::provide("mvn", "maven")?;
    let mut maven = Command::new("mvn");
    maven.args(["--quiet", "--batch-mode", "--no-transfer-progress", "--file"]).arg(folder.join("pom.xml"));
    maven.args([COPY, "-DincludeScope=runtime"]).arg(format!("-DoutputDirectory={}", folder.join(JARS).display()));
    text_of(maven, "", LIMIT).with_context(|| format!("cannot resolve the jars of {}", folder.display()))?;
    Ok(())
}

/// The jars in an order that does not change, as Java takes them.
pub fn class_path(folder: &Path) -> Result<String> {
    let jars = folder.join(JARS);
    let list = || format!("cannot list {}", jars.display());
    let entries = jars.read_dir().with_context(list)?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>().with_context(list)?;
    paths.sort();
    Ok(env::join_paths(&paths).with_context(list)?.to_string_lossy().into_owned())
}
