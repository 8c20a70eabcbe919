//! The manifest's parts that all worlds share; `schemas/manifest.schema.json` says what they mean.

use serde_json::{Value as Json, json};

use crate::config::Config;
use crate::row::{ColumnSpec, InputSpec};

/// What a plugin says of itself before anything else.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// The name of its crate.
    pub name: &'static str,
    /// The version of its crate.
    pub version: &'static str,
    /// One line for people.
    pub title: &'static str,
    /// Who answers for it.
    pub owner: &'static str,
}

/// The manifest of a plugin of `world`, with its configuration and without inputs.
pub fn begin<C: Config>(about: About, world: &str) -> Json {
    let About { name, version, title, owner } = about;
    json!({
        "name": name,
        "version": version,
        "title": title,
        "owner": owner,
        "world": world,
        "config": { "schema": C::schema(), "defaults": C::defaults() },
    })
}

/// An entry of the manifest's `inputs`.
pub fn input(spec: &InputSpec) -> Json {
    let mut input = json!({ "columns": spec.columns.iter().map(column).collect::<Vec<_>>() });
    for (member, value) in [("topic", spec.topic), ("source", spec.source), ("format", spec.format)] {
        if let Some(value) = value {
            input[member] = value.into();
        }
    }
    input
}

fn column(spec: &ColumnSpec) -> Json {
    let mut column = json!({ "name": spec.name, "type": spec.column_type.name() });
    for (member, holds) in [("required", spec.required), ("personal", spec.personal)] {
        if holds {
            column[member] = true.into();
        }
    }
    column
}
