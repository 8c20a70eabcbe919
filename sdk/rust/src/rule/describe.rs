//! The manifest of a rule.

use serde_json::{Value as Json, json};

use crate::config::Config;
use crate::row::InputSpec;

/// What becomes of events behind the watermark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Late {
    /// They are judged like all others.
    Judge,
    /// They are counted and left out.
    Ignore,
}

/// What `#[rule]` knows of a rule; together with its configuration it is the manifest.
#[derive(Clone, Debug)]
pub struct Description {
    /// The plugin's name.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// One line for people.
    pub title: &'static str,
    /// Who answers for it.
    pub owner: &'static str,
    /// What it reads.
    pub inputs: Vec<InputSpec>,
    /// The column that groups events, or `all`.
    pub key: Option<&'static str>,
    /// Names of its criteria.
    pub criteria: &'static [&'static str],
    /// Names of its context columns, and whether they are personal; the settings come behind them.
    pub context: Vec<(&'static str, bool)>,
    /// What becomes of late events.
    pub late: Late,
    /// Whether the identities of events travel with the rows.
    pub remembers: bool,
    /// The topic of its alerts.
    pub route: Option<&'static str>,
    /// The version of its state.
    pub state_version: u8,
}

impl Description {
    /// The manifest as JSON text, for a rule that is configured by `C`.
    pub fn manifest<C: Config>(&self) -> String {
        let settings = C::CONTEXT.iter().map(|name| (*name, false));
        let context = self.context.iter().copied().chain(settings);
        let mut manifest = json!({
            "name": self.name,
            "version": self.version,
            "title": self.title,
            "owner": self.owner,
            "world": "rule",
            "inputs": self.inputs.iter().map(|input| self.input(input)).collect::<Vec<_>>(),
            "criteria": self.criteria,
            "context": context.map(|(name, personal)| json!({"name": name, "personal": personal})).collect::<Vec<_>>(),
            "late": match self.late { Late::Judge => "judge", Late::Ignore => "ignore" },
            "remembers": self.remembers,
            "config": {"schema": C::schema(), "defaults": C::defaults()},
            "state_version": self.state_version,
        });
        if let Some(route) = self.route {
            manifest["route"] = json!(route);
        }
        manifest.to_string()
    }

    fn input(&self, spec: &InputSpec) -> Json {
        let mut input = describe_input(spec);
        if let Some(key) = self.key {
            input["key"] = json!(key);
        }
        input
    }
}

/// An input as it stands in a manifest.
pub fn describe_input(spec: &InputSpec) -> Json {
    let columns = spec.columns.iter().map(|column| {
        json!({
            "name": column.name,
            "type": column.column_type.name(),
            "required": column.required,
            "personal": column.personal,
        })
    });
    let mut input = json!({"columns": columns.collect::<Vec<_>>()});
    for (member, value) in [("topic", spec.topic), ("source", spec.source), ("format", spec.format)] {
        if let Some(value) = value {
            input[member] = json!(value);
        }
    }
    input
}
