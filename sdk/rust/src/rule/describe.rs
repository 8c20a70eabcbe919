//! The manifest of a rule.

use serde_json::{Value as Json, json};

use crate::config::Config;
use crate::manifest::{self, About};
use crate::row::InputSpec;

/// A column of a context: its name, and whether it is personal.
pub type ContextColumn = (String, bool);

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
    /// Name, version, title and owner.
    pub about: About,
    /// What it reads.
    pub inputs: Vec<InputSpec>,
    /// The column that groups events, or `all`.
    pub key: Option<&'static str>,
    /// Names of its criteria.
    pub criteria: &'static [&'static str],
    /// Names of its context columns, and whether they are personal; the settings come behind them.
    pub context: Vec<ContextColumn>,
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
        let settings = C::CONTEXT.iter().map(|name| ((*name).to_owned(), false));
        let context = self.context.iter().cloned().chain(settings);
        let mut manifest = manifest::begin::<C>(self.about, "rule");
        manifest["inputs"] = self.inputs.iter().map(|input| self.input(input)).collect();
        manifest["criteria"] = json!(self.criteria);
        manifest["context"] = context.map(|(name, personal)| json!({"name": name, "personal": personal})).collect();
        manifest["late"] = json!(match self.late {
            Late::Judge => "judge",
            Late::Ignore => "ignore",
        });
        manifest["remembers"] = json!(self.remembers);
        manifest["state_version"] = json!(self.state_version);
        if let Some(route) = self.route {
            manifest["route"] = json!(route);
        }
        manifest.to_string()
    }

    fn input(&self, spec: &InputSpec) -> Json {
        let mut input = manifest::input(spec);
        if let Some(key) = self.key {
            input["key"] = json!(key);
        }
        input
    }
}

/// The context columns of a rule that judges rows by themselves: theirs.
pub fn row_context(spec: &InputSpec) -> Vec<ContextColumn> {
    spec.columns.iter().map(|column| (column.name.to_owned(), column.personal)).collect()
}
