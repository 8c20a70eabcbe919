//! From a component's bytes to a plugin, or to the reason why not.

use std::sync::Arc;

use tamis_model::error::Context;
use tamis_model::manifest::{Limits, Manifest, World};
use tamis_model::{Error, Result};
use wasmtime::Engine;
use wasmtime::component::Component;
use wasmtime::component::types::ComponentItem;

use crate::cache::hex_sha256;
use crate::guest::Prepared;
use crate::host::{HOST_FUNCTIONS, HOST_INTERFACE, LogGate, TYPES_INTERFACE};
use crate::manifest_check;
use crate::plugin::Plugin;
use crate::sandbox::Sandbox;
use crate::schema::Schema;

/// What `describe` may return: a manifest of many columns is some 10 KiB.
const MANIFEST_BYTES_MAX: u64 = 1 << 20;

/// The first bytes of every Wasm binary, then its version: a core module's or a component's.
const MAGIC: &[u8] = b"\0asm";
const CORE_MODULE: [u8; 4] = [1, 0, 0, 0];
const COMPONENT: [u8; 4] = [0x0d, 0, 1, 0];

/// The exports of each world.
const WORLDS: [(World, &[&str]); 3] = [
    (World::Rule, &["describe", "configure", "migrate", "apply", "advance"]),
    (World::Transform, &["describe", "configure", "apply"]),
    (World::Check, &["describe", "configure", "observe", "finish"]),
];

/// See [`Sandbox::load`].
pub(crate) fn load(sandbox: &Arc<Sandbox>, bytes: &[u8]) -> Result<Arc<Plugin>> {
    let sha256 = hex_sha256(bytes);
    let refuse = |why: String| Error::invalid("load", format!("component {sha256}"), why);
    check_format(bytes, sandbox.settings.component_bytes_max).map_err(refuse)?;
    let component = sandbox.cache.component(&sandbox.engine, bytes, &sha256)?;
    check_imports(&component, &sandbox.engine).map_err(refuse)?;
    let world = exported_world(&component, &sandbox.engine).map_err(refuse)?;

    let pre = sandbox.linker.instantiate_pre(&component).map_err(|e| refuse(format!("{e:#}")))?;
    let limits_max = sandbox.settings.limits_max;
    let mut prepared = Prepared {
        sandbox: sandbox.clone(),
        pre,
        name: sha256.as_str().into(),
        limits: Limits { output_bytes: MANIFEST_BYTES_MAX, ..at_most(Limits::default(), limits_max) },
        log: Arc::new(LogGate::default()),
    };
    let described = prepared.describe(None)?;
    let described = described.map_err(|failure| failure.into_error("describe", format!("component {sha256}")))?;
    let manifest = read_manifest(&described, &sandbox.manifest_schema).map_err(refuse)?;
    if manifest.world != world {
        return Err(refuse(format!(
            "its manifest says that it is a {}, its exports are those of a {}",
            manifest.world.name(),
            world.name()
        )));
    }
    let config_schema =
        manifest_check::check(&manifest, limits_max).map_err(|why| refuse(format!("manifest: {why}")))?;

    prepared.name = manifest.name.as_str().into();
    prepared.limits = manifest.limits;
    let size_bytes = bytes.len() as u64;
    let plugin = Arc::new(Plugin { prepared, manifest, config_schema, sha256, size_bytes });
    check_starts(&plugin)?;
    Ok(plugin)
}

/// See [`Plugin::configured`].
pub(crate) fn configured(plugin: &Plugin, config: &str) -> Result<Arc<Plugin>> {
    let Plugin { prepared, manifest: unconfigured, .. } = plugin;
    let refuse = |why: String| Error::invalid("configure plugin", plugin, why);
    let bounded =
        Prepared { limits: Limits { output_bytes: MANIFEST_BYTES_MAX, ..prepared.limits }, ..prepared.clone() };
    let described = bounded.describe(Some(config))?;
    let described = described.map_err(|failure| failure.into_error("configure plugin", plugin))?;
    let manifest = read_manifest(&described, &prepared.sandbox.manifest_schema).map_err(refuse)?;
    if let Some(member) = changed_member(&manifest, unconfigured) {
        return Err(refuse(format!(
            "once configured it states another `{member}`, which does not follow from the configuration"
        )));
    }
    let limits_max = prepared.sandbox.settings.limits_max;
    let config_schema =
        manifest_check::check(&manifest, limits_max).map_err(|why| refuse(format!("manifest: {why}")))?;
    let (prepared, sha256) = (prepared.clone(), plugin.sha256.clone());
    Ok(Arc::new(Plugin { prepared, manifest, config_schema, sha256, size_bytes: plugin.size_bytes }))
}

