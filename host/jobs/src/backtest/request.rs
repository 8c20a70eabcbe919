//! A backtest as people ask for it, and as the catalogue keeps it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tamis_catalog::PageQuery;
use tamis_engine::rules::{Role, RulePlan};
use tamis_model::{Error, Kind, Result};
use tamis_registry::{Draft, Registry};

use super::{Backtest, Margins, Window};

/// A backtest to be: what is tried, over which time, and what it is compared with.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BacktestRequest {
    /// The rule of which a version is tried, or under whose name a plugin is; the plugin's name when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The version of the rule; when absent the active one, else the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// The plugin that is tried when no version of a rule is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
    /// The plugin's version; the newest when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin_version: Option<String>,
    /// Settings that differ from those of the rule's version, or from the plugin's defaults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub config: Option<Map<String, Value>>,
    /// The first moment whose alerts count, RFC 3339.
    pub from: String,
    /// The first moment whose alerts no longer count, RFC 3339.
    pub to: String,
    /// Where the records come from.
    #[serde(default)]
    pub source: BacktestSource,
    /// How much is read before the window; what the rules need when absent: see [`Margins::of`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warmup_ms: Option<u64>,
    /// How much is read behind the window; what the rules need when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_out_ms: Option<u64>,
    /// What it is compared with; when absent the active version of the rule, if that is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compare_with: Option<OtherVersion>,
}

/// Where the records of a backtest come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BacktestSource {
    /// The topics.
    #[default]
    Topics,
    /// The archive of the lake, which backtests do not read yet: it is refused.
    Archive,
}

/// What a version is compared with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(untagged)]
pub enum OtherVersion {
    /// Another version of the same rule, by its number.
    Rule(u32),
    /// A version of a plugin with its defaults, `name@version`.
    Plugin(String),
}

impl BacktestRequest {
    /// Decides what was left open, and refuses what cannot be run. A version that has no number gets 0.
    pub async fn resolve(&self, registry: &Registry) -> Result<Backtest> {
        let window = Window::parse(&self.from, &self.to)?;
        if self.source == BacktestSource::Archive {
            return Err(refuse("backtests do not read the archive yet; `topics` can be replayed"));
        }
        let rule = self.rule.as_ref().or(self.plugin.as_ref()).ok_or_else(|| refuse("name a rule or a plugin"))?;
        let version = match &self.plugin {
            Some(_) if self.version.is_some() => return Err(refuse("either a version of a rule or a plugin is tried")),
            Some(plugin) => self.of_plugin(registry, rule, plugin).await?,
            None if self.plugin_version.is_some() => return Err(refuse("the version of a plugin needs the plugin")),
            None => self.of_rule(registry, rule).await?,
        };
        let compared_with = self.other(registry, rule, &version).await?;
        let needed = compared_with.iter().fold(Margins::of(&version), |margins, other| margins.or(Margins::of(other)));
        let chosen = |wanted_ms: Option<u64>, needed_ms: i64| {
            wanted_ms.map_or(needed_ms, |wanted_ms| i64::try_from(wanted_ms).unwrap_or(i64::MAX))
        };
        let margins = Margins {
            warm_up_ms: chosen(self.warmup_ms, needed.warm_up_ms),
            run_out_ms: chosen(self.run_out_ms, needed.run_out_ms),
        };
        Ok(Backtest { version, compared_with, window, margins })
    }

    async fn of_plugin(&self, registry: &Registry, rule: &str, plugin: &str) -> Result<RulePlan> {
        draft(registry, rule, plugin, self.plugin_version.as_deref(), self.config.clone().unwrap_or_default()).await
    }

    async fn of_rule(&self, registry: &Registry, rule: &str) -> Result<RulePlan> {
        let number = match self.version {
            Some(number) => number,
            None => current_version(registry, rule).await?,
        };
        let Some(overrides) = &self.config else {
            return registry.version_plan(rule, number, Role::Active).await;
        };
        let found = registry.catalog().rule_version(rule, number).await?;
        let content = found.ok_or_else(|| missing(format!("version {number} of rule {rule}")))?.content;
        let mut config = content.config;
        config.extend(overrides.clone());
        draft(registry, rule, &content.plugin, Some(&content.plugin_version), config).await
    }

