//! The rule set: what admins have put to work, as one immutable snapshot.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tamis_model::Result;
use tamis_model::alert::AlertMode;
use tamis_model::dead_letter::PluginRef;
use tamis_model::manifest::Manifest;
use tamis_model::rule::Rule;
use tamis_model::topic::TopicSchema;

use crate::plan::Plan;

/// The topic of all alerts of rules in shadow mode. They are kept apart from the routes that people act on.
pub const SHADOW_ALERTS: &str = "shadow_alerts";

/// Makes the code of a rule, configured with the JSON text it is given.
pub type MakeRule = dyn Fn(&str) -> Result<Box<dyn Rule>> + Send + Sync;

/// A version of a rule: a plugin put to work on topics.
#[derive(Clone)]
pub struct RulePlan {
    /// The rule's name; part of the identity of its alerts.
    pub name: String,
    /// The number of the version. Two versions of a rule can be in a set: one that is active, and one on trial.
    pub version: u32,
    /// Its plugin, exactly.
    pub plugin: PluginRef,
    /// What the plugin says of itself.
    pub manifest: Arc<Manifest>,
    /// Its configuration, JSON by the manifest's schema.
    pub config: String,
    /// The lists that went into its configuration, with their revisions.
    pub lists: Arc<BTreeMap<String, u64>>,
    /// Whether its alerts count.
    pub role: Role,
    /// The topic of its alerts that count.
    pub route: String,
    /// What becomes of the events on which it fails.
    pub on_failure: OnFailure,
    /// What becomes of a state that another version left, when it cannot be read.
    pub on_state_change: OnStateChange,
    /// Makes its code.
    pub make: Arc<MakeRule>,
}

impl fmt::Debug for RulePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RulePlan({self}, {:?})", self.role)
    }
}

impl fmt::Display for RulePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule {} version {} ({} {})", self.name, self.version, self.plugin.name, self.plugin.version)
    }
}

impl RulePlan {
    /// The first version of a rule, active, with the plugin's own route.
    pub fn new(
        name: impl Into<String>,
        plugin: PluginRef,
        manifest: Arc<Manifest>,
        config: String,
        make: Arc<MakeRule>,
    ) -> Self {
        Self {
            name: name.into(),
            version: 1,
            plugin,
            route: manifest.route.clone().unwrap_or_else(|| "alerts".to_owned()),
            manifest,
            config,
            lists: Arc::default(),
            role: Role::Active,
            on_failure: OnFailure::DeadLetter,
            on_state_change: OnStateChange::Keep,
            make,
        }
    }
}

/// Whether the alerts of a version count.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "mode")]
pub enum Role {
    /// They go to the rule's route; beside a canary, those of the keys that are not its own.
    Active,
    /// It is on trial: it judges everything, and its alerts go to [`SHADOW_ALERTS`] with an identity of their own.
    Shadow,
    /// It is on trial: it judges everything, and its alerts count for a share of the keys. Of these the active version's do not.
    Canary {
        /// The share, 1 to 99.
        percent: u8,
        /// Outside of it the trial ends.
        budget: Budget,
    },
}

impl Role {
    /// The mode of its alerts.
    pub fn alert_mode(self) -> AlertMode {
        match self {
            Self::Active | Self::Canary { .. } => AlertMode::Live,
            Self::Shadow => AlertMode::Shadow,
        }
    }

    /// Whether it is on trial.
    pub fn is_trial(self) -> bool {
        self != Self::Active
    }
}

/// What becomes of the events on which the code of a rule fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "policy")]
pub enum OnFailure {
    /// They go to the dead letters, and the stream goes on.
    #[default]
    DeadLetter,
    /// The stream stops before them: nothing is skipped.
    Halt,
    /// They go to the dead letters, and when they become too many the rule is stopped and the stream goes on without it.
    Disable(Budget),
}

/// How many failures and alerts are normal.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Budget {
    /// Events of a window before it is judged.
    pub rows_min: u64,
    /// Events of a window; then the next one begins.
    pub window_rows: u64,
    /// The highest share of events that it may fail on, in percent.
    pub errors_percent_max: f64,
    /// The highest share of events that may raise an alert, in percent; none = any.
    pub alerts_percent_max: Option<f64>,
}

impl Default for Budget {
    fn default() -> Self {
        Self { rows_min: 100, window_rows: 10_000, errors_percent_max: 5.0, alerts_percent_max: None }
    }
}

/// What becomes of a state that another version of the rule left, when its plugin, state version or shape is another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnStateChange {
    /// It must be readable: else the version cannot be put to work.
    #[default]
    Keep,
    /// The plugin migrates it.
    Migrate,
    /// The version begins anew.
    Reset,
}

/// The rules that run, swapped as a whole between two batches.
#[derive(Clone, Debug, Default)]
pub struct RuleSet {
    /// Counts up with every change.
    pub revision: u64,
    /// The versions that run, of each rule at most one active and one on trial.
    pub rules: Vec<Arc<RulePlan>>,
}

impl RuleSet {
    /// Whether it could be put to work on these topics; nothing of it is started.
    pub fn check(&self, schemas: &[TopicSchema]) -> Result<()> {
        Plan::new(schemas, self, &Self::default()).map(drop)
    }

    /// The rules with a key, or those without.
    pub(crate) fn keyed(&self, keyed: bool) -> Self {
        let rules = self.rules.iter().filter(|rule| rule.manifest.keyed() == keyed).cloned().collect();
        Self { revision: self.revision, rules }
    }
}

/// The host has stopped a version by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trip {
    /// The rule.
    pub rule: String,
    /// The number of the version.
    pub version: u32,
    /// Whether it was on trial: then the active version judges its keys again.
    pub trial: bool,
    /// Why.
    pub reason: String,
}
