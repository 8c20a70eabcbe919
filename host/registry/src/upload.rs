//! Taking plugins in.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};
use tamis_catalog::plugins::{Build, PluginState, PluginVersion};
use tamis_catalog::{Change, Conflict};
use tamis_model::error::Context;
use tamis_model::manifest::World;
use tamis_model::time::Millis;
use tamis_model::{Error, Kind, Result};

use crate::Registry;

/// Whether whoever uploads waits for the build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Until the component is `ready` or refused.
    Built,
    /// Only until its bytes are safe: it is `pending` then.
    Stored,
}

impl Registry {
    /// Takes a component in. The same bytes are the same version, however often they come. A component that is refused comes back in
    /// state `error` with the reason; an error of this function is about taking it in.
    pub async fn upload(&self, bytes: Vec<u8>, wait: Wait, change: &Change<'_>) -> Result<PluginVersion> {
        let sha256: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let begun = self.0.catalog.begin_upload(&sha256, bytes.len() as u64, change).await?;
        if begun.state == PluginState::Ready {
            return Ok(begun);
        }
        let path = self.component(&sha256);
        let stored = tokio::task::spawn_blocking(move || store(&path, &bytes)).await.outage("store component", &sha256);
        if let Err(error) = stored.and_then(|stored| stored) {
            return Err(self.give_up(&sha256, error, change.at).await);
        }
        let (registry, at) = (self.clone(), change.at);
        let build = async move { registry.build(&sha256, at).await };
        match wait {
            Wait::Built => build.await,
            Wait::Stored => {
                tokio::spawn(async move {
                    if let Err(error) = build.await {
                        tracing::error!("{}", error.chain());
                    }
                });
                Ok(begun)
            }
        }
    }

    /// Builds what was stored, and keeps what came of it.
    async fn build(&self, sha256: &str, at: Millis) -> Result<PluginVersion> {
        let _turn = self.0.builds.acquire().await.outage("build plugin", sha256)?;
        let build = match self.load(sha256).await {
            Ok(plugin) if plugin.manifest().world != World::Rule => Build::Error {
                identity: Some((plugin.manifest().name.clone(), plugin.manifest().version.clone())),
                reason: format!(
                    "it is a {}; only rules can be uploaded, others belong in the folder plugins/",
                    plugin.manifest().world.name()
                ),
            },
            Ok(plugin) => Build::Ready(Box::new(plugin.manifest().clone())),
            Err(error) if error.can_retry() => return Err(self.give_up(sha256, error, at).await),
            Err(error) => Build::Error { identity: None, reason: error.chain() },
        };
        self.0.catalog.finish_upload(sha256, build, at).await
    }

    /// Keeps that the host could not take a component in, of which nothing was found out: whoever uploads it again may have more luck.
    async fn give_up(&self, sha256: &str, error: Error, at: Millis) -> Error {
        let build =
            Build::Error { identity: None, reason: format!("the host failed, upload it again: {}", error.chain()) };
        if let Err(unkept) = self.0.catalog.finish_upload(sha256, build, at).await {
            // The next upload of the same bytes, or the next start, finds it pending and goes on.
            tracing::error!("{}", unkept.chain());
        }
        error
    }

    /// The newest plugin of this name that is ready, or that of the version `version`.
    pub async fn ready_plugin(&self, name: &str, version: Option<&str>) -> Result<PluginVersion> {
        let found = match version {
            Some(version) => self.0.catalog.plugin(name, version).await?,
            None => self.0.catalog.newest_plugin(name).await?,
        };
        let object = || version.map_or_else(|| name.to_owned(), |version| format!("{name} {version}"));
        match found {
            Some(plugin) if plugin.state == PluginState::Ready => Ok(plugin),
            Some(plugin) => {
                let state = Conflict::State(format!("it is {}", plugin.state.name()));
                Err(Error::new(Kind::Conflict, "put to work plugin", object()).because(state))
            }
            None => Err(Error::new(Kind::Missing, "put to work plugin", object()).because("it was not uploaded")),
        }
    }
}

/// Readers see the whole file or none, also when the same bytes are stored twice at a time.
fn store(path: &Path, bytes: &[u8]) -> Result<()> {
    static STORED: AtomicU64 = AtomicU64::new(0);
    let number = STORED.fetch_add(1, Ordering::Relaxed);
    let temporary = path.with_extension(format!("{}-{number}.tmp", std::process::id()));
    let write = || {
        let mut file = std::fs::File::create(&temporary)?;
        std::io::Write::write_all(&mut file, bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)?;
        path.parent().map_or(Ok(()), |folder| std::fs::File::open(folder)?.sync_all())
    };
    write().inspect_err(|_| drop(std::fs::remove_file(&temporary))).outage("store component", path.display())
}
