//! The rule set that the engine runs: one immutable snapshot of what the catalogue holds.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tamis_catalog::lists::List;
use tamis_catalog::rule_sets::RunningRule;
use tamis_catalog::rule_versions::RuleVersion;
use tamis_catalog::rules::{Trial, TrialMode};
use tamis_engine::rules::{Budget, Role, RulePlan, RuleSet};
use tamis_model::Result;

use crate::Registry;

impl Registry {
    /// The rules that run, as the catalogue has them at one moment. Versions that ran in the snapshot before are not made again,
    /// so that a change among many rules costs what changed.
    pub async fn rule_set(&self) -> Result<RuleSet> {
        let running = self.0.catalog.running_rules().await?;
        let mut plans = Vec::new();
        for RunningRule { rule, active, trial } in &running.rules {
            if let Some(version) = active {
                plans.push(self.running_plan(version, Role::Active, &running.lists).await?);
            }
            if let (Some(version), Some(trial)) = (trial, &rule.pointers.trial) {
                plans.push(self.running_plan(version, role_of(trial), &running.lists).await?);
            }
        }
        let running_plans = plans.iter().map(|plan| ((plan.name.clone(), plan.version), Arc::clone(plan)));
        *self.0.running.lock().expect("nobody panics with it") = running_plans.collect::<HashMap<_, _>>();
        Ok(RuleSet { revision: running.revision, rules: plans })
    }

    /// Says which versions a stream tries now: each has a state of its own, with which it can go on as the active one.
    pub fn set_tried(&self, trials: impl IntoIterator<Item = (String, u32)>) {
        *self.0.tried.lock().expect("nobody panics with it") = trials.into_iter().collect();
    }

    /// Whether a stream tries a version now.
    pub(crate) fn is_tried(&self, rule: &str, version: u32) -> bool {
        self.0.tried.lock().expect("nobody panics with it").contains(&(rule.to_owned(), version))
    }

    async fn running_plan(&self, version: &RuleVersion, role: Role, lists: &[List]) -> Result<Arc<RulePlan>> {
        let place = (version.rule.clone(), version.number);
        let ran = self.0.running.lock().expect("nobody panics with it").get(&place).cloned();
        match ran.filter(|plan| is_current(&plan.lists, lists)) {
            Some(plan) if plan.role == role => Ok(plan),
            Some(plan) => Ok(Arc::new(RulePlan { role, ..RulePlan::clone(&plan) })),
            None => {
                let plan = self.plan(&version.rule, &version.content, role, lists).await?;
                Ok(Arc::new(RulePlan { version: version.number, ..plan }))
            }
        }
    }
}

fn is_current(used: &BTreeMap<String, u64>, lists: &[List]) -> bool {
    used.iter().all(|(name, revision)| lists.iter().any(|list| list.name == *name && list.revision == *revision))
}

fn role_of(trial: &Trial) -> Role {
    match &trial.mode {
        TrialMode::Shadow => Role::Shadow,
        TrialMode::Canary { canary_percent, budget } => Role::Canary {
            percent: *canary_percent,
            budget: Budget {
                rows_min: budget.rows_min,
                window_rows: budget.window_rows,
                errors_percent_max: budget.errors_percent_max,
                alerts_percent_max: budget.alerts_percent_max,
            },
        },
    }
}
