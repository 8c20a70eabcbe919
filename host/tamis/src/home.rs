//! The home folder: everything that a Tamis host owns lies under it.

use std::path::{Path, PathBuf};

use tamis_model::Result;
use tamis_model::error::Context;

/// The home folder and the places in it.
#[derive(Clone, Debug)]
pub struct Home(PathBuf);

impl Home {
    /// The home at `root`, which need not exist yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self(root.into())
    }

    /// Makes the folders that people put things into.
    pub fn create(&self) -> Result<()> {
        for folder in [self.drop(), self.topics(), self.lake(), self.plugins()] {
            std::fs::create_dir_all(&folder).outage("create folder", folder.display())?;
        }
        Ok(())
    }

    /// The home itself.
    pub fn root(&self) -> &Path {
        &self.0
    }

    /// Files to take in: `drop/<source>/…`.
    pub fn drop(&self) -> PathBuf {
        self.0.join("drop")
    }

    /// Embedded topics, in and out: `topics/<topic>/<partition>/…`.
    pub fn topics(&self) -> PathBuf {
        self.0.join("topics")
    }

    /// `lake/{bronze,silver,gold,alerts,aggregates,quarantine}/…`.
    pub fn lake(&self) -> PathBuf {
        self.0.join("lake")
    }

    /// Checkpoints of streams, by pipeline.
    pub fn checkpoints(&self, pipeline: &str) -> PathBuf {
        self.0.join("checkpoints").join(pipeline)
    }

    /// The SQLite warehouse.
    pub fn warehouse(&self) -> PathBuf {
        self.0.join("warehouse.db")
    }

    /// Metadata: plugins, files, runs.
    pub fn metadata(&self) -> PathBuf {
        self.0.join(tamis_catalog::FILE)
    }

    /// Components, one `.wasm` file a plugin.
    pub fn plugins(&self) -> PathBuf {
        self.0.join("plugins")
    }

    /// Components that were taken in, `<sha256>.wasm`: part of what is known, as the metadata are.
    pub fn components(&self) -> PathBuf {
        self.0.join("components")
    }

    /// Compiled components; can be deleted at any time.
    pub fn cache(&self) -> PathBuf {
        self.0.join("cache")
    }

    /// The optional configuration.
    pub fn config(&self) -> PathBuf {
        self.0.join("tamis.toml")
    }

    /// Says that the home was made by `tamis demo`, and from what.
    pub fn demo_marker(&self) -> PathBuf {
        self.0.join("demo.json")
    }
}
