//! Apache Kafka in KRaft mode, from its jars: the installation, clusters of it, its stock tools.

mod broker;
mod cluster;
mod tls;
mod tool;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};

pub use cluster::{Cluster, Credentials, Options, Security};
pub use tool::Tool;

use crate::process::text_of;
use crate::{apt, install};

/// What is installed.
pub const VERSION: &str = "4.3.1";
/// The jars, for Maven.
const POM: &str = include_str!("../../kafka/pom.xml");
/// The goal that resolves them, of the version that Debian's Maven takes.
const COPY: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies";
/// How long Maven may take.
const RESOLVE: Duration = Duration::from_secs(600);

/// An installation.
#[derive(Clone, Debug)]
pub struct Kafka {
    /// The jars, in an order that does not change: the archive of classes holds for one order only.
    class_path: String,
    archive: PathBuf,
}

impl Kafka {
    /// The installation in [`crate::folder`], which is made when it is not there. It needs Java; to make it takes Maven and a network.
    pub fn install() -> Result<Self> {
        apt::provide("java", "default-jre-headless")?;
        let services = crate::folder();
        fs::create_dir_all(&services).with_context(|| format!("cannot make folder {}", services.display()))?;
        let services = services.canonicalize().with_context(|| format!("cannot resolve {}", services.display()))?;
        let folder = services.join(format!("kafka-{VERSION}"));
        install::once(&folder, ("pom.xml", POM), || {
            resolve(&folder)?;
            Self::open(&folder)?.dump_classes()
        })?;
        Self::open(&folder)
    }

    fn open(folder: &Path) -> Result<Self> {
        let jars = folder.join("jars");
        let list = || format!("cannot list {}", jars.display());
        let entries = jars.read_dir().with_context(list)?;
        let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>().with_context(list)?;
        paths.sort();
        let class_path = std::env::join_paths(&paths).with_context(list)?.to_string_lossy().into_owned();
        Ok(Self { class_path, archive: folder.join("classes.jsa") })
    }

    /// Keeps the classes of a broker in the form that the virtual machine maps into memory. On two cores that halves the time of a
    /// start, and a broker takes 40 MB less.
    fn dump_classes(&self) -> Result<()> {
        let archive = format!("-XX:ArchiveClassesAtExit={}", self.archive.display());
        let options = Options { virtual_machine: vec![archive], ..Options::default() };
        Cluster::start(self, 1, options)?.stop()
    }

    /// A virtual machine, small and quick to start. Standard output is for what the program itself says.
    fn java(&self, heap_mb: u32) -> Command {
        let mut java = Command::new("java");
        java.arg(format!("-Xmx{heap_mb}m")).args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]);
        java.args(["-Xshare:auto", "-Xlog:disable", "-Xlog:all=error:stderr"]);
        if self.archive.exists() {
            java.arg(format!("-XX:SharedArchiveFile={}", self.archive.display()));
        }
        java.args(["-cp", &self.class_path]).stdin(Stdio::null());
        java
    }
}

/// Copies the jars into `jars`.
fn resolve(folder: &Path) -> Result<()> {
    apt::provide("mvn", "maven")?;
    let mut maven = Command::new("mvn");
    maven.args(["--quiet", "--batch-mode", "--no-transfer-progress", "--file"]).arg(folder.join("pom.xml"));
    maven.args([COPY, "-DincludeScope=runtime"]).arg(format!("-DoutputDirectory={}", folder.join("jars").display()));
    text_of(maven, "", RESOLVE).context("cannot resolve the jars of Kafka")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_one_that_maven_resolves() {
        assert!(POM.contains(&format!("<kafka.version>{VERSION}</kafka.version>")));
    }
}
