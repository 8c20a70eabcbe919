//! Plugins and rules as people change them: what needs the catalogue and the sandbox at the same time.
//!
//! A [`Registry`] takes plugins in ([`upload`]), checks what people want to put to work before the catalogue keeps it ([`draft`],
//! [`change`]), and makes of what the catalogue holds the snapshot that the engine runs ([`snapshot`]). It never touches a stream:
//! whoever runs one watches [`Registry::revisions`].

pub mod change;
pub mod draft;
mod lists;
mod loaded;
mod rule_plan;
pub mod seed;
pub mod snapshot;
pub mod upload;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};

use tamis_catalog::audit::AuditEntry;
use tamis_catalog::plugins::PluginState;
use tamis_catalog::{Action, Catalog, Change};
use tamis_engine::rules::RulePlan;
use tamis_model::error::Context;
use tamis_model::topic::TopicSchema;
use tamis_model::{Error, Kind, Result};
use tamis_plugin::{Plugin, Sandbox};
use tokio::sync::{Semaphore, watch};

use loaded::Loaded;

pub use draft::Draft;
pub use rule_plan::rule_plan;

/// The plugins and rules of a home. Clones are the same one.
#[derive(Clone)]
pub struct Registry(Arc<Parts>);

struct Parts {
    sandbox: Arc<Sandbox>,
    catalog: Catalog,
    /// `<sha256>.wasm` of everything that was taken in.
    components: PathBuf,
    schemas: Vec<TopicSchema>,
    /// What was loaded in this process, by SHA-256.
    loaded: Mutex<Loaded<Plugin>>,
    /// The versions of the last snapshot.
    running: Mutex<HashMap<(String, u32), Arc<RulePlan>>>,
    /// The versions that a stream tries now.
    tried: Mutex<HashSet<(String, u32)>>,
    revisions: watch::Sender<u64>,
    /// Whose turn it is to compile.
    builds: Semaphore,
    finds_topic: OnceLock<TopicFinder>,
}

/// Says whether a topic is there. It may block.
pub type TopicFinder = Box<dyn Fn(&str) -> Result<bool> + Send + Sync>;

/// Components that are compiled at once, beside the stream that needs the cores too.
const BUILDS_MAX: usize = 2;

impl Registry {
    /// The registry over a catalogue; `components` is the folder of uploaded components, made when missing.
    pub async fn open(
        sandbox: Arc<Sandbox>,
        catalog: Catalog,
        components: PathBuf,
        schemas: Vec<TopicSchema>,
    ) -> Result<Self> {
        std::fs::create_dir_all(&components).outage("create folder", components.display())?;
        let revisions = watch::Sender::new(catalog.rule_set_revision().await?);
        let (loaded, running, tried) = Default::default();
        let (builds, finds_topic) = (Semaphore::new(BUILDS_MAX), OnceLock::new());
        Ok(Self(Arc::new(Parts {
            sandbox,
            catalog,
            components,
            schemas,
            loaded,
            running,
            tried,
            revisions,
            builds,
            finds_topic,
        })))
    }

    /// From now on a version is put to work only when the topic of its alerts is there, as the first who is named here says. Where topics are
    /// made by whoever writes to them, nobody is.
    pub fn ask_for_topics(&self, finds_topic: TopicFinder) {
        let _ = self.0.finds_topic.set(finds_topic);
    }

    /// What it keeps things in.
    pub fn catalog(&self) -> &Catalog {
        &self.0.catalog
    }

    /// The topics that rules can read.
    pub fn schemas(&self) -> &[TopicSchema] {
        &self.0.schemas
    }

    /// The revision of the rule set, whenever something that runs was changed through this registry, or [`Registry::look`] has found that
    /// it was.
    pub fn revisions(&self) -> watch::Receiver<u64> {
        self.0.revisions.subscribe()
    }

    /// The plugin of these bytes, which are `ready`. Compiled code comes from the cache.
    pub async fn plugin(&self, sha256: &str) -> Result<Arc<Plugin>> {
        if let Some(plugin) = self.loaded(sha256) {
            return Ok(plugin);
        }
        let stored = self.0.catalog.plugin_by_sha256(sha256).await?;
        match stored {
            Some(stored) if stored.state == PluginState::Ready => self.load(sha256).await,
            Some(stored) => Err(Error::invalid("load plugin", sha256, format!("it is {}", stored.state.name()))),
            None => Err(Error::new(Kind::Missing, "load plugin", sha256).because("it was not uploaded")),
        }
    }

    fn loaded(&self, sha256: &str) -> Option<Arc<Plugin>> {
        self.0.loaded.lock().expect("nobody panics with it").get(sha256)
    }

    /// Keeps what was loaded, for everybody who asks for it in this process as long as somebody uses it.
    pub fn keep_loaded(&self, plugin: &Arc<Plugin>) {
        self.0.loaded.lock().expect("nobody panics with it").keep(plugin.sha256(), plugin);
    }

    /// Loads a component of the folder, unless it is known, beside everything else that is going on.
    async fn load(&self, sha256: &str) -> Result<Arc<Plugin>> {
        if let Some(plugin) = self.loaded(sha256) {
            return Ok(plugin);
        }
        let (parts, path) = (Arc::clone(&self.0), self.component(sha256));
        let load = move || {
            let bytes = std::fs::read(&path).outage("read component", path.display())?;
            parts.sandbox.load(&bytes)
        };
        let plugin = tokio::task::spawn_blocking(load).await.outage("load plugin", sha256)??;
        if plugin.sha256() != sha256 {
            return Err(Error::new(Kind::Corrupt, "load plugin", sha256).because("its file has other bytes"));
        }
        self.keep_loaded(&plugin);
        Ok(plugin)
    }

    fn component(&self, sha256: &str) -> PathBuf {
        self.0.components.join(format!("{sha256}.wasm"))
    }

    /// What came of a step before the catalogue heard of it. That it was refused as things stand is kept, as the catalogue keeps what
    /// it refuses itself.
    async fn kept<T>(&self, action: Action, object: &str, change: &Change<'_>, result: Result<T>) -> Result<T> {
        if let Err(error) = &result
            && error.kind() == Kind::Conflict
        {
            let reason = error.chain();
            self.0.catalog.append_audit(&AuditEntry::refused(action, object, *change, &reason)).await?;
        }
        result
    }

    /// Looks for what was changed, by another process too, and tells whoever runs rules. The revision of the rule set now.
    pub async fn look(&self) -> Result<u64> {
        let revision = self.0.catalog.rule_set_revision().await?;
        // Of two who look at a time the one who saw less may come last.
        self.0.revisions.send_if_modified(|last| {
            let is_newer = revision > *last;
            *last = revision.max(*last);
            is_newer
        });
        Ok(*self.0.revisions.borrow())
    }

    /// Tells whoever runs rules that something of them was changed.
    async fn announce(&self) -> Result<()> {
        self.look().await.map(drop)
    }
}
