//! What a plugin says of itself: the JSON that `describe` returns, by `schemas/manifest.schema.json`.

use serde::{Deserialize, Serialize};

use crate::schema::{Column, ColumnType};

/// The JSON Schema of a manifest.
pub const MANIFEST_SCHEMA: &str = include_str!("../../../schemas/manifest.schema.json");

/// What a plugin says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Unique among plugins: lower-case words joined by `-`, a `/` for families (`silver/crm`).
    pub name: String,
    /// Semantic version.
    pub version: String,
    /// One line for people.
    pub title: String,
    /// Who answers for it.
    #[serde(default)]
    pub owner: String,
    /// Which world it implements.
    pub world: World,
    /// What it reads.
    #[serde(default)]
    pub inputs: Vec<Input>,
    /// Rules: names of the conditions that a finding can name, at most 32.
    #[serde(default)]
    pub criteria: Vec<String>,
    /// Rules: the columns of a finding's context.
    #[serde(default)]
    pub context: Vec<ContextColumn>,
    /// Rules: what becomes of late events.
    #[serde(default)]
    pub late: Late,
    /// Rules that judge late events: how many milliseconds an event may lie behind its partition's watermark to be judged; none = any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late_ms_max: Option<u64>,
    /// Rules: whether the identities of events must travel with the rows.
    #[serde(default)]
    pub remembers: bool,
    /// Rules: whether nothing is left of a key at its wake. The host forgets it then by itself, and calls `advance` only for keys whose wake
    /// another version or configuration has said.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub expires: bool,
    /// Rules: the topic that its alerts go to unless the rule's settings say otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// Transforms, and rules that emit rows: what comes out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Output>,
    /// What can be configured.
    #[serde(default)]
    pub config: ConfigSpec,
    /// Rules: changes when the meaning of its state does.
    #[serde(default = "one")]
    pub state_version: u32,
    /// Rules: names how its state is written; changes whenever the bytes do. Two builds with the same `state_version` and another
    /// shape cannot share state.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub state_shape: String,
    /// Rules: the state versions that `migrate` reads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub migrates_from: Vec<u32>,
    /// Rules: whether inputs, criteria, context and state follow from the configuration: then `describe` says so anew once it is configured.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub describes_configured: bool,
    /// What it needs at most.
    #[serde(default)]
    pub limits: Limits,
}

fn one() -> u32 {
    1
}

/// What a plugin implements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum World {
    /// Judges events.
    Rule,
    /// Makes trusted rows of raw ones.
    Transform,
    /// Says whether a dataset can be trusted.
    Check,
}

impl World {
    /// Its name in the WIT package and in manifests.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rule => "rule",
            Self::Transform => "transform",
            Self::Check => "check",
        }
    }
}

/// One thing that a plugin reads. A check has none: its configuration names dataset and columns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Rules: the topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// Transforms: the Bronze source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Transforms: how the source's files become columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// The columns, in the order in which they arrive.
    pub columns: Vec<Column>,
    /// Rules: the column that groups events; `all` groups all of them under the key `all`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// How files become columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// RFC 4180 with a header line; columns are matched to header names.
    Csv,
    /// One text column: the line.
    Lines,
    /// Record lines of a topic's archive; columns are members of the records' values.
    Records,
}

/// What becomes of events that arrive behind the watermark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Late {
    /// They are judged like all others: stateless rules and joins.
    #[default]
    Judge,
    /// They are counted and left out: windows.
    Ignore,
}

/// A column of a finding's context.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContextColumn {
    /// Its name in the alert.
    pub name: String,
    /// Whether storage gets a pseudonym instead of it.
    #[serde(default)]
    pub personal: bool,
    /// Where its value comes from.
    #[serde(default)]
    pub from: ContextSource,
}

/// Where a value of a finding's context comes from. What the host has anyway does not cross the boundary again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContextSource {
    /// The finding carries it.
    #[default]
    Finding,
    /// The column of this name of the row that the finding is about; rules without a key.
    Row,
    /// The setting of this name.
    Config,
}

/// What a plugin writes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// The dataset, `silver.crm`.
    pub dataset: String,
    /// Its columns.
    pub columns: Vec<Column>,
    /// The columns by which it is partitioned; null becomes `__HIVE_DEFAULT_PARTITION__`.
    #[serde(default)]
    pub partition_by: Vec<String>,
    /// The columns that make a row unique; none = every row is its own.
    #[serde(default)]
    pub key: Vec<String>,
    /// Which of several rows of a key is kept.
    #[serde(default)]
    pub keep: Keep,
}

/// Which of several rows of a key is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "which", deny_unknown_fields)]
pub enum Keep {
    /// The first in file order.
    #[default]
    First,
    /// The one with the highest value of a column (null lowest); of equals the last in file order.
    Latest {
        /// The column.
        by: String,
    },
}

/// What can be configured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigSpec {
    /// JSON Schema of the configuration.
    pub schema: serde_json::Value,
    /// A configuration that fits it.
    pub defaults: serde_json::Value,
}

impl Default for ConfigSpec {
    fn default() -> Self {
        Self { schema: serde_json::json!({"type": "object"}), defaults: serde_json::json!({}) }
    }
}

/// What a plugin needs at most; the host has its own upper bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// How long one call may take.
    pub deadline_ms: u32,
    /// How much linear memory an instance may have.
    pub memory_bytes: u64,
    /// How much one call may return.
    pub output_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { deadline_ms: 500, memory_bytes: 64 << 20, output_bytes: 64 << 20 }
    }
}

impl Manifest {
    /// All input columns in the order in which they cross the boundary.
    pub fn columns(&self) -> impl Iterator<Item = &Column> {
        self.inputs.iter().flat_map(|input| &input.columns)
    }

    /// Whether the rule keeps state by key.
    pub fn keyed(&self) -> bool {
        self.inputs.iter().any(|input| input.key.is_some())
    }

    /// How many values a finding carries.
    pub fn finding_values(&self) -> usize {
        self.context.iter().filter(|column| column.from == ContextSource::Finding).count()
    }

    /// The type of the output column `name`.
    pub fn output_type(&self, name: &str) -> Option<ColumnType> {
        self.output.as_ref()?.columns.iter().find(|c| c.name == name).map(|c| c.column_type)
    }
}
