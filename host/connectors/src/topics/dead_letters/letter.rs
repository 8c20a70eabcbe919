//! One dead letter, taken apart again.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Serialize, Serializer};
use tamis_engine::decode::json::{RecordParts, record_parts};
use tamis_model::alert::AlertMode;
use tamis_model::dead_letter::{FailedRule, PluginRef};
use tamis_model::position::Partition;
use tamis_model::time::{Millis, rfc3339_millis};

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
    /// The record's value; the whole line where no value could be seen in it.
    pub value: Option<Vec<u8>>,
}

impl StoredLetter {
    /// The letter in a record line of the dead letter topic; none when the line is no record.
    pub(super) fn of(partition: u32, line: &[u8]) -> Option<Self> {
        let parts = record_parts(line);
        let (offset, time) = (parts.offset?, parts.timestamp?);
        let headers = Headers(&parts);
        let from_offset = headers.number("__streams.errors.offset").filter(|offset| *offset >= 0);
        let (topic, number) = (headers.text("__streams.errors.topic"), headers.number("__streams.errors.partition"));
        let from = Partition { topic, number: number.unwrap_or(0) };
        let (reason, message) = (headers.text("tamis.reason"), headers.text("__streams.errors.message"));
        let (rule, attempt) = (headers.rule(), headers.number("tamis.attempt").unwrap_or(1));
        let (key, value) = (parts.key, parts.value);
        Some(Self { partition, offset, time, from, from_offset, reason, message, rule, attempt, key, value })
    }

    /// The line of the record that the letter is about, without a line break, to be judged again. None when there is no
    /// record to be rebuilt: its line could not be read, its envelope was wrong, or a rule failed on a key and not on a
    /// record.
    pub fn record_line(&self) -> Option<Vec<u8>> {
        let offset = self.from_offset?;
        if self.reason == INVALID_RECORD || self.holds_whole_line(offset) {
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

/// A letter as JSON: bytes that are not UTF-8 stand in base64, as in record lines.
#[derive(Serialize)]
struct Shown<'a> {
    partition: u32,
    offset: i64,
    time: String,
    from: Origin<'a>,
    reason: &'a str,
    message: &'a str,
    #[serde(flatten)]
    rule: Option<Rule<'a>>,
    attempt: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_base64: Option<String>,
}

#[derive(Serialize)]
struct Origin<'a> {
    topic: &'a str,
    partition: u32,
    offset: Option<i64>,
}

/// Named as in alerts.
#[derive(Serialize)]
struct Rule<'a> {
    rule: &'a str,
    rule_version: u32,
    mode: AlertMode,
    plugin: &'a str,
    plugin_version: &'a str,
    plugin_sha256: &'a str,
}

impl Serialize for StoredLetter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (key, key_base64) = text_or_base64(self.key.as_deref());
        let (value, value_base64) = text_or_base64(self.value.as_deref());
        Shown {
            partition: self.partition,
            offset: self.offset,
            time: rfc3339_millis(self.time),
            from: Origin { topic: &self.from.topic, partition: self.from.number, offset: self.from_offset },
            reason: &self.reason,
            message: &self.message,
            rule: self.rule.as_ref().map(|rule| Rule {
                rule: &rule.name,
                rule_version: rule.version,
                mode: rule.mode,
                plugin: &rule.plugin.name,
                plugin_version: &rule.plugin.version,
                plugin_sha256: &rule.plugin.sha256,
            }),
            attempt: self.attempt,
            key,
            key_base64,
            value,
            value_base64,
        }
        .serialize(serializer)
    }
}

fn text_or_base64(bytes: Option<&[u8]>) -> (Option<&str>, Option<String>) {
    match bytes.map(str::from_utf8) {
        None => (None, None),
        Some(Ok(text)) => (Some(text), None),
        Some(Err(_)) => (None, bytes.map(|bytes| STANDARD.encode(bytes))),
    }
}
