//! Apache Kafka in KRaft mode, from its jars: the installation, clusters of it, its stock tools.

mod broker;
mod cluster;
mod tls;
mod tool;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Result;

pub use cluster::{Cluster, Credentials, Options, PASSWORD, Security, USER};
pub use tool::Tool;

use crate::{apt, install, maven};

/// What is installed.
pub const VERSION: &str = "4.3.1";
/// The jars, for Maven.
const POM: &str = include_str!("../../kafka/pom.xml");

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
        let folder = install::folder(&format!("kafka-{VERSION}"))?;
        install::once(&folder, ("pom.xml", POM), || {
            maven::resolve(&folder)?;
            Self::open(&folder)?.dump_classes()
        })?;
        Self::open(&folder)
    }

    fn open(folder: &Path) -> Result<Self> {
        let class_path = maven::class_path(folder)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_one_that_maven_resolves() {
        assert!(POM.contains(&format!("<kafka.version>{VERSION}</kafka.version>")));
    }
}
