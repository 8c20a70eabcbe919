//! Changing the rules between two batches, and what happens when the host stops one by itself.

use std::sync::Arc;

use tamis_model::{Error, Result};

use super::Stream;
use crate::exchange::Part;
use crate::judge::RuleRun;
use crate::plan::Plan;
use crate::roster::{Before, Refused, Roster};
use crate::rules::{RulePlan, RuleSet};
use crate::share::Share;

/// What a set that was put to work came to.
struct Swapped {
    /// Whether a version begins anew that could not do so a second time.
    forgets: bool,
    /// Why the first of the versions that cannot be started cannot.
    refused: Option<Error>,
}

impl Stream {
    /// Goes on with other rules, between two batches. A version that stays keeps its code and its state; a new one begins with the
    /// state of the active one before it, where it can read that.
    ///
    /// Returns an error when a version cannot be started: what ran in its place goes on, and every other rule is as the set says. Nothing
    /// changes when the set does not fit the topics.
    ///
    /// # Errors
    /// When the checkpoint that the change needs fails: as after every error, the stream is to be dropped.
    pub fn swap_rules(&mut self, rules: &RuleSet) -> Result<Result<()>> {
        match self.put_to_work(rules) {
            Ok(Swapped { forgets, refused }) => {
                if forgets {
                    // A restart could not tell why it reads nothing of what the last checkpoint has.
                    self.checkpoint()?;
                }
                Ok(refused.map_or(Ok(()), Err))
            }
            Err(error) => Ok(Err(error)),
        }
    }

    fn put_to_work(&mut self, rules: &RuleSet) -> Result<Swapped> {
        let (own, routed) = parts_of(&self.settings.part, rules);
        Plan::new(&self.schemas, &own, &routed)?;
        check_sinks(&own, self.takes_rows)?;
        let trials = trials(&self.runs);
        let runs = std::mem::take(&mut self.runs).into_iter().map(|run| Before::Run(Box::new(run)));
        let resting = std::mem::take(&mut self.resting).into_iter().map(|kept| Before::Restored(Box::new(kept)));
        let (refused, forgets) = self.take_up(rules, runs.chain(resting).collect())?;
        self.forget_trials_but(&trials);
        self.changed = true;
        self.take_stock();
        let refused = refused.into_iter().next().map(|Refused { error, .. }| error);
        if refused.is_none() {
            self.report.revision = rules.revision;
        }
        Ok(Swapped { forgets, refused })
    }

    /// Puts a set to work. Returns what cannot be started, and whether something begins anew that could not do so again.
    pub(super) fn take_up(&mut self, rules: &RuleSet, before: Vec<Before>) -> Result<(Vec<Refused>, bool)> {
        let (own, routed) = parts_of(&self.settings.part, rules);
        let roster = Roster::new(&own, &before, self.settings.shards);
        let forgets = roster.forgets;
        match Plan::new(&self.schemas, &roster.rules, &routed) {
            Ok(plan) => {
                let (runs, resting, refused) = roster.assemble(before);
                (self.plan, self.runs, self.resting) = (plan, runs, resting);
                Ok((refused, forgets))
            }
            Err(error) => {
                (self.runs, self.resting) = Before::apart(before);
                Err(error)
            }
        }
    }

    /// Whether a version that `rules` replaces, or changes, has said something since the last checkpoint.
    pub(super) fn would_be_unsaid(&self, rules: &RuleSet) -> bool {
        let goes_on = |run: &RuleRun| rules.rules.iter().any(|plan| run.is_as(plan));
        self.runs.iter().any(|run| run.has_spoken && !goes_on(run))
    }

    /// Tells of the versions that were stopped: the keys of a canary are the active version's again.
    pub(super) fn take_stock(&mut self) {
        self.trips.extend(self.runs.iter_mut().filter_map(RuleRun::trip));
        self.share_out();
    }

    /// Who speaks for which keys.
    fn share_out(&mut self) {
        let running: Vec<_> =
            self.runs.iter().filter(|run| run.kept.tripped.is_none()).map(|run| run.plan.clone()).collect();
        for run in &mut self.runs {
            let is_beside = |other: &&Arc<RulePlan>| other.name == run.plan.name && other.version != run.plan.version;
            let beside = running.iter().find(is_beside);
            run.share = Share::of(&run.plan, beside.map(|other| &**other));
        }
    }

    /// Counts of a trial are those of one version.
    pub(super) fn forget_trials_but(&mut self, before: &[(String, u32)]) {
        let now = trials(&self.runs);
        self.report.counts.trials.retain(|name, _| now.iter().any(|trial| trial.0 == *name && before.contains(trial)));
    }
}

/// The rules that a part judges by, and those for which it hands records on.
pub(super) fn parts_of(part: &Part, rules: &RuleSet) -> (RuleSet, RuleSet) {
    match part {
        Part::Whole => (rules.clone(), RuleSet::default()),
        Part::Unkeyed(_) => (rules.keyed(false), rules.keyed(true)),
        Part::Keyed { .. } => (rules.keyed(true), RuleSet::default()),
    }
}

/// The versions that are on trial.
fn trials(runs: &[RuleRun]) -> Vec<(String, u32)> {
    runs.iter().filter(|run| run.kept.author.trial).map(|run| run.kept.author.place()).collect()
}

/// Rows that are emitted must have somewhere to go.
pub(super) fn check_sinks(rules: &RuleSet, takes_rows: bool) -> Result<()> {
    match rules.rules.iter().find(|rule| rule.manifest.output.is_some()) {
        Some(rule) if !takes_rows => {
            Err(Error::invalid("put to work", rule, "it emits rows, and there is no sink for them"))
        }
        _ => Ok(()),
    }
}
