//! The configuration: what an analyst writes.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value as Json, json};
use tamis_sdk::bindings::types::Severity;

use crate::columns::{Column, ColumnType, Topic};
use crate::parse::TEXT_BYTES_MAX;

/// How many counts a rule may declare: an event keeps a bit for each.
pub const COUNTS_MAX: usize = 8;
/// The longest window: 7 days.
pub const WINDOW_MS_MAX: i64 = 7 * 24 * 60 * 60 * 1000;
/// The key that all events have.
const ALL: &str = "all";

/// A configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The topic whose events are judged.
    pub topic: String,
    /// The condition, in CEL.
    pub condition: String,
    /// What groups the events that are counted: a text column, or `all`.
    #[serde(default)]
    pub key: Option<String>,
    /// The counts, by name.
    #[serde(default)]
    pub counts: BTreeMap<String, Count>,
    /// Columns that the host's schema of the topic has and the one that this plugin was built with has not, by name.
    #[serde(default)]
    pub columns: BTreeMap<String, Declared>,
    /// How bad it is.
    #[serde(default)]
    pub severity: Level,
}

/// A count of events over a sliding window.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Count {
    /// Which events are counted, in CEL; none = all of the key.
    #[serde(default, rename = "where")]
    pub condition: Option<String>,
    /// The length of the window.
    pub window_ms: i64,
}

/// A column that this plugin does not know and its host does.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Declared {
    /// The type of its values.
    #[serde(rename = "type")]
    pub column_type: ColumnType,
    /// Whether it tells who a person is.
    #[serde(default)]
    pub personal: bool,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Good to know.
    Info,
    /// To be looked at.
    Warning,
    /// To be acted on.
    #[default]
    High,
    /// To be acted on at once.
    Critical,
}

impl Level {
    /// As findings say it.
    pub fn severity(self) -> Severity {
        match self {
            Self::Info => Severity::Info,
            Self::Warning => Severity::Warning,
            Self::High => Severity::High,
            Self::Critical => Severity::Critical,
        }
    }
}

impl Settings {
    /// Reads a configuration. The message names the setting that is wrong.
    pub fn read(json: &str) -> Result<Self, String> {
        let settings: Self = serde_json::from_str(json).map_err(|error| format!("the configuration: {error}"))?;
        settings.check_counts()?;
        Ok(settings)
    }

    /// What is known of its topic.
    pub fn topic(&self) -> Result<Topic, String> {
        let mut topic = Topic::published(&self.topic);
        if topic.columns.is_empty() && self.columns.is_empty() {
            let (topic, known) = (&self.topic, Topic::known());
            return Err(format!("setting `topic`: no schema of `{topic}` is known; there are those of {known}"));
        }
        for (name, declared) in &self.columns {
            if !is_name(name) {
                return Err(format!("setting `columns`: `{name}` is no name of a column"));
            }
            let Declared { column_type, personal } = *declared;
            let column = Column { name: name.clone(), column_type: Some(column_type), required: false, personal };
            match topic.column(name) {
                None => topic.columns.push(column),
                Some(_) => {
                    let topic = &self.topic;
                    return Err(format!("setting `columns`: `{name}` is a column of {topic} already"));
                }
            }
        }
        self.check_names(&topic)?;
        Ok(topic)
    }

    fn check_counts(&self) -> Result<(), String> {
        match (&self.key, self.counts.len()) {
            (None, 1..) => return Err("setting `key`: counts need one, a text column or `all`".to_owned()),
            (Some(_), 0) => return Err("setting `key`: only counts need one, and there are none".to_owned()),
            (_, counts) if counts > COUNTS_MAX => {
                return Err(format!("setting `counts`: there are {counts}, at most {COUNTS_MAX}"));
            }
            _ => {}
        }
        for (name, count) in &self.counts {
            if !is_name(name) {
                return Err(format!("setting `counts`: `{name}` is no name: a letter, then letters, digits and `_`"));
            }
            if !(1..=WINDOW_MS_MAX).contains(&count.window_ms) {
                let window = count.window_ms;
                return Err(format!("setting `counts.{name}.window_ms`: {window} is not from 1 to {WINDOW_MS_MAX}"));
            }
        }
        Ok(())
    }

    /// Counts are named in the condition and in the context beside columns; the key is a column of texts.
    fn check_names(&self, topic: &Topic) -> Result<(), String> {
        for name in self.counts.keys() {
            if let Some(column) = [name.clone(), start_of(name)].iter().find(|name| topic.column(name).is_some()) {
                return Err(format!("setting `counts`: `{column}` is a column of {}", topic.name));
            }
            if self.counts.contains_key(&start_of(name)) {
                return Err(format!("setting `counts`: `{}` is what the start of `{name}` is called", start_of(name)));
            }
        }
        match self.key.as_deref() {
            None | Some(ALL) => Ok(()),
            Some(key) => match topic.column(key).map(|column| column.column_type) {
                Some(Some(ColumnType::Text)) => Ok(()),
                Some(_) => Err(format!("setting `key`: `{key}` is not a column of texts")),
                None => Err(format!("setting `key`: topic {} has no column `{key}`", topic.name)),
            },
        }
    }
}

/// What the first moment of a count's window is called in the context.
pub fn start_of(count: &str) -> String {
    format!("{count}_start")
}

/// A letter, then letters, digits and `_`.
fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && name.len() <= 60
}

/// A configuration that is valid: large payments.
pub fn defaults() -> Json {
    json!({"topic": "payments", "condition": "amount > 1500.0", "severity": "high"})
}

/// The JSON Schema of a configuration.
pub fn schema() -> Json {
    let name = json!({"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9_]*$", "maxLength": 60});
    let condition = |description: &str| json!({"type": "string", "minLength": 1, "maxLength": TEXT_BYTES_MAX, "description": description});
    let with = |mut schema: Json, description: &str| {
        schema["description"] = json!(description);
        schema
    };
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["topic", "condition"],
        "properties": {
            "topic": with(json!({"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_.-]*$", "maxLength": 120}), "The topic whose events are judged."),
            "condition": condition("What raises an alert: a condition in CEL over the topic's columns and the counts."),
            "severity": {"enum": ["info", "warning", "high", "critical"], "description": "How bad it is."},
            "key": {"type": ["string", "null"], "maxLength": 60, "description": "What groups the events that are counted: a text column, or `all`."},
            "counts": {
                "type": "object",
                "description": "Counts of events with the same key over sliding windows, by the name that the condition knows them by.",
                "maxProperties": COUNTS_MAX,
                "propertyNames": name,
                "additionalProperties": {
                    "type": "object",
                    "additionalProperties": false,
                    "required": ["window_ms"],
                    "properties": {
                        "where": condition("Which events are counted: a condition in CEL over the topic's columns. All when it is left out."),
                        "window_ms": {"type": "integer", "minimum": 1, "maximum": WINDOW_MS_MAX, "description": "The length of the window in milliseconds."},
                    },
                },
            },
            "columns": {
                "type": "object",
                "description": "Columns of the topic that the host knows and this plugin, which was built before, does not, by name.",
                "maxProperties": 128,
                "propertyNames": name,
                "additionalProperties": {
                    "type": "object",
                    "additionalProperties": false,
                    "required": ["type"],
                    "properties": {
                        "type": {"enum": ColumnType::NAMES, "description": "The type of its values."},
                        "personal": {"type": "boolean", "description": "Whether it tells who a person is."},
                    },
                },
            },
        },
    })
}
