//! One dead letter, taken apart again.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Serialize, Serializer};
use tamis_engine::decode::json::{RecordParts, record_parts};
use tamis_model::alert::AlertMode;
use tamis_model::dead_letter::{FailedRule, PluginRef};
use tamis_model::position::Partition;
use tamis_model::time::{Millis, rfc3339_millis};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema, ToSchema};

use crate::kafka::{KEY_BYTES, TIMESTAMP, VALUE_BYTES};
use crate::topics::line::{self, Parts};

/// The engine's reason for a record line whose envelope is wrong.
const INVALID_RECORD: &str = "invalid_record";

/// A dead letter as it stands in its topic. What a header should say and does not is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredLetter {
    /// Its partition of the dead letter topic.
    pub partition: u32,
    /// Its offset there.
    pub offset: i64,
    /// The time of the record.
    pub time: Millis,
    /// Where the record came from.
    pub from: Partition,
    /// The record's offset there; none when its line could not be read, or when a rule failed on a key.
    pub from_offset: Option<i64>,
    /// A stable name of the reason.
    pub reason: String,
    /// The reason in words.
    pub message: String,
    /// The rule that failed on it; none when it could not be decoded.
    pub rule: Option<FailedRule>,
    /// How often it was tried.
    pub attempt: u32,
    /// The record's key.
    pub key: Option<Vec<u8>>,
    /// How long it was, when more of it than this no broker takes.
    pub key_bytes: Option<u64>,
    /// The record's value; the whole line where no value could be seen in it.
    pub value: Option<Vec<u8>>,
    /// How long it was, when more of it than this no broker takes.
    pub value_bytes: Option<u64>,
}

impl StoredLetter {
    /// The letter in a record of the dead letter topic; none when it is no record.
    pub(super) fn of(partition: u32, parts: RecordParts) -> Option<Self> {
        let headers = Headers(&parts);
        let (offset, time) = (parts.offset?, headers.number(TIMESTAMP).or(parts.timestamp)?);
        let (key_bytes, value_bytes) = (headers.number(KEY_BYTES), headers.number(VALUE_BYTES));
        let from_offset = headers.number("__streams.errors.offset").filter(|offset| *offset >= 0);
        let (topic, number) = (headers.text("__streams.errors.topic"), headers.number("__streams.errors.partition"));
        let from = Partition { topic, number: number.unwrap_or(0) };
        let (reason, message) = (headers.text("tamis.reason"), headers.text("__streams.errors.message"));
        let (rule, attempt) = (headers.rule(), headers.number("tamis.attempt").unwrap_or(1));
        let (key, value) = (parts.key, parts.value);
        Some(Self {
            partition,
            offset,
            time,
            from,
            from_offset,
            reason,
            message,
            rule,
            attempt,
            key,
            key_bytes,
            value,
            value_bytes,
        })
    }

    /// The line of the record that the letter is about, without a line break, to be judged again. None when there is no
    /// record to be rebuilt: its line could not be read, its envelope was wrong, a rule failed on a key and not on a
    /// record, or only a part of it is here.
    pub fn record_line(&self) -> Option<Vec<u8>> {
        let offset = self.from_offset?;
        let is_cut = self.key_bytes.is_some() || self.value_bytes.is_some();
        if self.reason == INVALID_RECORD || is_cut || self.holds_whole_line(offset) {
            return None;
        }
        let (key, value) = (self.key.as_deref(), self.value.as_deref());
        let mut line = Vec::new();
        line::append(&mut line, offset, &Parts { timestamp: self.time, key, value, ..Parts::default() });
        line.pop();
        Some(line)
    }

    /// Whether the value is a record line in which an offset can be seen and no value.
    fn holds_whole_line(&self, offset: i64) -> bool {
        self.value.as_deref().map(record_parts).is_some_and(|line| line.offset == Some(offset) && line.value.is_none())
    }
}

/// The headers of a dead letter.
struct Headers<'a>(&'a RecordParts);