    async fn other(&self, registry: &Registry, rule: &str, version: &RulePlan) -> Result<Option<RulePlan>> {
        let number = match &self.compare_with {
            Some(OtherVersion::Plugin(other)) => {
                let (plugin, plugin_version) = other.split_once('@').map_or((&other[..], None), |(p, v)| (p, Some(v)));
                return draft(registry, rule, plugin, plugin_version, Map::new()).await.map(Some);
            }
            Some(OtherVersion::Rule(number)) => Some(*number),
            None => {
                let found = registry.catalog().rule(rule).await?;
                found.and_then(|rule| rule.pointers.active_version).filter(|active| *active != version.version)
            }
        };
        match number {
            Some(number) => registry.version_plan(rule, number, Role::Active).await.map(Some),
            None => Ok(None),
        }
    }
}

/// What is no version of a rule.
async fn draft(
    registry: &Registry,
    rule: &str,
    plugin: &str,
    plugin_version: Option<&str>,
    config: Map<String, Value>,
) -> Result<RulePlan> {
    let draft = Draft {
        plugin: Some(plugin.to_owned()),
        plugin_version: plugin_version.map(str::to_owned),
        config: Some(config),
        ..Draft::default()
    };
    Ok(RulePlan { version: 0, ..registry.draft_plan(rule, &draft).await? })
}

/// The active version of a rule, else its newest.
async fn current_version(registry: &Registry, rule: &str) -> Result<u32> {
    let found = registry.catalog().rule(rule).await?;
    let found = found.ok_or_else(|| missing(format!("rule {rule}")))?;
    if let Some(active) = found.pointers.active_version {
        return Ok(active);
    }
    let newest = registry.catalog().rule_versions(rule, &PageQuery { cursor: None, limit: 1 }).await?;
    newest.items.first().map(|version| version.number).ok_or_else(|| missing(format!("a version of rule {rule}")))
}

fn refuse(reason: &str) -> Error {
    Error::invalid("start", "a backtest", reason)
}

fn missing(object: String) -> Error {
    Error::new(Kind::Missing, "replay", object).because("there is none")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn requests_are_read_as_they_are_written() {
        let window = json!({"from": "2026-03-18T00:00:00Z", "to": "2026-03-19T00:00:00Z"});
        let check = |members: Value, expected: BacktestRequest| {
            let mut json = window.clone();
            json.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
            let request: BacktestRequest = serde_json::from_value(json).unwrap();
            let of = |member: &str| window[member].as_str().unwrap().to_owned();
            assert_eq!(request, BacktestRequest { from: of("from"), to: of("to"), ..expected });
            let written = serde_json::to_value(&request).unwrap();
            assert_eq!(serde_json::from_value::<BacktestRequest>(written).unwrap(), request);
        };
        let rule = Some("card-testing".to_owned());
        check(
            json!({"rule": "card-testing", "version": 4, "compare_with": 3}),
            BacktestRequest {
                rule: rule.clone(),
                version: Some(4),
                compare_with: Some(OtherVersion::Rule(3)),
                ..BacktestRequest::default()
            },
        );
        let config = json!({"attempts_max": 5}).as_object().cloned();
        check(
            json!({"plugin": "card-testing", "plugin_version": "1.1.0", "config": {"attempts_max": 5},
                   "warmup_ms": 1, "run_out_ms": 2, "compare_with": "card-testing@1.0.0"}),
            BacktestRequest {
                plugin: rule,
                plugin_version: Some("1.1.0".to_owned()),
                config,
                warmup_ms: Some(1),
                run_out_ms: Some(2),
                compare_with: Some(OtherVersion::Plugin("card-testing@1.0.0".to_owned())),
                ..BacktestRequest::default()
            },
        );
        let unknown = json!({"rule": "x", "from": "", "to": "", "since": 1});
        assert!(serde_json::from_value::<BacktestRequest>(unknown).is_err());
    }
}
