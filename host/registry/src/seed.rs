//! What the files of a home put to work: the components in `plugins/`, and `[rules]` of `tamis.toml`.
//!
//! Whoever can write these files is the operator: what they say counts as approved. A file speaks when it says something new; what people change
//! afterwards stands until it speaks again.

use serde_json::{Map, Value};
use tamis_catalog::rule_versions::{RuleVersion, VersionState, VersionStep};
use tamis_catalog::rules::{RuleStep, Trial, TrialMode};
use tamis_catalog::{Action, Actor, Change, PageQuery};
use tamis_engine::{Clock, SystemClock};
use tamis_model::{Error, Kind, Result};

use crate::upload::Wait;
use crate::{Draft, Registry};

/// How their reasons begin: by that it is known what they have said.
const SAID: &str = "the home's files say so";
/// Steps at most; four are enough for a process alone.
const STEPS_MAX: u32 = 16;

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

    /// Puts a rule to work as the files say, unless they have said it before. Each step is a change of its own, and each look begins anew: so
    /// what was begun by a process that died is finished.
    pub async fn sow(&self, seed: &Seed) -> Result<()> {
        let why = format!("{SAID}: {:?}", seed.mode).to_lowercase();
        let mut refused = None;
        for _ in 0..STEPS_MAX {
            let Some(left) = self.left_to_do(seed, &why).await? else {
                return Ok(());
            };
            refused = match self.do_next(seed, left, &why).await {
                Ok(()) => None,
                // Another process that does the same may have been faster: then something else is left to do.
                Err(error) if error.kind() == Kind::Conflict && refused != Some(left) => Some(left),
                Err(error) => return Err(error),
            };
        }
        let error = Error::new(Kind::Conflict, "put to work", format!("rule {}, as the files say", seed.name));
        Err(error.because("others change it all the time"))
    }

    /// What is still to be done of what the files say; none when they have said it.
    async fn left_to_do(&self, seed: &Seed, why: &str) -> Result<Option<Left>> {
        let Some(rule) = self.0.catalog.rule(&seed.name).await? else {
            return Ok(Some(Left::Rule));
        };
        let last = self.last_said(&seed.name).await?;
        let Some(last) = last.filter(|last| is_as(last, seed) && last.why.as_deref() == Some(why)) else {
            return Ok(Some(Left::Version));
        };
        let number = last.number;
        if self.was_decided(&seed.name, number).await? {
            return Ok(None);
        }
        Ok(match last.state {
            VersionState::Draft => Some(Left::Submission(number)),
            VersionState::InReview => Some(Left::Approval(number)),
            _ if seed.mode == SeedMode::Shadow && rule.pointers.disabled => {
                tracing::warn!(
                    rule = rule.name,
                    "the files say that it is tried, but its kill switch was pulled: that stands"
                );
                None
            }
            _ => Some(Left::Mode(number)),
        })
    }

    async fn do_next(&self, seed: &Seed, left: Left, why: &str) -> Result<()> {
        let (operator, host) = (Actor::local(), Actor::system());
        let change = Change { actor: &operator, why: Some(why), at: SystemClock.now() };
        let review = async |number, step, change: Change<'_>| {
            self.0.catalog.change_version(&seed.name, number, step, None, &change).await.map(drop)
        };
        match left {
            Left::Rule => self.create_rule(&seed.name, &draft(seed), &change).await.map(drop),
            Left::Version => self.create_version(&seed.name, &draft(seed), &change).await.map(drop),
            Left::Submission(number) => review(number, VersionStep::Submit, change).await,
            Left::Approval(number) => review(number, VersionStep::Approve, Change { actor: &host, ..change }).await,
            Left::Mode(version) => {
                let step = match seed.mode {
                    SeedMode::Disabled => RuleStep::Disable,
                    SeedMode::Shadow => RuleStep::Try(Trial { version, mode: TrialMode::Shadow }),
                    SeedMode::Active => RuleStep::Activate { version },
                };
                self.change_rule(&seed.name, &step, None, &change).await.map(drop)
            }
        }
    }

    /// The version that the files said last.
    async fn last_said(&self, rule: &str) -> Result<Option<RuleVersion>> {
        let by_files = |version: &RuleVersion| {
            version.author == Actor::local().subject && version.why.as_ref().is_some_and(|why| why.starts_with(SAID))
        };
        let mut cursor: Option<String> = None;
        loop {
            let page = PageQuery { cursor: cursor.as_deref(), limit: 100 };
            let page = self.0.catalog.rule_versions(rule, &page).await?;
            let found = page.items.into_iter().find(by_files);
            match page.next_cursor {
                Some(next) if found.is_none() => cursor = Some(next),
                _ => return Ok(found),
            }
        }
    }

    /// Whether anybody has decided what of a rule runs, or has sent this version of it back, since the version was made: then that stands.
    async fn was_decided(&self, rule: &str, version: u32) -> Result<bool> {
        let mut cursor: Option<String> = None;
        loop {
            let page = PageQuery { cursor: cursor.as_deref(), limit: 100 };
            let page = self.0.catalog.rule_history(rule, &page).await?;
            for revision in &page.items {
                let is_of_version = revision.version == Some(version);
                match revision.action {
                    Action::RuleCreate => return Ok(false),
                    Action::VersionCreate | Action::VersionReject if is_of_version => {
                        return Ok(revision.action == Action::VersionReject);
                    }
                    Action::VersionCreate | Action::VersionSubmit | Action::VersionApprove | Action::VersionReject => {}
                    _ => return Ok(true),
                }
            }
            match page.next_cursor {
                Some(next) => cursor = Some(next),
                None => return Ok(false),
            }
        }
    }
}

/// What is still to be done of what the files say of a rule.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Left {
    /// All of it.
    Rule,
    /// All of it, to a rule that is there.
    Version,
    /// This version is a draft.
    Submission(u32),
    /// This version is in review.
    Approval(u32),
    /// This version is approved, and does not run as they say.
    Mode(u32),
}

fn draft(seed: &Seed) -> Draft {
    Draft {
        plugin: Some(seed.plugin.clone()),
        plugin_version: Some(seed.plugin_version.clone()),
        config: Some(seed.config.clone()),
        route: Some(seed.route.clone()),
        ..Draft::default()
    }
}

fn is_as(version: &RuleVersion, seed: &Seed) -> bool {
    let content = &version.content;
    (&content.plugin, &content.plugin_version, &content.config, &content.route)
        == (&seed.plugin, &seed.plugin_version, &seed.config, &seed.route)
}
