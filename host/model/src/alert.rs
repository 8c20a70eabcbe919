//! Alerts: what a rule raises, by `schemas/alert.schema.json`.
//!
//! The same input gives the same `alert_id`: that is what makes delivery idempotent.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Index;
use std::sync::Arc;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use crate::pseudonym::{Form, Pepper, hex};
use crate::rule::Severity;
use crate::time::Millis;

/// An alert as it stands in its topic: raw, because people act on it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// See [`alert_id`].
    pub alert_id: String,
    /// The rule that raised it.
    pub rule: String,
    /// The number of the rule's version.
    pub rule_version: u32,
    /// The version of its plugin.
    pub plugin_version: String,
    /// The SHA-256 of its plugin's bytes, hex.
    pub plugin_sha256: String,
    /// How bad it is.
    pub severity: Severity,
    /// Whether it counts.
    pub mode: AlertMode,
    /// The trigger's record time, or the start of the window. RFC 3339.
    pub event_time: String,
    /// When the host made it. RFC 3339.
    pub generated_at: String,
    /// The value of the rule's key column, `all`, or null for rules without one.
    pub key: Option<String>,
    /// The trigger's payment.
    pub payment_id: Option<String>,
    /// The trigger's order.
    pub order_id: Option<String>,
    /// The trigger's customer.
    pub customer_id: Option<String>,
    /// The criteria that hold, in the order of the manifest.
    pub criteria: Vec<String>,
    /// The compared values; for windows the tallies and bounds.
    pub context: AlertContext,
    /// The revisions of the lists that the rule compared with.
    #[serde(default, skip_serializing_if = "no_lists", serialize_with = "lists", deserialize_with = "read_lists")]
    pub lists: Arc<BTreeMap<String, u64>>,
    /// Which members are replaced by pseudonyms in storage. Not part of the alert's JSON.
    #[serde(skip)]
    pub personal: Personal,
}

fn no_lists(lists: &Arc<BTreeMap<String, u64>>) -> bool {
    lists.is_empty()
}

fn lists<S: Serializer>(lists: &Arc<BTreeMap<String, u64>>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(&**lists)
}

fn read_lists<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<BTreeMap<String, u64>>, D::Error> {
    BTreeMap::deserialize(deserializer).map(Arc::new)
}

/// Names and values, in the order of the manifest. The names are those of the rule: every alert of it shares them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AlertContext(Vec<(Arc<str>, Json)>);

impl AlertContext {
    /// The value of that name.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Json> {
        self.0.iter_mut().find(|(other, _)| **other == *name).map(|(_, value)| value)
    }
}

impl FromIterator<(Arc<str>, Json)> for AlertContext {
    fn from_iter<I: IntoIterator<Item = (Arc<str>, Json)>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

/// The value of a name; null when there is none.
impl Index<&str> for AlertContext {
    type Output = Json;

    fn index(&self, name: &str) -> &Json {
        self.0.iter().find(|(other, _)| **other == *name).map_or(&Json::Null, |(_, value)| value)
    }
}

impl Serialize for AlertContext {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (&**name, value)))
    }
}

impl<'de> Deserialize<'de> for AlertContext {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = AlertContext;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<AlertContext, A::Error> {
                let mut values = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, Json>()? {
                    values.push((Arc::from(name), value));
                }
                Ok(AlertContext(values))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// Which members of an alert tell who a person is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Personal {
    /// The key is a customer, a device or an IP address.
    pub key: bool,
    /// Names in the context.
    pub context: Vec<String>,
}

/// Whether an alert counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AlertMode {
    /// It is acted on.
    Live,
    /// Its rule is on trial.
    Shadow,
}

impl AlertMode {
    /// Its name in alerts, dead letters and tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Shadow => "shadow",
        }
    }
}

/// What made a rule fire: the part of an alert's identity that is not the rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger<'a> {
    /// An event, by the topic it came from and its `payment_id` or `event_id`.
    Event {
        /// Its topic.
        topic: &'a str,
        /// Its id.
        id: &'a str,
    },
    /// A tumbling window.
    Window {
        /// Its key, `all` for all.
        key: &'a str,
        /// Its first millisecond.
        start: Millis,
    },
}

/// The first 32 hex digits of SHA-256 over `rule|topic|id` or `rule|key|window start`, preceded by
/// `shadow|` in shadow mode.
pub fn alert_id(mode: AlertMode, rule: &str, trigger: Trigger<'_>) -> String {
    let mut hash = Sha256::new();
    if mode == AlertMode::Shadow {
        hash.update("shadow|");
    }
    hash.update(rule);
    match trigger {
        Trigger::Event { topic, id } => ["|", topic, "|", id].iter().for_each(|part| hash.update(part)),
        Trigger::Window { key, start } => hash.update(format!("|{key}|{start}")),
    }
    hex(&hash.finalize()[..16])
}

/// Room is made for alerts of this size at first.
const JSON_BYTES_HINT: usize = 896;

/// The JSON is written in this crate, and not where it is needed, because others are optimised less.
impl Alert {
    /// As its record and its line in the lake hold it.
    pub fn json(&self) -> String {
        json(self, JSON_BYTES_HINT)
    }

    /// Its criteria, as an array.
    pub fn criteria_json(&self) -> String {
        json(&self.criteria, 0)
    }

    /// Its context, as an object.
    pub fn context_json(&self) -> String {
        json(&self.context, JSON_BYTES_HINT / 4)
    }

    /// The revisions of its lists, as an object; none when it has none.
    pub fn lists_json(&self) -> Option<String> {
        (!self.lists.is_empty()).then(|| json(&*self.lists, 0))
    }

    /// The alert as it is stored: customer, personal keys and personal context values are pseudonyms.
    #[must_use]
    pub fn for_storage(&self, pepper: &Pepper) -> Self {
        let pseudo = |value: &String| pepper.pseudo(value, Form::Short);
        let mut stored = self.clone();
        stored.customer_id = self.customer_id.as_ref().map(pseudo);
        if self.personal.key {
            stored.key = self.key.as_ref().map(pseudo);
        }
        for name in &self.personal.context {
            if let Some(value) = stored.context.get_mut(name) {
                pseudonymize(value, pepper);
            }
        }
        stored
    }
}

fn json(value: &impl Serialize, bytes_hint: usize) -> String {
    let mut json = Vec::with_capacity(bytes_hint);
    serde_json::to_writer(&mut json, value).expect("all names are texts and all numbers finite");
    String::from_utf8(json).expect("JSON is UTF-8")
}

fn pseudonymize(value: &mut Json, pepper: &Pepper) {
    match value {
        Json::Null => {}
        Json::Array(values) => values.iter_mut().for_each(|v| pseudonymize(v, pepper)),
        Json::String(text) => *text = pepper.pseudo(text, Form::Short),
        other => *other = pepper.pseudo(&other.to_string(), Form::Short).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contract_s_example() {
        let trigger = Trigger::Window { key: "psp-limit", start: 1_773_842_400_000 };
        assert_eq!(alert_id(AlertMode::Live, "psp-error-rate", trigger), "a1b8a51e34a6a84e5ce373e7e67afc4b");
        assert_ne!(alert_id(AlertMode::Shadow, "psp-error-rate", trigger), "a1b8a51e34a6a84e5ce373e7e67afc4b");
    }
}
