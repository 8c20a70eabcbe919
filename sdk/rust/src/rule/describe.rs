//! The manifest of a rule.

use serde_json::{Value as Json, json};

use crate::config::Config;
use crate::manifest::{self, About};
use crate::row::{ColumnSpec, InputSpec};

/// A column of a finding's context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContextColumn {
    /// Its name in the alert.
    pub name: String,
    /// Whether it tells who a person is.
    pub personal: bool,
    /// Where its value comes from.
    pub from: ContextSource,
}

/// Where a value of a finding's context comes from. The host adds what it has anyway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContextSource {
    /// The finding carries it.
    Finding,
    /// The column of this name of the row that the finding is about.
    Row,
    /// The setting of this name.
    Config,
}

impl ContextColumn {
    /// A column that the finding carries.
    pub fn carried(name: impl Into<String>, personal: bool) -> Self {
        Self { name: name.into(), personal, from: ContextSource::Finding }
    }

    fn manifest(&self) -> Json {
        let from = match self.from {
            ContextSource::Finding => "finding",
            ContextSource::Row => "row",
            ContextSource::Config => "config",
        };
        json!({"name": self.name, "personal": self.personal, "from": from})
    }
}

/// What becomes of events behind the watermark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Late {
    /// They are judged like all others.
    Judge,
    /// They are judged unless they lie more than so many milliseconds behind it.
    JudgeWithin(u64),
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
    /// Its context columns; the settings come behind them.
    pub context: Vec<ContextColumn>,
    /// What becomes of late events.
    pub late: Late,
    /// Whether the identities of events travel with the rows.
    pub remembers: bool,
    /// Whether nothing is left of a key at its wake.
    pub expires: bool,
    /// The topic of its alerts.
    pub route: Option<&'static str>,
    /// The version of its state.
    pub state_version: u8,
    /// How its state is written: see [`crate::state`]. Empty for rules without.
    pub state_shape: String,
    /// The versions of states that it migrates.
    pub migrates_from: &'static [u8],
    /// The manifest's `output`, for rules that emit rows.
    pub output: Option<Json>,
}

impl Description {
    /// The manifest as JSON text, for a rule that is configured by `C`.
    pub fn manifest<C: Config>(&self) -> String {
        let setting =
            |name: &'static str| ContextColumn { name: name.to_owned(), personal: false, from: ContextSource::Config };
        let context = self.context.iter().cloned().chain(C::context().into_iter().map(setting));
        let mut manifest = manifest::begin::<C>(self.about, "rule");
        manifest["inputs"] = self.inputs.iter().map(|input| self.input(input)).collect();
        manifest["criteria"] = json!(self.criteria);
        manifest["context"] = context.map(|column| column.manifest()).collect();
        manifest["late"] = json!(match self.late {
            Late::Judge | Late::JudgeWithin(_) => "judge",
            Late::Ignore => "ignore",
        });
        if let Late::JudgeWithin(late_ms_max) = self.late {
            manifest["late_ms_max"] = json!(late_ms_max);
        }
        manifest["remembers"] = json!(self.remembers);
        if self.expires {
            manifest["expires"] = json!(true);
        }
        manifest["state_version"] = json!(self.state_version);
        manifest["state_shape"] = json!(self.state_shape);
        manifest["migrates_from"] = json!(self.migrates_from);
        if let Some(route) = self.route {
            manifest["route"] = json!(route);
        }
        if let Some(output) = &self.output {
            manifest["output"] = output.clone();
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
    let of = |column: &ColumnSpec| ContextColumn {
        name: column.name.to_owned(),
        personal: column.personal,
        from: ContextSource::Row,
    };
    spec.columns.iter().map(of).collect()
}
