//! What people want to put to work, checked before the catalogue keeps it.

use std::sync::Arc;

use serde_json::{Map, Value};
use tamis_catalog::lists::List;
use tamis_catalog::rule_versions::{FailurePolicy, NewVersion, OnStateChange, RuleVersion, VersionContent};
use tamis_catalog::rules::Rule;
use tamis_catalog::{Action, Change, PageQuery};
use tamis_engine::rules::{self, Budget, OnFailure, Role, RulePlan, RuleSet};
use tamis_model::dead_letter::DEAD_LETTERS;
use tamis_model::error::Context;
use tamis_model::{Error, Kind, Result};

use crate::{Registry, lists, rule_plan};

/// What a version of a rule is to be. What is absent is as in the version that it is based on, else as the plugin has it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Draft {
    /// The plugin; of a rule's first version the rule's own name when absent.
    pub plugin: Option<String>,
    /// Its version; the newest when absent and the plugin is named, or there is nothing to be based on.
    pub plugin_version: Option<String>,
    /// What differs from the plugin's defaults, as a whole.
    pub config: Option<Map<String, Value>>,
    /// The topic of its alerts; `Some(None)` = the plugin's own.
    pub route: Option<Option<String>>,
    /// What becomes of the events on which it fails.
    pub on_failure: Option<FailurePolicy>,
    /// What becomes of the state of the version before it.
    pub on_state_change: Option<OnStateChange>,
    /// The version that it is based on; the newest when absent.
    pub based_on: Option<u32>,
}

impl Registry {
    /// Makes a rule with a draft as its first version.
    pub async fn create_rule(&self, name: &str, draft: &Draft, change: &Change<'_>) -> Result<Rule> {
        let checked = self.checked_content(name, draft, None, change).await;
        let content = self.kept(Action::RuleCreate, name, change, checked).await?;
        self.0.catalog.create_rule(name, &NewVersion { content, based_on: None }, change).await
    }

    /// Makes another version of a rule, a draft.
    pub async fn create_version(&self, rule: &str, draft: &Draft, change: &Change<'_>) -> Result<RuleVersion> {
        let base = match draft.based_on {
            Some(number) => self.version(rule, number).await?,
            None => self.newest_version(rule).await?,
        };
        let checked = self.checked_content(rule, draft, Some(&base.content), change).await;
        let content = self.kept(Action::VersionCreate, rule, change, checked).await?;
        let version = NewVersion { content, based_on: Some(base.number) };
        self.0.catalog.create_version(rule, &version, None, change).await
    }

    /// The plan of what is not (yet) a version of a rule: for a backtest.
    pub async fn draft_plan(&self, name: &str, draft: &Draft) -> Result<RulePlan> {
        let content = self.content(name, draft, None).await?;
        self.check(name, &content, Role::Active, None).await
    }

    /// The plan of a version of a rule, as the lists are now.
    pub async fn version_plan(&self, rule: &str, number: u32, role: Role) -> Result<RulePlan> {
        self.checked_version(rule, number, role, None).await
    }

    /// The same; lists that it declares are made by `change` when they are not there.
    pub(crate) async fn checked_version(
        &self,
        rule: &str,
        number: u32,
        role: Role,
        change: Option<&Change<'_>>,
    ) -> Result<RulePlan> {
        let RuleVersion { number, content, .. } = self.version(rule, number).await?;
        Ok(RulePlan { version: number, ..self.check(rule, &content, role, change).await? })
    }

    pub(crate) async fn version(&self, rule: &str, number: u32) -> Result<RuleVersion> {
        let found = self.0.catalog.rule_version(rule, number).await?;
        found.ok_or_else(|| Error::new(Kind::Missing, "find", format!("version {number} of rule {rule}")))
    }

    pub(crate) async fn newest_version(&self, rule: &str) -> Result<RuleVersion> {
        let newest = PageQuery { cursor: None, limit: 1 };
        let found = self.0.catalog.rule_versions(rule, &newest).await?.items.into_iter().next();
        found.ok_or_else(|| Error::new(Kind::Missing, "find", format!("rule {rule}")))
    }

    /// What a draft comes to, which could run.
    async fn checked_content(
        &self,
        rule: &str,
        draft: &Draft,
        base: Option<&VersionContent>,
        change: &Change<'_>,
    ) -> Result<VersionContent> {
        let content = self.content(rule, draft, base).await?;
        self.check(rule, &content, Role::Active, Some(change)).await?;
        Ok(content)
    }

