//! What can be done to the pointers of a rule, and what they are then: pure, so that the whole table can be tested.

use super::{Pointers, Trial, TrialMode};
use crate::change::Action;
use crate::conflict::Conflict;
use crate::operations::Trouble;
use crate::roles::Permission;
use crate::rule_versions::VersionState;

/// How many steps can be rolled back.
const LIVE_BEFORE_MAX: usize = 32;

/// Something that is done to a rule.
#[derive(Clone, Debug, PartialEq)]
pub enum RuleStep {
    /// Tries a version, in place of any other that is tried.
    Try(Trial),
    /// Stops trying.
    EndTrial,
    /// Lets a version judge, whether or not the rule was disabled; of one that was, nothing but that version runs.
    Activate {
        /// Which.
        version: u32,
    },
    /// Lets the version judge again that was live before; done again, the one before that.
    RollBack,
    /// The kill switch: nothing of the rule runs; the pointers stay.
    Disable,
    /// Takes the kill switch back: all runs as it did.
    Enable,
}

/// The host stops a version by itself: on trial it ends the trial, else it disables the rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trip<'a> {
    /// Which version.
    pub version: u32,
    /// Whether it was on trial when it went wrong.
    pub trial: bool,
    /// Why.
    pub reason: &'a str,
}

impl RuleStep {
    /// Its name in audit log and history.
    pub fn action(&self) -> Action {
        match self {
            Self::Try(Trial { mode: TrialMode::Shadow, .. }) => Action::RuleShadow,
            Self::Try(Trial { mode: TrialMode::Canary { .. }, .. }) => Action::RuleCanary,
            Self::EndTrial => Action::RuleEndTrial,
            Self::Activate { .. } => Action::RuleActivate,
            Self::RollBack => Action::RuleRollBack,
            Self::Disable => Action::RuleDisable,
            Self::Enable => Action::RuleEnable,
        }
    }

    /// What whoever does it must be permitted.
    pub fn permission(&self) -> Permission {
        match self.action() {
            Action::RuleShadow | Action::RuleEndTrial => Permission::RulesWrite,
            Action::RuleDisable => Permission::RulesDisable,
            _ => Permission::RulesActivate,
        }
    }

    /// Whether it must be said why.
    pub(super) fn needs_why(&self) -> bool {
        matches!(self, Self::RollBack | Self::Disable)
    }

    /// The version that it puts to work.
    pub(super) fn target(&self) -> Option<u32> {
        match self {
            Self::Try(trial) => Some(trial.version),
            Self::Activate { version } => Some(*version),
            Self::EndTrial | Self::RollBack | Self::Disable | Self::Enable => None,
        }
    }
}

impl Pointers {
    /// The pointers after a step; `target` is how the version stands that it puts to work.
    pub(super) fn after(&self, step: &RuleStep, target: Option<VersionState>) -> Result<Self, Conflict> {
        let mut next = self.clone();
        let approved = || match target {
            Some(VersionState::Approved | VersionState::Live | VersionState::Retired) => Ok(()),
            _ => Err(Conflict::State("the version is not approved".to_owned())),
        };
        match step {
            RuleStep::Try(_) if self.disabled => {
                return Err(Conflict::State("the rule is disabled, enable it first".to_owned()));
            }
            RuleStep::Try(trial) if self.active_version == Some(trial.version) => {
                return Err(Conflict::State(format!("version {} is active", trial.version)));
            }
            RuleStep::Try(trial) => {
                if trial.mode != TrialMode::Shadow {
                    approved()?;
                }
                next.trial = Some(trial.clone());
            }
            RuleStep::EndTrial => next.trial = None,
            RuleStep::Activate { version } => {
                approved()?;
                if self.disabled {
                    // Whoever activates a version asks for no other one to run.
                    (next.disabled, next.trial) = (false, None);
                }
                if let Some(active) = self.active_version.filter(|active| active != version) {
                    next.live_before.push(active);
                    next.live_before.drain(..next.live_before.len().saturating_sub(LIVE_BEFORE_MAX));
                }
                next.activate(*version);
            }
            RuleStep::RollBack => match next.live_before.pop() {
                Some(version) => next.activate(version),
                None => return Err(Conflict::State("no version was live before".to_owned())),
            },
            RuleStep::Disable => next.disabled = true,
            RuleStep::Enable => next.disabled = false,
        }
        // The kill switch answers whoever pulls it, and each pull is kept with its reason.
        if next == *self && *step != RuleStep::Disable { Err(Conflict::Unchanged) } else { Ok(next) }
    }

    /// The pointers after the host stopped a version, and what that is called; none when it no longer runs as it did.
    pub(super) fn after_trip(&self, trip: &Trip<'_>) -> Option<(Self, Action, Trouble)> {
        if self.disabled {
            return None;
        }
        let mut next = self.clone();
        if !trip.trial {
            next.disabled = true;
            return (self.active_version == Some(trip.version)).then_some((
                next,
                Action::RuleTrip,
                Trouble::RuleTripped,
            ));
        }
        let trial = next.trial.take_if(|trial| trial.version == trip.version)?;
        Some(match trial.mode {
            TrialMode::Shadow => (next, Action::RuleTrip, Trouble::RuleTripped),
            TrialMode::Canary { .. } => (next, Action::RuleRollBackCanary, Trouble::CanaryRolledBack),
        })
    }

    fn activate(&mut self, version: u32) {
        self.active_version = Some(version);
        self.trial.take_if(|trial| trial.version == version);
    }
}

#[cfg(test)]
mod tests;
