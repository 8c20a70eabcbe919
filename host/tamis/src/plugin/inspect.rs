//! `tamis plugin inspect`: what a component says of itself.

use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use serde_json::json;
use tamis_model::Result;
use tamis_model::manifest::{Input, Late, Manifest, World};
use tamis_plugin::Plugin;

use super::{load, print};

/// Loads the component with all checks and shows its manifest.
pub(super) fn run(file: &Path, json: bool, out: &mut dyn Write) -> Result<ExitCode> {
    show(load(file)?.as_ref(), json, out)?;
    Ok(ExitCode::SUCCESS)
}

/// Shows the plugin to people, or on one line of JSON to scripts.
pub(super) fn show(plugin: &Plugin, json: bool, out: &mut dyn Write) -> Result<()> {
    if json {
        let (sha256, size_bytes) = (plugin.sha256(), plugin.size_bytes());
        return print(out, json!({"sha256": sha256, "size_bytes": size_bytes, "manifest": plugin.manifest()}));
    }
    print(out, format_args!("{plugin}: {}", plugin.manifest().title))?;
    print(out, format_args!("  {:<12} {}", "sha256", plugin.sha256()))?;
    print(out, format_args!("  {:<12} {} bytes", "size", plugin.size_bytes()))?;
    for (title, text) in lines(plugin.manifest()) {
        print(out, format_args!("  {title:<12} {text}"))?;
    }
    Ok(())
}

/// Title and text of what matters in a manifest.
fn lines(manifest: &Manifest) -> Vec<(&'static str, String)> {
    let mut lines = vec![("world", manifest.world.name().to_owned())];
    if !manifest.owner.is_empty() {
        lines.push(("owner", manifest.owner.clone()));
    }
    lines.extend(manifest.inputs.iter().map(|input| ("reads", describe_input(input))));
    if let Some(output) = &manifest.output {
        let names: Vec<_> = output.columns.iter().map(|column| column.name.as_str()).collect();
        lines.push(("writes", format!("{}: {}", output.dataset, names.join(", "))));
    }
    if manifest.world == World::Rule {
        if !manifest.criteria.is_empty() {
            lines.push(("criteria", manifest.criteria.join(", ")));
        }
        lines.extend(manifest.route.iter().map(|route| ("alerts to", route.clone())));
        let late = match manifest.late {
            Late::Judge => "judged",
            Late::Ignore => "left out",
        };
        lines.push(("late events", late.to_owned()));
        if !manifest.state_shape.is_empty() {
            lines.push(("state", format!("version {}, {}", manifest.state_version, manifest.state_shape)));
        }
    }
    lines.push(("config", manifest.config.defaults.to_string()));
    let limits = &manifest.limits;
    let mebibytes = |bytes: u64| bytes.div_ceil(1 << 20);
    let (memory, output) = (mebibytes(limits.memory_bytes), mebibytes(limits.output_bytes));
    lines.push(("limits", format!("{} ms, {memory} MiB of memory, {output} MiB of output a call", limits.deadline_ms)));
    lines
}

fn describe_input(input: &Input) -> String {
    let from = input.topic.as_deref().or(input.source.as_deref()).unwrap_or("what its configuration names");
    let names: Vec<_> = input.columns.iter().map(|column| column.name.as_str()).collect();
    let mut text = if names.is_empty() { from.to_owned() } else { format!("{from}: {}", names.join(", ")) };
    if let Some(key) = &input.key {
        // Writing to a String cannot fail.
        let _ = write!(text, " (by {key})");
    }
    text
}
