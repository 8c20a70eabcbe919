//! What a manifest must hold beyond its JSON Schema: names that exist, worlds that fit, no personal data out.

use std::collections::HashSet;

use tamis_model::manifest::{ContextColumn, ContextSource, Format, Input, Keep, Late, Limits, Manifest, Output, World};
use tamis_model::schema::{Column, ColumnType};

use crate::schema::Schema;

/// Checks `manifest`, which fits its schema, against itself and the host's limits. Returns the compiled schema of its
/// configuration, or the first thing that is wrong, as JSON pointer and reason.
pub(crate) fn check(manifest: &Manifest, limits_max: Limits) -> Result<Schema, String> {
    check_world(manifest)?;
    for (i, input) in manifest.inputs.iter().enumerate() {
        check_input(input).map_err(|why| format!("at `/inputs/{i}`: {why}"))?;
    }
    distinct("topic", manifest.inputs.iter().filter_map(|input| input.topic.as_deref()))
        .map_err(|why| format!("at `/inputs`: {why}"))?;
    distinct("context column", manifest.context.iter().map(|column| column.name.as_str()))
        .map_err(|why| format!("at `/context`: {why}"))?;
    if let Some(output) = &manifest.output {
        check_output(output)
            .and_then(|()| check_privacy(manifest, output))
            .map_err(|why| format!("at `/output`: {why}"))?;
    }
    check_limits(manifest.limits, limits_max).map_err(|why| format!("at `/limits`: {why}"))?;
    let schema = Schema::compile(&manifest.config.schema).map_err(|why| format!("at `/config/schema`: {why}"))?;
    schema.check(&manifest.config.defaults).map_err(|why| format!("at `/config/defaults`: {why}"))?;
    Ok(schema)
}

fn check_world(manifest: &Manifest) -> Result<(), String> {
    match manifest.world {
        World::Rule => check_rule(manifest),
        World::Transform => check_transform(manifest),
        World::Check => {
            only_rules_have(manifest)?;
            if !manifest.inputs.is_empty() || manifest.output.is_some() {
                return Err("a check has no inputs and no output: its configuration names what it sees".to_owned());
            }
            Ok(())
        }
    }
}

fn check_rule(manifest: &Manifest) -> Result<(), String> {
    if manifest.inputs.is_empty() {
        return Err("at `/inputs`: a rule needs a topic".to_owned());
    }
    for (i, input) in manifest.inputs.iter().enumerate() {
        if input.topic.is_none() || input.source.is_some() || input.format.is_some() {
            return Err(format!("at `/inputs/{i}`: a rule reads a topic, not a source with a format"));
        }
        if input.key.is_some() != manifest.keyed() {
            return Err(format!("at `/inputs/{i}`: either every input has a key or none has"));
        }
    }
    if manifest.late_ms_max.is_some() && manifest.late == Late::Ignore {
        return Err("at `/late_ms_max`: late events are ignored whatever their age".to_owned());
    }
    if manifest.migrates_from.iter().any(|from| *from >= manifest.state_version) {
        return Err(format!("at `/migrates_from`: only versions before {}", manifest.state_version));
    }
    for (i, column) in manifest.context.iter().enumerate() {
        check_context(manifest, column).map_err(|why| format!("at `/context/{i}`: {why}"))?;
    }
    Ok(())
}

fn check_context(manifest: &Manifest, column: &ContextColumn) -> Result<(), String> {
    let name = &column.name;
    let settings = &manifest.config.schema["properties"];
    match column.from {
        ContextSource::Finding => Ok(()),
        ContextSource::Row if manifest.keyed() => {
            Err(format!("`{name}` is from the row, but a rule with a key can find events whose row is gone"))
        }
        ContextSource::Row if manifest.columns().any(|input| input.name == *name) => Ok(()),
        ContextSource::Row => Err(format!("`{name}` is from the row and no column")),
        ContextSource::Config if settings.get(name).is_some() => Ok(()),
        ContextSource::Config => Err(format!("`{name}` is from the configuration and no setting")),
    }
}

fn check_transform(manifest: &Manifest) -> Result<(), String> {
    only_rules_have(manifest)?;
    let [input] = manifest.inputs.as_slice() else {
        return Err(format!("at `/inputs`: a transform has one input, not {}", manifest.inputs.len()));
    };
    if input.source.is_none() || input.format.is_none() || input.topic.is_some() || input.key.is_some() {
        return Err("at `/inputs/0`: a transform reads a source with a format; no topic, no key".to_owned());
    }
    if manifest.output.is_none() {
        return Err("at `/output`: a transform needs one".to_owned());
    }
    Ok(())
}

