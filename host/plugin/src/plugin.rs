//! A plugin: a component that was checked, with its manifest.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;
use tamis_model::dead_letter::PluginRef;
use tamis_model::error::Context;
use tamis_model::manifest::{Manifest, World};
use tamis_model::{Error, Result};

use crate::check::SandboxedCheck;
use crate::guest::Prepared;
use crate::load;
use crate::rule::SandboxedRule;
use crate::schema::Schema;
use crate::transform::SandboxedTransform;

/// A component that was checked and compiled; nothing of it runs until it is put to work.
pub struct Plugin {
    pub(crate) prepared: Prepared,
    pub(crate) manifest: Manifest,
    pub(crate) config_schema: Schema,
    pub(crate) sha256: String,
    pub(crate) size_bytes: u64,
}

impl fmt::Display for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.manifest.name, self.manifest.version)
    }
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Plugin({self} {})", self.sha256)
    }
}

impl Plugin {
    /// What it says of itself; checked.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The SHA-256 of the component's bytes, lower-case hex.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The size of the component, bytes.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Which plugin exactly, for dead letters and alerts.
    pub fn reference(&self) -> PluginRef {
        PluginRef {
            name: self.manifest.name.clone(),
            version: self.manifest.version.clone(),
            sha256: self.sha256.clone(),
        }
    }

    /// Whether `config` is JSON that fits the manifest's schema. The plugin itself is not asked.
    pub fn check_config(&self, config: &str) -> Result<()> {
        let config = serde_json::from_str(config).invalid("read the configuration of", self)?;
        self.check_value(&config)
    }

    /// The manifest's defaults with each member of `overrides` in place of the default of that name, as JSON;
    /// refused when it does not fit the schema. `overrides` is an object, or null for none.
    pub fn effective_config(&self, overrides: &Value) -> Result<String> {
        let mut config = self.manifest.config.defaults.clone();
        match (&mut config, overrides) {
            (_, Value::Null) => {}
            (Value::Object(config), Value::Object(overrides)) => config.extend(overrides.clone()),
            _ => return Err(Error::invalid("configure plugin", self, "the overrides are no JSON object")),
        }
        self.check_value(&config)?;
        Ok(config.to_string())
    }

    /// The plugin as it describes itself under `config`, which is JSON by the manifest's schema: itself, unless its inputs follow
    /// from the configuration.
    pub fn configured(self: &Arc<Self>, config: &str) -> Result<Arc<Self>> {
        self.check_config(config)?;
        if self.manifest.describes_configured { load::configured(self, config) } else { Ok(Arc::clone(self)) }
    }

    /// Puts it to work as a rule. `config` is JSON by the manifest's schema: see [`Plugin::effective_config`].
    pub fn rule(self: &Arc<Self>, config: &str) -> Result<SandboxedRule> {
        self.check_world(World::Rule)?;
        SandboxedRule::new(self, config)
    }

    /// Puts it to work as a transform.
    pub fn transform(self: &Arc<Self>, config: &str) -> Result<SandboxedTransform> {
        self.check_world(World::Transform)?;
        SandboxedTransform::new(self, config)
    }

    /// Puts it to work as a check.
    pub fn check(self: &Arc<Self>, config: &str) -> Result<SandboxedCheck> {
        self.check_world(World::Check)?;
        SandboxedCheck::new(self, config)
    }

    pub(crate) fn prepared(&self) -> &Prepared {
        &self.prepared
    }

    fn check_value(&self, config: &Value) -> Result<()> {
        self.config_schema.check(config).map_err(|why| Error::invalid("configure plugin", self, why))
    }

    fn check_world(&self, wanted: World) -> Result<()> {
        if self.manifest.world == wanted {
            return Ok(());
        }
        let why = format!("it is a {}, not a {}", self.manifest.world.name(), wanted.name());
        Err(Error::invalid("put to work", self, why))
    }
}
