//! A plugin put to work as a rule.

use std::sync::Arc;

use tamis_engine::rules::RulePlan;
use tamis_model::Result;
use tamis_model::rule::Rule;
use tamis_plugin::Plugin;

/// The rule `name` by `plugin` under `config`, JSON by the manifest's schema: active, in its first version, with the plugin's own route.
pub fn rule_plan(name: &str, plugin: &Arc<Plugin>, config: String) -> Result<RulePlan> {
    let plugin = plugin.configured(&config)?;
    let (code, manifest) = (Arc::clone(&plugin), Arc::new(plugin.manifest().clone()));
    let make = Arc::new(move |config: &str| Ok(Box::new(code.rule(config)?) as Box<dyn Rule>));
    Ok(RulePlan::new(name, plugin.reference(), manifest, config, make))
}
