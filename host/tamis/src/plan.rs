//! What is valid: the configuration checked against the plugins and schemas that there are.

use std::path::Path;
use std::sync::Arc;

use tamis_engine::rules::{Role, RulePlan, RuleSet};
use tamis_model::error::Context;
use tamis_model::manifest::World;
use tamis_model::pseudonym::Pepper;
use tamis_model::topic::TopicSchema;
use tamis_model::{Error, Kind, Result};
use tamis_plugin::{Plugin, Sandbox, SandboxSettings};
use tamis_registry::rule_plan;

use crate::config::{self, Config, Mode};
use crate::home::Home;
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
    /// Every plugin of the home, by name.
    pub plugins: Vec<Arc<Plugin>>,
    /// The topics that can be read.
    pub schemas: Vec<TopicSchema>,
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
        let plugins = load_all(&sandbox, &home.plugins())?;
        Ok(Self { home, config, pepper, sandbox, plugins, schemas: topics::standard()? })
    }

    /// The rules: every rule plugin by its own name with its defaults, unless the configuration says otherwise.
    pub fn rules(&self) -> Result<RuleSet> {
        let mut written = self.config.rules.clone();
        for plugin in self.plugins.iter().filter(|plugin| plugin.manifest().world == World::Rule) {
            let name = &plugin.manifest().name;
            let named = written.iter().any(|(rule, config)| config.plugin.as_ref().unwrap_or(rule) == name);
            if !named {
                written.insert(name.clone(), config::Rule::default());
            }
        }
        let rules =
            written.iter().filter_map(|(name, rule)| self.rule(name, rule).transpose()).collect::<Result<_>>()?;
        Ok(RuleSet { revision: 1, rules })
    }

    /// A rule put to work; none when it is disabled.
    fn rule(&self, name: &str, written: &config::Rule) -> Result<Option<Arc<RulePlan>>> {
        let role = match written.mode {
            Mode::Disabled => return Ok(None),
            Mode::Shadow => Role::Shadow,
            Mode::Active => Role::Active,
        };
        let wanted = written.plugin.as_deref().unwrap_or(name);
        let plugin = self.plugins.iter().find(|plugin| plugin.manifest().name == wanted).ok_or_else(|| {
            let folder = self.home.plugins();
            Error::invalid(
                "put to work",
                format!("rule {name}"),
                format!("there is no plugin {wanted} in {}", folder.display()),
            )
        })?;
        let overrides =
            serde_json::to_value(&written.config).invalid("read the configuration of", format!("rule {name}"))?;
        let rule = rule_plan(name, plugin, plugin.effective_config(&overrides)?)?;
        let route = written.route.clone().unwrap_or_else(|| rule.route.clone());
        Ok(Some(Arc::new(RulePlan { role, route, ..rule })))
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

/// Every component of a folder, in order of name.
fn load_all(sandbox: &Arc<Sandbox>, folder: &Path) -> Result<Vec<Arc<Plugin>>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).outage("list plugins in", folder.display())? {
        let path = entry.outage("list plugins in", folder.display())?.path();
        if path.extension().is_some_and(|extension| extension == "wasm") {
            paths.push(path);
        }
    }
    paths.sort();
    let mut plugins: Vec<Arc<Plugin>> = Vec::with_capacity(paths.len());
    for path in paths {
        let bytes = std::fs::read(&path).outage("read plugin", path.display())?;
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
