//! Changing what runs: each change is checked as far as it can be beside the stream before the catalogue takes it.

use tamis_catalog::lists::List;
use tamis_catalog::rules::{Rule, RuleStep, Trial, Trip};
use tamis_catalog::{Change, Conflict};
use tamis_engine::rules::{self, OnStateChange, Role, RulePlan};
use tamis_model::time::Millis;
use tamis_model::{Error, Kind, Result};

use crate::{Registry, lists};

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
        let checked = self.check_step(name, step).await;
        self.kept(step.action(), name, change, checked).await?;
        let changed = self.0.catalog.change_rule(name, step, expected_revision, change).await?;
        self.announce().await?;
        Ok(changed)
    }

    /// Whether what a step puts to work can run.
    async fn check_step(&self, name: &str, step: &RuleStep) -> Result<()> {
        let rule = self.rule(name).await?;
        match step {
            RuleStep::Try(Trial { version, .. }) => drop(self.version_plan(name, *version, Role::Shadow).await?),
            RuleStep::Activate { version } => self.check_succession(&rule, *version).await?,
            RuleStep::RollBack => {
                if let Some(version) = rule.pointers.live_before.last() {
                    self.check_succession(&rule, *version).await?;
                }
            }
            RuleStep::Enable => {
                let trial = rule.pointers.trial.as_ref().map(|trial| trial.version);
                for version in rule.pointers.active_version.into_iter().chain(trial) {
                    self.version_plan(name, version, Role::Shadow).await?;
                }
            }
            RuleStep::EndTrial | RuleStep::Disable => {}
        }
        Ok(())
    }

    /// Gives a list other values, which every version that runs with it must accept.
    pub async fn put_list(
        &self,
        name: &str,
        values: &[String],
        expected_revision: Option<u64>,
        change: &Change<'_>,
    ) -> Result<List> {
        let running = self.0.catalog.running_rules().await?;
        let mut next: Vec<List> = running.lists.into_iter().filter(|list| list.name != name).collect();
        next.push(List { name: name.to_owned(), revision: 0, values: values.to_vec() });
        for rule in &running.rules {
            for version in rule.active.iter().chain(&rule.trial) {
                let plugin = self.plugin(&version.content.plugin_sha256).await?;
                if lists::declared(plugin.manifest()).any(|(_, list)| list == name) {
                    let plan = self.plan(&version.rule, &version.content, Role::Active, &next).await?;
                    (plan.make)(&plan.config)?;
                }
            }
        }
        let list = self.0.catalog.put_list(name, values, expected_revision, change).await?;
        self.announce().await?;
        Ok(list)
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
    async fn check_succession(&self, rule: &Rule, version: u32) -> Result<()> {
        let heir = self.version_plan(&rule.name, version, Role::Active).await?;
        let runs_already = rule.pointers.trial.as_ref().is_some_and(|trial| trial.version == version);
        let before = rule.pointers.active_version.filter(|active| *active != version && !rule.pointers.disabled);
        let Some(before) = before.filter(|_| !runs_already) else {
            // What is on trial goes on with its own state.
            return Ok(());
        };
        let old = self.version_plan(&rule.name, before, Role::Active).await?;
        if goes_on(&heir, &old) {
            return Ok(());
        }
        let reason = format!(
            "version {before} keeps state of version {} of {}, which version {version} cannot read: let it migrate or \
             reset (on_state_change), or try it in shadow first",
            old.manifest.state_version, old.plugin.name
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
