//! Changing what runs: each change is checked as far as it can be beside the stream before the catalogue takes it.
//!
//! A check takes its time, and other people change things meanwhile: the catalogue takes a change only while everything that it was
//! checked against stands. Else it is checked again.

use std::collections::HashSet;

use tamis_catalog::lists::List;
use tamis_catalog::rule_versions::RuleVersion;
use tamis_catalog::rules::{Rule, RuleStep, Trial, Trip};
use tamis_catalog::{Change, Checked, Conflict, Expected, Moved};
use tamis_engine::rules::{self, OnStateChange, Role, RulePlan};
use tamis_model::error::Context;
use tamis_model::time::Millis;
use tamis_model::{Error, Kind, Result};

use crate::{Registry, lists};

/// How often a change is checked at most: each time somebody else was faster.
const CHECKS_MAX: u32 = 16;

impl Registry {
    /// Does a step to a rule that is at revision `expected_revision` (none = at any). A version is put to work only if it starts and can
    /// go on with the state that it finds.
    pub async fn change_rule(
        &self,
        name: &str,
        step: &RuleStep,
        expected_revision: Option<u64>,
        change: &Change<'_>,
    ) -> Result<Rule> {
        let mut checks = 1;
        let changed = loop {
            match self.check_and_change(name, step, expected_revision, change).await {
                Err(error) if Moved::is_reason_of(&error) && checks < CHECKS_MAX => checks += 1,
                changed => break changed?,
            }
        };
        self.announce().await?;
        Ok(changed)
    }

    async fn check_and_change(
        &self,
        name: &str,
        step: &RuleStep,
        expected_revision: Option<u64>,
        change: &Change<'_>,
    ) -> Result<Rule> {
        let rule = self.rule(name).await?;
        let checked = Checked { rule: Some(rule.revision), ..Checked::default() };
        let checked = match step {
            // What stops something always can, and at once.
            RuleStep::EndTrial | RuleStep::Disable => Checked::default(),
            // The catalogue refuses it, as somebody who has not seen what is there.
            _ if expected_revision.is_some_and(|expected| expected != rule.revision) => checked,
            _ => {
                let checked = self.check_step(&rule, step, checked, change).await;
                self.kept(step.action(), name, change, checked).await?
            }
        };
        let expected = Expected { revision: expected_revision, checked };
        self.0.catalog.change_rule(name, step, expected, change).await
    }

    /// Whether what a step puts to work can run; what that was checked against besides `checked`.
    async fn check_step(&self, rule: &Rule, step: &RuleStep, checked: Checked, change: &Change<'_>) -> Result<Checked> {
        let starts = async |version: u32, checked: Checked| {
            let plan = self.checked_version(&rule.name, version, Role::Shadow, Some(change)).await?;
            self.check_topic(&plan).await?;
            Ok(checked.with_lists(&plan.lists))
        };
        match step {
            RuleStep::Try(Trial { version, .. }) => starts(*version, checked).await,
            RuleStep::Activate { version } => self.check_succession(rule, *version, checked, change).await,
            RuleStep::RollBack => match rule.pointers.live_before.last() {
                Some(version) => self.check_succession(rule, *version, checked, change).await,
                None => Ok(checked),
            },
            RuleStep::Enable => {
                let trial = rule.pointers.trial.as_ref().map(|trial| trial.version);
                let mut checked = checked;
                for version in rule.pointers.active_version.into_iter().chain(trial) {
                    checked = starts(version, checked).await?;
                }
                Ok(checked)
            }
            RuleStep::EndTrial | RuleStep::Disable => Ok(checked),
        }
    }

    /// Gives a list other values, which every version that runs with it must accept.
    pub async fn put_list(
        &self,
        name: &str,
        values: &[String],
        expected_revision: Option<u64>,
        change: &Change<'_>,
    ) -> Result<List> {
        let next = List { name: name.to_owned(), revision: 0, values: values.to_vec() };
        let (mut lists, mut accepted) = (Vec::new(), HashSet::new());
        let mut checks = 1;
        let list = loop {
            let running = self.0.catalog.running_rules().await?;
            let found = running.lists.iter().find(|list| list.name == name).map_or(0, |list| list.revision);
            // The catalogue refuses it then, as somebody who has not seen what is there.
            let is_stale = expected_revision.is_some_and(|expected| expected != found);
            let others = running.lists.into_iter().filter(|list| list.name != name);
            let now: Vec<List> = others.chain([next.clone()]).collect();
            if now != lists {
                (lists, accepted) = (now, HashSet::new());
            }
            for rule in running.rules.iter().filter(|_| !is_stale) {
                for version in rule.active.iter().chain(&rule.trial) {
                    // Whoever has accepted the same lists is not asked again.
                    if accepted.insert((version.rule.clone(), version.number)) {
                        self.check_list(name, version, &lists).await?;
                    }
                }
            }
            let checked = Checked { rule_set: Some(running.revision), ..Checked::default() };
            let expected = Expected { revision: expected_revision, checked };
            match self.0.catalog.put_list(name, values, expected, change).await {
                Err(error) if Moved::is_reason_of(&error) && checks < CHECKS_MAX => checks += 1,
                list => break list?,
            }
        };
        self.announce().await?;
        Ok(list)
    }