    async fn content(&self, rule: &str, draft: &Draft, base: Option<&VersionContent>) -> Result<VersionContent> {
        let (plugin, plugin_version, plugin_sha256) = match (base, &draft.plugin, &draft.plugin_version) {
            (Some(base), None, None) => (base.plugin.clone(), base.plugin_version.clone(), base.plugin_sha256.clone()),
            (base, plugin, version) => {
                let based_on = base.map_or(rule, |base| base.plugin.as_str());
                let name = plugin.as_deref().unwrap_or(based_on);
                let stored = self.ready_plugin(name, version.as_deref()).await?;
                (name.to_owned(), stored.version.unwrap_or_default(), stored.sha256)
            }
        };
        let route = draft.route.clone().or_else(|| base.map(|base| base.route.clone())).unwrap_or_default();
        Ok(VersionContent {
            plugin,
            plugin_version,
            plugin_sha256,
            config: draft.config.clone().or_else(|| base.map(|base| base.config.clone())).unwrap_or_default(),
            route,
            on_failure: draft.on_failure.clone().or_else(|| base.map(|b| b.on_failure.clone())).unwrap_or_default(),
            on_state_change: draft
                .on_state_change
                .or_else(|| base.map(|base| base.on_state_change))
                .unwrap_or(OnStateChange::Keep),
        })
    }

    /// Whether a version could run: its configuration fits, its topics and columns are there, its alerts have somewhere to go, its code
    /// starts. Lists that it declares and that are not there are made by `change`; where nothing is changed they have their defaults.
    async fn check(
        &self,
        rule: &str,
        content: &VersionContent,
        role: Role,
        change: Option<&Change<'_>>,
    ) -> Result<RulePlan> {
        let plugin = self.plugin(&content.plugin_sha256).await?;
        let mut found = Vec::new();
        for (setting, name) in lists::declared(plugin.manifest()) {
            let values = lists::default_values(plugin.manifest(), setting);
            found.push(match change {
                Some(change) => self.0.catalog.ensure_list(name, &values, change).await?,
                None => {
                    let list = self.0.catalog.list(name).await?;
                    list.unwrap_or_else(|| List { name: name.to_owned(), revision: 0, values })
                }
            });
        }
        let plan = self.plan(rule, content, role, &found).await?;
        // Also where it is the plugin that says so.
        self.check_route(rule, &plan.route)?;
        self.check_start(plan).await
    }

    /// The plan, if its topics and columns are there and its code starts.
    pub(crate) async fn check_start(&self, plan: RulePlan) -> Result<RulePlan> {
        let (registry, rule) = (self.clone(), plan.name.clone());
        // What a plugin does when it is configured may take its deadline.
        tokio::task::spawn_blocking(move || {
            RuleSet { revision: 0, rules: vec![Arc::new(plan.clone())] }.check(&registry.0.schemas)?;
            (plan.make)(&plan.config)?;
            Ok(plan)
        })
        .await
        .outage("check rule", rule)?
    }

    /// The plan of a version with the given lists.
    pub(crate) async fn plan(
        &self,
        rule: &str,
        content: &VersionContent,
        role: Role,
        lists: &[List],
    ) -> Result<RulePlan> {
        let plugin = self.plugin(&content.plugin_sha256).await?;
        let list = |name: &str| {
            let list = lists.iter().find(|list| list.name == name)?;
            Some((list.revision, &list.values[..]))
        };
        let (config, revisions) = lists::filled(plugin.manifest(), &content.config, list);
        let name = rule.to_owned();
        // Some plugins are asked what they are under a configuration, which may take their deadline.
        let plan = tokio::task::spawn_blocking(move || {
            rule_plan(&name, &plugin, plugin.effective_config(&Value::Object(config))?)
        });
        let plan = plan.await.outage("plan rule", rule)??;
        Ok(RulePlan {
            role,
            route: content.route.clone().unwrap_or(plan.route),
            lists: Arc::new(revisions),
            on_failure: on_failure(&content.on_failure),
            on_state_change: on_state_change(content.on_state_change),
            ..plan
        })
    }

    /// Alerts may not come back as events, nor lie among the dead letters.
    fn check_route(&self, rule: &str, route: &str) -> Result<()> {
        let refuse = |reason: String| Err(Error::invalid("route the alerts of rule", rule, reason));
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        if route.is_empty() || route.len() > 120 || !route.bytes().all(legal) {
            return refuse(format!("{route:?} is no topic name: letters, digits, `_` and `-`, at most 120"));
        }
        if route == DEAD_LETTERS || route == rules::SHADOW_ALERTS || self.0.schemas.iter().any(|s| s.name == route) {
            return refuse(format!("topic {route} has another use"));
        }
        Ok(())
    }
}

fn on_failure(policy: &FailurePolicy) -> OnFailure {
    match policy {
        FailurePolicy::DeadLetter => OnFailure::DeadLetter,
        FailurePolicy::Halt => OnFailure::Halt,
        FailurePolicy::Disable(breaker) => OnFailure::Disable(Budget {
            rows_min: breaker.rows_min,
            window_rows: breaker.window_rows,
            errors_percent_max: breaker.bad_percent_max,
            alerts_percent_max: None,
        }),
    }
}

pub(crate) fn on_state_change(way: OnStateChange) -> rules::OnStateChange {
    match way {
        OnStateChange::Keep => rules::OnStateChange::Keep,
        OnStateChange::Migrate => rules::OnStateChange::Migrate,
        OnStateChange::Reset => rules::OnStateChange::Reset,
    }
}
