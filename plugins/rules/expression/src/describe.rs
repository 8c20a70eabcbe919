//! The manifest of a rule: what it reads and what its alerts tell follow from its configuration.

use serde_json::{Value as Json, json};

use crate::Plugin;
use crate::columns::{Column, ColumnType};
use crate::parse;
use crate::settings::{self, Settings, start_of};
use crate::window::{Count, Counting, STATE_VERSION, fingerprint};

/// The one criterion.
const CRITERION: &str = "condition";

/// The manifest of a configured rule, as JSON text.
pub fn manifest(plugin: &Plugin) -> String {
    let Plugin { settings, columns, told, counting, .. } = plugin;
    let counts = counting.as_ref().map_or(&[][..], |counting| counting.counts());
    let mut input = json!({"topic": settings.topic, "columns": columns.iter().map(column).collect::<Vec<_>>()});
    if let Some(key) = &settings.key {
        input["key"] = json!(key);
    }
    let from = if counting.is_some() { "finding" } else { "row" };
    let context = columns[..*told].iter().map(|column| told_of(&column.name, column.personal, from));
    let tallies = counts.iter().flat_map(|Count { name, .. }| [name.clone(), start_of(name)]);
    let context = context.chain(tallies.map(|name| told_of(&name, false, "finding")));
    json!({
        "name": env!("CARGO_PKG_NAME"),
        "version": env!("CARGO_PKG_VERSION"),
        "title": "A condition over the columns of a topic and counts over sliding windows",
        "owner": "fraud",
        "world": "rule",
        "config": {"schema": settings::schema(), "defaults": settings::defaults()},
        "describes_configured": true,
        "inputs": [input],
        "criteria": [CRITERION],
        "context": context.collect::<Vec<_>>(),
        "late": if counting.is_some() { "ignore" } else { "judge" },
        "remembers": counting.is_some(),
        "state_version": STATE_VERSION,
        "state_shape": state_shape(settings, counting.as_ref()),
    })
    .to_string()
}

fn column(column: &Column) -> Json {
    let mut declared = json!({"name": column.name, "type": column.column_type.map_or("", ColumnType::name)});
    for (member, holds) in [("required", column.required), ("personal", column.personal)] {
        if holds {
            declared[member] = json!(true);
        }
    }
    declared
}

fn told_of(name: &str, personal: bool, from: &str) -> Json {
    json!({"name": name, "personal": personal, "from": from})
}

/// What the marks in a state mean: whose events are counted, and which. The lengths of windows and the condition may change without
/// making a state another one, except that events which wait for the watermark are judged by what was kept of them.
fn state_shape(settings: &Settings, counting: Option<&Counting>) -> String {
    let Some(key) = &settings.key else { return String::new() };
    let count = |(name, count): (&String, &settings::Count)| {
        let condition = count.condition.as_deref().map(parse::words).unwrap_or_default();
        format!("{name}:{:08x}", fingerprint(&condition))
    };
    let counts: Vec<_> = settings.counts.iter().map(count).collect();
    let waiting = counting.and_then(Counting::waits_with).map(|columns| format!(" waiting({columns})"));
    format!("counts({} by {key};{}){}", settings.topic, counts.join(","), waiting.unwrap_or_default())
}