    /// Whether a version starts with `lists`, if it declares the one that is called `name`.
    async fn check_list(&self, name: &str, version: &RuleVersion, lists: &[List]) -> Result<()> {
        let plugin = self.plugin(&version.content.plugin_sha256).await?;
        if lists::declared(plugin.manifest()).any(|(_, list)| list == name) {
            let plan = self.plan(&version.rule, &version.content, Role::Active, lists).await?;
            self.check_start(plan).await?;
        }
        Ok(())
    }

    /// Whether there is a topic for the alerts of a version: a stream that has none stops. When nobody can say it now, the stream will.
    async fn check_topic(&self, plan: &RulePlan) -> Result<()> {
        let (registry, topic) = (self.clone(), plan.route.clone());
        let look = move || registry.0.finds_topic.get().map_or(Ok(true), |finds| finds(&topic));
        let found = tokio::task::spawn_blocking(look).await.outage("look for topic", &plan.route)?;
        match found {
            Ok(false) => {
                let reason = format!("no broker has topic {}: make it first", plan.route);
                Err(Error::invalid("route the alerts of rule", &plan.name, reason))
            }
            _ => Ok(()),
        }
    }

    /// Keeps that the engine has stopped a version by itself. Nothing when somebody was faster.
    pub async fn record_trip(&self, trip: &rules::Trip, now: Millis) -> Result<()> {
        let kept = Trip { version: trip.version, trial: trip.trial, reason: &trip.reason };
        self.0.catalog.trip(&trip.rule, &kept, now).await?;
        self.announce().await
    }

    pub(crate) async fn rule(&self, name: &str) -> Result<Rule> {
        let found = self.0.catalog.rule(name).await?;
        found.ok_or_else(|| Error::new(Kind::Missing, "find", format!("rule {name}")))
    }

    /// Whether a version can become the active one: it starts, and can read the state of the one before it unless it may begin anew.
    async fn check_succession(
        &self,
        rule: &Rule,
        version: u32,
        checked: Checked,
        change: &Change<'_>,
    ) -> Result<Checked> {
        let heir = self.checked_version(&rule.name, version, Role::Active, Some(change)).await?;
        self.check_topic(&heir).await?;
        let checked = checked.with_lists(&heir.lists);
        // What is on trial goes on with its own state, which it has once the stream tries it.
        let on_trial = rule.pointers.trial.as_ref().is_some_and(|trial| trial.version == version);
        let has_state = on_trial && self.is_tried(&rule.name, version);
        let before = rule.pointers.active_version.filter(|active| *active != version && !rule.pointers.disabled);
        let Some(before) = before.filter(|_| !has_state) else {
            return Ok(checked);
        };
        let old = self.checked_version(&rule.name, before, Role::Active, Some(change)).await?;
        if goes_on(&heir, &old) {
            return Ok(checked);
        }
        let reason = format!(
            "version {before} of the rule keeps state of {}, in state version {}, which version {version} cannot read: let it migrate or \
             reset (on_state_change), try it in shadow first, until the stream has taken that, or disable the rule first: \
             then it begins anew",
            old.plugin.name, old.manifest.state_version
        );
        Err(Error::new(Kind::Conflict, "activate", format!("version {version} of rule {}", rule.name))
            .because(Conflict::State(reason)))
    }
}

/// Whether the heir can go on after the old version.
fn goes_on(heir: &RulePlan, old: &RulePlan) -> bool {
    let language =
        |plan: &RulePlan| (plan.plugin.name.clone(), plan.manifest.state_version, plan.manifest.state_shape.clone());
    let same_plugin = heir.plugin.name == old.plugin.name;
    match heir.on_state_change {
        _ if !old.manifest.keyed() || language(heir) == language(old) => true,
        OnStateChange::Reset => true,
        OnStateChange::Migrate => same_plugin && heir.manifest.migrates_from.contains(&old.manifest.state_version),
        OnStateChange::Keep => false,
    }
}
