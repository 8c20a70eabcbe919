//! What the files of a home put to work: the components in `plugins/`, and `[rules]` of `tamis.toml`.
//!
//! Whoever can write these files is the operator: what they say counts as approved. A file speaks when it says something new; what people change
//! afterwards stands until it speaks again.

use serde_json::{Map, Value};
use tamis_catalog::rule_versions::VersionStep;
use tamis_catalog::rules::{RuleStep, Trial, TrialMode};
use tamis_catalog::{Actor, Change, PageQuery};
use tamis_engine::{Clock, SystemClock};
use tamis_model::{Error, Result};

use crate::upload::Wait;
use crate::{Draft, Registry};

/// A rule as files put it to work.
#[derive(Clone, Debug, PartialEq)]
pub struct Seed {
    /// Its name.
    pub name: String,
    /// Its plugin, which was taken in.
    pub plugin: String,
    /// The plugin's version.
    pub plugin_version: String,
    /// What differs from the plugin's defaults.
    pub config: Map<String, Value>,
    /// The topic of its alerts; none = the plugin's own.
    pub route: Option<String>,
    /// Whether and how it runs.
    pub mode: SeedMode,
}

/// Whether and how a rule runs that files put to work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeedMode {
    /// Not at all.
    Disabled,
    /// On trial.
    Shadow,
    /// Its alerts count.
    Active,
}

impl Registry {
    /// Takes a component in that lies in the home's folder.
    pub async fn take_in(&self, bytes: Vec<u8>) -> Result<()> {
        let actor = Actor::local();
        let change = Change { actor: &actor, why: Some("it lies in plugins/"), at: SystemClock.now() };
        let stored = self.upload(bytes, Wait::Built, &change).await?;
        match stored.reason {
            Some(reason) => Err(Error::invalid("take in component", stored.sha256, reason)),
            None => Ok(()),
        }
    }

    /// Puts a rule to work as the files say, unless they have said it before.
    pub async fn sow(&self, seed: &Seed) -> Result<()> {
        let why = format!("the home's files say so: {:?}", seed.mode).to_lowercase();
        let draft = Draft {
            plugin: Some(seed.plugin.clone()),
            plugin_version: Some(seed.plugin_version.clone()),
            config: Some(seed.config.clone()),
            route: Some(seed.route.clone()),
            ..Draft::default()
        };
        let operator = Actor::local();
        let change = Change { actor: &operator, why: Some(&why), at: SystemClock.now() };
        let version = match self.0.catalog.rule(&seed.name).await? {
            None => {
                self.create_rule(&seed.name, &draft, &change).await?;
                self.newest_version(&seed.name).await?
            }
            Some(_) if self.was_said(seed, &why).await? => return Ok(()),
            Some(_) => self.create_version(&seed.name, &draft, &change).await?,
        };
        let host = Actor::system();
        self.0.catalog.change_version(&seed.name, version.number, VersionStep::Submit, None, &change).await?;
        let approval = Change { actor: &host, ..change };
        self.0.catalog.change_version(&seed.name, version.number, VersionStep::Approve, None, &approval).await?;
        let step = match seed.mode {
            SeedMode::Disabled => RuleStep::Disable,
            SeedMode::Shadow => RuleStep::Try(Trial { version: version.number, mode: TrialMode::Shadow }),
            SeedMode::Active => RuleStep::Activate { version: version.number },
        };
        self.change_rule(&seed.name, &step, None, &change).await.map(drop)
    }

    /// Whether the files said the same when they spoke last.
    async fn was_said(&self, seed: &Seed, why: &str) -> Result<bool> {
        let mut cursor: Option<String> = None;
        loop {
            let page = PageQuery { cursor: cursor.as_deref(), limit: 100 };
            let page = self.0.catalog.rule_versions(&seed.name, &page).await?;
            let spoken =
                |why: &Option<String>| why.as_ref().is_some_and(|why| why.starts_with("the home's files say so"));
            if let Some(last) = page.items.iter().find(|v| v.author == Actor::local().subject && spoken(&v.why)) {
                let content = &last.content;
                let said = (&content.plugin, &content.plugin_version, &content.config, &content.route);
                return Ok(said == (&seed.plugin, &seed.plugin_version, &seed.config, &seed.route)
                    && last.why.as_deref() == Some(why));
            }
            match page.next_cursor {
                Some(next) => cursor = Some(next),
                None => return Ok(false),
            }
        }
    }
}
