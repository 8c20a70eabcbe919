//! The rule set: what admins have put to work, as one immutable snapshot.

use std::fmt;
use std::sync::Arc;

use tamis_model::Result;
use tamis_model::alert::AlertMode;
use tamis_model::dead_letter::PluginRef;
use tamis_model::manifest::Manifest;
use tamis_model::rule::Rule;

/// The topic of all alerts of rules in shadow mode. They are kept apart from the routes that people act on.
pub const SHADOW_ALERTS: &str = "shadow_alerts";

/// Makes the code of a rule, configured with the JSON text it is given.
pub type MakeRule = dyn Fn(&str) -> Result<Box<dyn Rule>> + Send + Sync;

/// A rule: a plugin put to work on topics.
#[derive(Clone)]
pub struct RulePlan {
    /// Its name, unique in the set; part of the identity of its alerts.
    pub name: String,
    /// Its plugin, exactly.
    pub plugin: PluginRef,
    /// What the plugin says of itself.
    pub manifest: Arc<Manifest>,
    /// Its configuration, JSON by the manifest's schema.
    pub config: String,
    /// Whether its alerts count.
    pub mode: RuleMode,
    /// The topic of its alerts while it is active.
    pub route: String,
    /// Whether it may begin with empty state when what is stored is of another `state_version`;
    /// otherwise such a state is an error.
    pub resets_state: bool,
    /// Makes its code.
    pub make: Arc<MakeRule>,
}

impl fmt::Debug for RulePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RulePlan({} by {} {})", self.name, self.plugin.name, self.plugin.version)
    }
}

/// Whether the alerts of a rule count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleMode {
    /// They go to the rule's route.
    Active,
    /// It is on trial: they go to [`SHADOW_ALERTS`] with an identity of their own.
    Shadow,
}

impl RuleMode {
    /// The mode of its alerts.
    pub fn alert_mode(self) -> AlertMode {
        match self {
            Self::Active => AlertMode::Live,
            Self::Shadow => AlertMode::Shadow,
        }
    }
}

/// The rules that run, swapped as a whole between two batches.
#[derive(Clone, Debug, Default)]
pub struct RuleSet {
    /// Counts up with every change.
    pub revision: u64,
    /// The rules.
    pub rules: Vec<Arc<RulePlan>>,
}