/// The first member that differs of those that say which plugin it is and what can be configured.
fn changed_member(configured: &Manifest, unconfigured: &Manifest) -> Option<&'static str> {
    // What is named here with `_` follows from the configuration.
    let Manifest {
        name,
        version,
        title,
        owner,
        world,
        inputs: _,
        criteria: _,
        context: _,
        late: _,
        late_ms_max: _,
        remembers: _,
        expires: _,
        route: _,
        output,
        config,
        state_version,
        state_shape: _,
        migrates_from,
        describes_configured,
        limits,
    } = configured;
    let members = [
        ("name", *name == unconfigured.name),
        ("version", *version == unconfigured.version),
        ("title", *title == unconfigured.title),
        ("owner", *owner == unconfigured.owner),
        ("world", *world == unconfigured.world),
        ("output", *output == unconfigured.output),
        ("config", *config == unconfigured.config),
        ("state_version", *state_version == unconfigured.state_version),
        ("migrates_from", *migrates_from == unconfigured.migrates_from),
        ("describes_configured", *describes_configured == unconfigured.describes_configured),
        ("limits", *limits == unconfigured.limits),
    ];
    members.into_iter().find(|(_, same)| !same).map(|(member, _)| member)
}

fn at_most(limits: Limits, max: Limits) -> Limits {
    Limits {
        deadline_ms: limits.deadline_ms.min(max.deadline_ms),
        memory_bytes: limits.memory_bytes.min(max.memory_bytes),
        output_bytes: limits.output_bytes.min(max.output_bytes),
    }
}

fn check_format(bytes: &[u8], bytes_max: usize) -> Result<(), String> {
    if bytes.len() > bytes_max {
        return Err(format!("it has {} bytes, the limit is {bytes_max}", bytes.len()));
    }
    match bytes.strip_prefix(MAGIC) {
        Some(rest) if rest.starts_with(&COMPONENT) => Ok(()),
        Some(rest) if rest.starts_with(&CORE_MODULE) => {
            Err("it is a core module, not a component: `tamis plugin build` makes components".to_owned())
        }
        Some(_) => Err("it is Wasm of a version that this host does not know".to_owned()),
        None => Err("it is not a Wasm component".to_owned()),
    }
}

/// A plugin may import the functions of `host`, and types. Whatever else it wants is refused, by name.
fn check_imports(component: &Component, engine: &Engine) -> Result<(), String> {
    let component_type = component.component_type();
    for (name, import) in component_type.imports(engine) {
        let allowed: &[&str] = match name {
            HOST_INTERFACE => &HOST_FUNCTIONS,
            TYPES_INTERFACE => &[],
            _ => return Err(format!("it imports `{name}`, which no plugin may")),
        };
        let ComponentItem::ComponentInstance(interface) = import.ty else {
            return Err(format!("it imports `{name}`, which is not an interface"));
        };
        for (item, export) in interface.exports(engine) {
            if !matches!(export.ty, ComponentItem::Type(_)) && !allowed.contains(&item) {
                return Err(format!("it imports `{name}#{item}`, which does not exist"));
            }
        }
    }
    Ok(())
}

/// The world whose exports it has; else, for each world, what is missing and what is too much.
fn exported_world(component: &Component, engine: &Engine) -> Result<World, String> {
    let component_type = component.component_type();
    let exports: Vec<&str> = component_type
        .exports(engine)
        .filter(|(_, export)| !is_types(&export.ty, engine))
        .map(|(name, _)| name)
        .collect();
    let mut differences = Vec::new();
    for (world, wanted) in WORLDS {
        let missing = wanted.iter().filter(|name| !exports.contains(name)).map(|name| format!("`{name}` is missing"));
        let surplus = exports.iter().filter(|name| !wanted.contains(name)).map(|name| format!("`{name}` is too much"));
        let difference: Vec<String> = missing.chain(surplus).collect();
        if difference.is_empty() {
            return Ok(world);
        }
        differences.push(format!("for a {}, {}", world.name(), difference.join(", ")));
    }
    Err(format!("its exports are of no world: {}", differences.join("; ")))
}

/// Types that functions of the world use are exported beside them by some toolchains.
fn is_types(item: &ComponentItem, engine: &Engine) -> bool {
    match item {
        ComponentItem::Type(_) => true,
        ComponentItem::ComponentInstance(interface) => {
            interface.exports(engine).all(|(_, export)| matches!(export.ty, ComponentItem::Type(_)))
        }
        _ => false,
    }
}

fn read_manifest(json: &str, schema: &Schema) -> Result<Manifest, String> {
    let value = serde_json::from_str(json).map_err(|e| format!("its manifest is not JSON: {e}"))?;
    schema.check(&value).map_err(|why| format!("its manifest does not fit schemas/manifest.schema.json: {why}"))?;
    serde_json::from_value(value).map_err(|e| format!("its manifest: {e}"))
}

/// Puts it to work once with its defaults: compares the types of its exports, and refuses a plugin that does
/// not accept the configuration that it proposes itself.
fn check_starts(plugin: &Arc<Plugin>) -> Result<()> {
    let config = plugin.effective_config(&serde_json::Value::Null)?;
    match plugin.manifest().world {
        World::Rule => plugin.configured(&config).and_then(|plugin| plugin.rule(&config)).map(drop),
        World::Transform => plugin.transform(&config).map(drop),
        World::Check => plugin.check(&config).map(drop),
    }
    .or_else(|error| if error.can_retry() { Err(error) } else { Err(error).invalid("load", plugin) })
}