fn only_rules_have(manifest: &Manifest) -> Result<(), String> {
    let members = [
        ("criteria", !manifest.criteria.is_empty()),
        ("context", !manifest.context.is_empty()),
        ("late", manifest.late != Late::default()),
        ("late_ms_max", manifest.late_ms_max.is_some()),
        ("state_shape", !manifest.state_shape.is_empty()),
        ("migrates_from", !manifest.migrates_from.is_empty()),
        ("describes_configured", manifest.describes_configured),
        ("remembers", manifest.remembers),
        ("expires", manifest.expires),
        ("route", manifest.route.is_some()),
    ];
    match members.iter().find(|(_, stated)| *stated) {
        Some((name, _)) => Err(format!("at `/{name}`: only rules have it")),
        None => Ok(()),
    }
}

fn check_input(input: &Input) -> Result<(), String> {
    distinct("column", input.columns.iter().map(|column| column.name.as_str()))?;
    // The key need not be among the columns: a plugin that only counts events by key reads none.
    let key = input.columns.iter().find(|column| input.key.as_ref() == Some(&column.name));
    if let Some(column) = key.filter(|key| key.column_type != ColumnType::Text) {
        return Err(format!("the key `{}` is {:?}, but keys are text", column.name, column.column_type));
    }
    let one_text = matches!(input.columns.as_slice(), [column] if column.column_type == ColumnType::Text);
    if input.format == Some(Format::Lines) && !one_text {
        return Err("format `lines` gives one text column, the line".to_owned());
    }
    let typed = input.columns.iter().find(|column| column.column_type != ColumnType::Text);
    match (input.format, typed) {
        (Some(format @ (Format::Csv | Format::Records)), Some(column)) => {
            let (name, of) = (&column.name, if format == Format::Csv { "a csv" } else { "records" });
            Err(format!("column `{name}` of {of} is text; parsing it is the plugin's work"))
        }
        _ => Ok(()),
    }
}

fn check_output(output: &Output) -> Result<(), String> {
    distinct("column", output.columns.iter().map(|column| column.name.as_str()))?;
    if let Some(column) = output.columns.iter().find(|c| !c.fields.is_empty() && c.column_type != ColumnType::Text) {
        return Err(format!("column `{}` has fields, so its type is text", column.name));
    }
    distinct("partition column", output.partition_by.iter().map(String::as_str))?;
    for name in &output.partition_by {
        existing(&output.columns, name, "partition column")?;
    }
    for name in &output.key {
        existing(&output.columns, name, "key column")?;
    }
    if let Keep::Latest { by } = &output.keep {
        existing(&output.columns, by, "column to keep the latest by")?;
    }
    if output.partition_by.len() == output.columns.len() {
        return Err("every column is a partition column; nothing is left to store".to_owned());
    }
    Ok(())
}

/// Personal input columns may not come out under their own name, unless as pseudonyms.
fn check_privacy(manifest: &Manifest, output: &Output) -> Result<(), String> {
    let personal: HashSet<String> =
        manifest.columns().filter(|column| column.personal).map(|column| normalised(&column.name)).collect();
    for column in &output.columns {
        if column.personal {
            return Err(format!("column `{}` is personal, which no output may be", column.name));
        }
        if !column.pseudonym && personal.contains(&normalised(&column.name)) {
            return Err(format!(
                "column `{}` bears the name of a personal input and is not marked as a pseudonym",
                column.name
            ));
        }
    }
    Ok(())
}

/// Names match whatever their case, and whether they use spaces, `_` or `-` (contracts 0).
fn normalised(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, ' ' | '_' | '-')).flat_map(char::to_lowercase).collect()
}

fn check_limits(limits: Limits, max: Limits) -> Result<(), String> {
    let asked = [
        ("deadline_ms", u64::from(limits.deadline_ms), u64::from(max.deadline_ms)),
        ("memory_bytes", limits.memory_bytes, max.memory_bytes),
        ("output_bytes", limits.output_bytes, max.output_bytes),
    ];
    match asked.iter().find(|(_, asked, max)| asked > max) {
        Some((name, asked, max)) => Err(format!("{name} {asked} is more than the {max} that this host allows")),
        None => Ok(()),
    }
}

fn existing<'a>(columns: &'a [Column], name: &str, what: &str) -> Result<&'a Column, String> {
    columns.iter().find(|column| column.name == name).ok_or_else(|| format!("the {what} `{name}` is no column"))
}

fn distinct<'a>(what: &str, names: impl Iterator<Item = &'a str>) -> Result<(), String> {
    let mut seen = HashSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(format!("two of {what} `{name}`"));
        }
    }
    Ok(())
}
