//! Dead letters: records that could not be decoded or judged, with their coordinates and raw bytes.
//!
//! Header names follow Kafka Streams' dead letter queue (KIP-1034), so that its tools read ours.

use crate::alert::AlertMode;
use crate::position::Partition;
use crate::record::Record;
use crate::time::Millis;

/// The topic of dead letters.
pub const DEAD_LETTERS: &str = "dead_letters";

/// A record on which decoding or a plugin failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Where it came from.
    pub partition: Partition,
    /// Its offset; none when the record line itself could not be read.
    pub offset: Option<i64>,
    /// Its record time, else the time of the record before it.
    pub timestamp: Millis,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value, unchanged; for an unreadable record line the whole line.
    pub value: Option<Vec<u8>>,
    /// A stable name of the reason: `invalid_json`, `wrong_type`, `deadline`, …
    pub reason: &'static str,
    /// The reason in words, with the field it is about.
    pub message: String,
    /// The rule that failed on it; none when it could not be decoded.
    pub rule: Option<FailedRule>,
    /// How often it was tried, from 1.
    pub attempt: u32,
}

/// A rule that failed on a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedRule {
    /// Its name.
    pub name: String,
    /// The number of its version.
    pub version: u32,
    /// Whether its alerts count.
    pub mode: AlertMode,
    /// The plugin that it puts to work.
    pub plugin: PluginRef,
}

/// A plugin, exactly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginRef {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The SHA-256 of its bytes, hex.
    pub sha256: String,
}

impl DeadLetter {
    /// The record that stands in the dead letter topic.
    pub fn into_record(self) -> Record {
        let exception = if self.rule.is_some() { "tamis.PluginFailed" } else { "tamis.RecordRefused" };
        let mut headers = vec![
            ("__streams.errors.exception", exception.to_owned()),
            ("__streams.errors.message", self.message),
            ("__streams.errors.stacktrace", String::new()),
            ("__streams.errors.topic", self.partition.topic),
            ("__streams.errors.partition", self.partition.number.to_string()),
            ("__streams.errors.offset", self.offset.unwrap_or(-1).to_string()),
            ("tamis.reason", self.reason.to_owned()),
            ("tamis.attempt", self.attempt.to_string()),
        ];
        if let Some(FailedRule { name, version, mode, plugin }) = self.rule {
            headers.push(("tamis.plugin", plugin.name));
            headers.push(("tamis.version", plugin.version));
            headers.push(("tamis.sha256", plugin.sha256));
            headers.push(("tamis.rule", name));
            headers.push(("tamis.rule_version", version.to_string()));
            headers.push(("tamis.mode", mode.name().to_owned()));
        }
        Record {
            topic: DEAD_LETTERS.to_owned(),
            partition: None,
            timestamp: self.timestamp,
            key: self.key,
            value: self.value,
            value_is_json: false,
            headers: headers.into_iter().map(|(name, value)| (name.to_owned(), value.into_bytes())).collect(),
        }
    }
}
