//! The plugins that jobs put to work, behind the traits that native code has as well.

use std::sync::Arc;

use chrono::NaiveDate;
use serde_json::{Value, json};
use tamis_engine::decode;
use tamis_model::dead_letter::PluginRef;
use tamis_model::manifest::{Format, Input, Manifest, Output, World};
use tamis_model::transform::{Check, Transform};
use tamis_model::{Error, Result};
use tamis_plugin::Plugin;

/// Makes the code of a transform for a logical date.
pub type MakeTransform = Arc<dyn Fn(NaiveDate) -> Result<Box<dyn Transform>> + Send + Sync>;
/// Makes the code of a check from its configuration.
pub type MakeCheck = Arc<dyn Fn(&Value) -> Result<Box<dyn Check>> + Send + Sync>;

/// A transform put to work on a Bronze source.
#[derive(Clone)]
pub struct TransformPlan {
    /// The Bronze source.
    pub source: String,
    /// How its files become columns.
    pub format: Format,
    /// What it reads.
    pub input: Input,
    /// What it writes.
    pub output: Output,
    /// Which code it is.
    pub plugin: PluginRef,
    /// Makes the code.
    pub make: MakeTransform,
}

impl TransformPlan {
    /// Checks that the manifest of a transform can be put to work.
    pub fn new(manifest: &Manifest, plugin: PluginRef, make: MakeTransform) -> Result<Self> {
        let refuse = |why: &str| Error::invalid("put transform to work", &manifest.name, why);
        let ([input], Some(output)) = (&manifest.inputs[..], &manifest.output) else {
            return Err(refuse("it has not exactly one input and an output"));
        };
        let (Some(source), Some(format)) = (&input.source, input.format) else {
            return Err(refuse("its input does not name a source and a format"));
        };
        decode::for_file(format, &input.columns)?;
        Ok(Self { source: source.clone(), format, input: input.clone(), output: output.clone(), plugin, make })
    }
}

/// The code of a check, not yet bound to a dataset.
#[derive(Clone)]
pub struct CheckPlan {
    /// The plugin's name, by which `checks.toml` finds it.
    pub name: String,
    /// Makes the code.
    pub make: MakeCheck,
}

/// A component that jobs put to work.
#[derive(Clone, Debug)]
pub struct Component {
    /// What it says of itself.
    pub manifest: Manifest,
    /// SHA-256 of its bytes, hex.
    pub sha256: String,
}

/// What plugins offer to jobs.
#[derive(Clone, Default)]
pub struct Plans {
    /// Every component, for the catalogue; native code has none.
    pub components: Vec<Component>,
    /// At most one for each source.
    pub transforms: Vec<TransformPlan>,
    /// By name.
    pub checks: Vec<CheckPlan>,
}

impl Plans {
    /// Puts the transforms and checks among `plugins` to work in their sandbox; rules are left to streams.
    pub fn of_plugins(plugins: &[Arc<Plugin>]) -> Result<Self> {
        let mut plans = Self::default();
        for plugin in plugins {
            match plugin.manifest().world {
                World::Rule => continue,
                World::Transform => plans.transforms.push(sandboxed_transform(plugin)?),
                World::Check => plans.checks.push(sandboxed_check(plugin)),
            }
            let component = Component { manifest: plugin.manifest().clone(), sha256: plugin.sha256().to_owned() };
            plans.components.push(component);
        }
        plans.transforms.sort_by(|a, b| a.source.cmp(&b.source));
        match plans.transforms.windows(2).find(|pair| pair[0].source == pair[1].source) {
            None => Ok(plans),
            Some(pair) => {
                let why = format!("{} reads that source as well", pair[0].plugin.name);
                Err(Error::invalid("put transform to work", &pair[1].plugin.name, why))
            }
        }
    }
}

fn sandboxed_transform(plugin: &Arc<Plugin>) -> Result<TransformPlan> {
    let code = Arc::clone(plugin);
    let dated = plugin.manifest().config.schema["properties"].get("as_of").is_some();
    let make = move |as_of: NaiveDate| -> Result<Box<dyn Transform>> {
        let overrides = if dated { json!({"as_of": as_of.to_string()}) } else { Value::Null };
        Ok(Box::new(code.transform(&code.effective_config(&overrides)?)?))
    };
    TransformPlan::new(plugin.manifest(), plugin.reference(), Arc::new(make))
}

fn sandboxed_check(plugin: &Arc<Plugin>) -> CheckPlan {
    let code = Arc::clone(plugin);
    let make =
        move |config: &Value| -> Result<Box<dyn Check>> { Ok(Box::new(code.check(&code.effective_config(config)?)?)) };
    CheckPlan { name: plugin.manifest().name.clone(), make: Arc::new(make) }
}
