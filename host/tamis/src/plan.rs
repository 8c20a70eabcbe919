//! What is valid: the configuration checked against the plugins and schemas that there are.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use tamis_catalog::Catalog;
use tamis_connectors::kafka::KafkaTopics;
use tamis_connectors::topics::Topics;
use tamis_model::error::Context;
use tamis_model::manifest::World;
use tamis_model::pseudonym::Pepper;
use tamis_model::topic::TopicSchema;
use tamis_model::{Error, Kind, Result};
use tamis_plugin::{Plugin, Sandbox, SandboxSettings};
use tamis_registry::Registry;
use tamis_registry::seed::{Seed, SeedMode};

use crate::config::{self, Config, Mode};
use crate::home::Home;
use crate::kafka::{Delivery, KafkaPlan};
use crate::topics;

/// The environment variable with the pepper.
pub const PEPPER_VARIABLE: &str = "TAMIS_PEPPER";

/// A host that is ready to work.
pub struct Plan {
    /// Where everything lies.
    pub home: Home,
    /// What was written.
    pub config: Config,
    /// The key of all pseudonyms.
    pub pepper: Pepper,
    /// Where plugins run.
    pub sandbox: Arc<Sandbox>,
    /// Every plugin in the home's folder of plugins, in the order of their files.
    pub plugins: Vec<Arc<Plugin>>,
    /// Where they lie.
    files: Vec<PathBuf>,
    /// The topics that can be read.
    pub schemas: Vec<TopicSchema>,
    /// Where topics are; none = in the home.
    pub kafka: Option<KafkaPlan>,
}

impl Plan {
    /// Reads the configuration of `home` and loads its plugins. `pepper` comes before what is configured.
    pub fn new(home: Home, pepper: Option<&[u8]>) -> Result<Self> {
        let config = Config::read(&home.config())?;
        home.create()?;
        let pepper = match pepper {
            Some(key) => Pepper::new(key),
            None => configured_pepper(&home, &config)?,
        };
        let sandbox =
            Sandbox::new(SandboxSettings { cache_dir: Some(home.cache()), ..SandboxSettings::new(pepper.clone()) })?;
        let files = components(&home.plugins())?;
        let plugins = load_all(&sandbox, &files)?;
        let kafka = config.kafka.plan(home.root())?;
        Ok(Self { home, config, pepper, sandbox, plugins, files, schemas: topics::standard()?, kafka })
    }

    /// The same with the topics of these brokers, if any are named.
    pub fn with_brokers(mut self, brokers: Option<String>) -> Result<Self> {
        self.config.kafka = self.config.kafka.at(brokers);
        self.kafka = self.config.kafka.plan(self.home.root())?;
        Ok(self)
    }

    /// Where the topics are.
    pub fn topics(&self) -> Topics {
        topics_of(&self.home, self.kafka.as_ref())
    }

    /// Milliseconds between two checkpoints of the streams.
    pub fn checkpoint_interval_ms(&self) -> u64 {
        let output_waits = self.kafka.as_ref().is_some_and(|kafka| kafka.delivery == Delivery::ExactlyOnce);
        self.config.streams.checkpoint_interval_ms.unwrap_or(if output_waits { 100 } else { 1_000 })
    }

    /// The registry of the home, in which its files have said what they put to work.
    pub async fn registry(&self, catalog: Catalog) -> Result<Registry> {
        let registry = self.library(catalog).await?;
        for seed in self.seeds()? {
            registry.sow(&seed).await.map_err(|error| self.said_by_files(&seed, error))?;
        }
        Ok(registry)
    }

    /// Why the files of the home cannot put a rule to work, with the file that says so.
    fn said_by_files(&self, seed: &Seed, error: Error) -> Error {
        let written = self.config.rules.contains_key(&seed.name);
        let file = if written { self.home.config() } else { self.home.plugins() };
        // What a plugin refuses to work with is what the file says.
        let kind = if error.kind() == Kind::Plugin { Kind::Invalid } else { error.kind() };
        Error::new(kind, "put to work", format!("rule {}, as {} says", seed.name, file.display())).because(error)
    }

