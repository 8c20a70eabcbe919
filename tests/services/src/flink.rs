//! Apache Flink, from its jars, as a cluster within one process: what Tamis is measured beside.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::process::text_of;
use crate::{apt, install, maven};

/// What is installed.
pub const VERSION: &str = "2.2.0";
/// The jars, for Maven.
const POM: &str = include_str!("../flink/pom.xml");
const COMPILE: Duration = Duration::from_secs(120);
/// What Flink's own scripts open to it from Java 17 on, as far as SQL needs it.
const OPENED: [&str; 6] =
    ["java.lang", "java.lang.reflect", "java.net", "java.time", "java.util", "java.util.concurrent"];

/// An installation.
#[derive(Clone, Debug)]
pub struct Flink {
    class_path: String,
}

impl Flink {
    /// The installation in [`crate::folder`], which is made when it is not there. It needs a JDK; to make it takes Maven and a network.
    pub fn install() -> Result<Self> {
        apt::provide("javac", "default-jdk-headless")?;
        let folder = install::folder(&format!("flink-{VERSION}"))?;
        install::once(&folder, ("pom.xml", POM), || maven::resolve(&folder))?;
        Ok(Self { class_path: maven::class_path(&folder)? })
    }

    /// Compiles one file of Java into a folder.
    pub fn compile(&self, source: &Path, classes: &Path) -> Result<()> {
        let mut javac = Command::new("javac");
        javac.args(["-cp", &self.class_path, "-d"]).arg(classes).arg(source);
        text_of(javac, "", COMPILE).with_context(|| format!("cannot compile {}", source.display()))?;
        Ok(())
    }

    /// A virtual machine with Flink and the classes of a folder. Errors go to standard error.
    pub fn java(&self, classes: &Path, heap_mb: u32) -> Command {
        let mut java = Command::new("java");
        java.arg(format!("-Xmx{heap_mb}m")).arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=error");
        java.args(OPENED.map(|package| format!("--add-opens=java.base/{package}=ALL-UNNAMED")));
        java.arg("-cp").arg(format!("{}:{}", classes.display(), self.class_path));
        java
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_one_that_maven_resolves() {
        assert!(POM.contains(&format!("<flink.version>{VERSION}</flink.version>")));
    }
}