impl Headers<'_> {
    fn get(&self, name: &str) -> Option<String> {
        let (_, value) = self.0.headers.iter().find(|(found, _)| found == name)?;
        Some(String::from_utf8_lossy(value).into_owned())
    }

    fn text(&self, name: &str) -> String {
        self.get(name).unwrap_or_default()
    }

    fn number<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.get(name)?.parse().ok()
    }

    /// Letters from before rules had versions name the plugin alone, which was the rule.
    fn rule(&self) -> Option<FailedRule> {
        let plugin = self.get("tamis.plugin")?;
        let is_shadow = self.get("tamis.mode").is_some_and(|mode| mode == AlertMode::Shadow.name());
        Some(FailedRule {
            name: self.get("tamis.rule").unwrap_or_else(|| plugin.clone()),
            version: self.number("tamis.rule_version").unwrap_or(1),
            mode: if is_shadow { AlertMode::Shadow } else { AlertMode::Live },
            plugin: PluginRef { name: plugin, version: self.text("tamis.version"), sha256: self.text("tamis.sha256") },
        })
    }
}

/// A record that could not be decoded or judged. Bytes that are not UTF-8 stand in base64, as in record lines.
#[derive(Serialize, ToSchema)]
#[schema(as = StoredLetter)]
struct Shown<'a> {
    /// Its partition of the dead letter topic.
    partition: u32,
    /// Its offset there.
    offset: i64,
    /// The time of the record, RFC 3339.
    time: String,
    /// Where the record came from.
    from: Origin<'a>,
    /// A stable name of the reason.
    #[schema(example = "wrong_type")]
    reason: &'a str,
    /// The reason in words.
    message: &'a str,
    /// The rule that failed on it; it and its version are absent when the record could not be decoded.
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'a str>,
    /// The number of the rule's version.
    #[serde(skip_serializing_if = "Option::is_none")]
    rule_version: Option<u32>,
    /// Whether its alerts count.
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<AlertMode>,
    /// The plugin that it puts to work.
    #[serde(skip_serializing_if = "Option::is_none")]
    plugin: Option<&'a str>,
    /// The plugin's version.
    #[serde(skip_serializing_if = "Option::is_none")]
    plugin_version: Option<&'a str>,
    /// SHA-256 of the plugin's bytes, hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    plugin_sha256: Option<&'a str>,
    /// How often it was tried.
    attempt: u32,
    /// The record's key.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    /// The record's key, if it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    key_base64: Option<String>,
    /// How long the key was, when only its beginning is here.
    #[serde(skip_serializing_if = "Option::is_none")]
    key_bytes: Option<u64>,
    /// The record's value; the whole line where no value could be seen in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a str>,
    /// The record's value, if it is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    value_base64: Option<String>,
    /// How long the value was, when only its beginning is here.
    #[serde(skip_serializing_if = "Option::is_none")]
    value_bytes: Option<u64>,
}

/// Where a record came from.
#[derive(Serialize, ToSchema)]
#[schema(as = LetterOrigin)]
struct Origin<'a> {
    /// Its topic.
    topic: &'a str,
    /// Its partition.
    partition: u32,
    /// Its offset; null when its line could not be read, or when a rule failed on a key.
    offset: Option<i64>,
}

impl Serialize for StoredLetter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (key, key_base64) = text_or_base64(self.key.as_deref());
        let (value, value_base64) = text_or_base64(self.value.as_deref());
        let rule = self.rule.as_ref();
        Shown {
            partition: self.partition,
            offset: self.offset,
            time: rfc3339_millis(self.time),
            from: Origin { topic: &self.from.topic, partition: self.from.number, offset: self.from_offset },
            reason: &self.reason,
            message: &self.message,
            rule: rule.map(|rule| &*rule.name),
            rule_version: rule.map(|rule| rule.version),
            mode: rule.map(|rule| rule.mode),
            plugin: rule.map(|rule| &*rule.plugin.name),
            plugin_version: rule.map(|rule| &*rule.plugin.version),
            plugin_sha256: rule.map(|rule| &*rule.plugin.sha256),
            attempt: self.attempt,
            key,
            key_base64,
            key_bytes: self.key_bytes,
            value,
            value_base64,
            value_bytes: self.value_bytes,
        }
        .serialize(serializer)
    }
}

/// The schema of its JSON.
impl PartialSchema for StoredLetter {
    fn schema() -> RefOr<Schema> {
        Shown::schema()
    }
}

impl ToSchema for StoredLetter {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        Shown::schemas(schemas);
    }
}

fn text_or_base64(bytes: Option<&[u8]>) -> (Option<&str>, Option<String>) {
    match bytes.map(str::from_utf8) {
        None => (None, None),
        Some(Ok(text)) => (Some(text), None),
        Some(Err(_)) => (None, bytes.map(|bytes| STANDARD.encode(bytes))),
    }
}