    /// The registry of the home with the rule plugins of its files taken in. None is put to work.
    pub async fn library(&self, catalog: Catalog) -> Result<Registry> {
        let (sandbox, components) = (Arc::clone(&self.sandbox), self.home.components());
        let registry = Registry::open(sandbox, catalog, components, self.schemas.clone()).await?;
        for (path, plugin) in self.files.iter().zip(&self.plugins) {
            if plugin.manifest().world == World::Rule {
                let bytes = std::fs::read(path).outage("read plugin", path.display())?;
                registry.keep_loaded(plugin);
                registry.take_in(bytes).await?;
            }
        }
        Ok(registry)
    }

    /// What the files put to work: every rule plugin by its own name with its defaults, unless the configuration says otherwise.
    fn seeds(&self) -> Result<Vec<Seed>> {
        let mut written = self.config.rules.clone();
        for plugin in self.plugins.iter().filter(|plugin| plugin.manifest().world == World::Rule) {
            let name = &plugin.manifest().name;
            let named = written.iter().any(|(rule, config)| config.plugin.as_ref().unwrap_or(rule) == name);
            // A plugin that is nothing without a configuration does nothing without one.
            if !named && !plugin.manifest().describes_configured {
                written.insert(name.clone(), config::Rule::default());
            }
        }
        written.iter().map(|(name, rule)| self.seed(name, rule)).collect()
    }

    fn seed(&self, name: &str, written: &config::Rule) -> Result<Seed> {
        let wanted = written.plugin.as_deref().unwrap_or(name);
        let plugin = self.plugins.iter().find(|plugin| plugin.manifest().name == wanted).ok_or_else(|| {
            let folder = self.home.plugins();
            Error::invalid(
                "put to work",
                format!("rule {name}"),
                format!("there is no plugin {wanted} in {}", folder.display()),
            )
        })?;
        let config =
            serde_json::to_value(&written.config).invalid("read the configuration of", format!("rule {name}"))?;
        let Value::Object(config) = config else { unreachable!("a table becomes an object") };
        Ok(Seed {
            name: name.to_owned(),
            plugin: plugin.manifest().name.clone(),
            plugin_version: plugin.manifest().version.clone(),
            config,
            route: written.route.clone(),
            mode: match written.mode {
                Mode::Disabled => SeedMode::Disabled,
                Mode::Shadow => SeedMode::Shadow,
                Mode::Active => SeedMode::Active,
            },
        })
    }
}

/// Where the topics of a home are.
pub(crate) fn topics_of(home: &Home, kafka: Option<&KafkaPlan>) -> Topics {
    match kafka {
        None => Topics::Folder(home.topics()),
        Some(kafka) => Topics::Kafka { topics: KafkaTopics::new(kafka.connection.clone()), group: kafka.group.clone() },
    }
}

fn configured_pepper(home: &Home, config: &Config) -> Result<Pepper> {
    let (key, place) = match (std::env::var_os(PEPPER_VARIABLE), &config.pepper_file) {
        (Some(key), _) => (key.into_encoded_bytes(), PEPPER_VARIABLE.to_owned()),
        (None, Some(path)) => {
            let path = home.root().join(path);
            (std::fs::read(&path).invalid("read the pepper from", path.display())?, path.display().to_string())
        }
        (None, None) => {
            let reason = format!("set {PEPPER_VARIABLE}, or pepper_file in {}", home.config().display());
            return Err(Error::invalid("find", "the pepper, the key of all pseudonyms", reason));
        }
    };
    let key = key.trim_ascii();
    if key.is_empty() {
        return Err(Error::invalid("read the pepper from", place, "it is empty"));
    }
    Ok(Pepper::new(key))
}

/// The components in a folder, in order of name.
fn components(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).outage("list plugins in", folder.display())? {
        let path = entry.outage("list plugins in", folder.display())?.path();
        if path.extension().is_some_and(|extension| extension == "wasm") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// Loads components, of which no two may have the same name.
fn load_all(sandbox: &Arc<Sandbox>, paths: &[PathBuf]) -> Result<Vec<Arc<Plugin>>> {
    let mut plugins: Vec<Arc<Plugin>> = Vec::with_capacity(paths.len());
    for path in paths {
        let bytes = std::fs::read(path).outage("read plugin", path.display())?;
        let plugin = sandbox
            .load(&bytes)
            .map_err(|error| Error::new(Kind::Invalid, "load plugin", path.display()).because(error))?;
        if let Some(other) = plugins.iter().find(|other| other.manifest().name == plugin.manifest().name) {
            let reason = format!("another file holds {other}");
            return Err(Error::invalid("load plugin", path.display(), reason));
        }
        plugins.push(plugin);
    }
    Ok(plugins)
}
