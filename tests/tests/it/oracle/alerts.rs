//! Alerts as the oracle expects them, and what differs from those that were found.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value as Json};
use sha2::{Digest, Sha256};

/// What an alert says, and the record that it says it in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Content {
    pub route: String,
    pub record_key: String,
    pub rule: String,
    pub mode: String,
    pub severity: String,
    pub criteria: Vec<String>,
    pub key: Option<String>,
    /// RFC 3339.
    pub event_time: String,
    pub payment_id: Option<String>,
    pub order_id: Option<String>,
    pub customer_id: Option<String>,
    pub context: Map<String, Json>,
}

/// A context whose numbers are written in one way: 30 and 30.0 are the same to JSON.
pub fn told(mut context: Map<String, Json>) -> Map<String, Json> {
    for value in context.values_mut() {
        if let Some(whole) = value.as_f64().filter(|number| number.fract() == 0.0) {
            *value = (whole as i64).into();
        }
    }
    context
}

/// The first 32 hex digits of the SHA-256 of a name.
pub fn alert_id(name: &str) -> String {
    Sha256::digest(name).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// Alerts by their id: what the id is made of, and what each event of that id may say. The first that is raised stands, and
/// where events of one id, or of one window, are in several partitions any can be the first.
#[derive(Debug, Default)]
pub struct Alerts(BTreeMap<String, (String, Vec<Content>)>);

impl Alerts {
    pub fn add(&mut self, name: &str, content: Content) {
        let (_, contents) = self.0.entry(alert_id(name)).or_insert_with(|| (name.to_owned(), Vec::new()));
        contents.push(content);
    }

    /// Their ids.
    pub fn ids(&self) -> impl Iterator<Item = &String> {
        self.0.keys()
    }

    /// The rules that raised any.
    pub fn rules(&self) -> impl Iterator<Item = &str> {
        self.0.values().map(|(_, contents)| &contents[0].rule[..]).collect::<BTreeSet<_>>().into_iter()
    }

    /// A line for each alert that differs.
    pub fn differences(&self, found: &BTreeMap<String, Vec<Content>>) -> Vec<String> {
        let mut differences = Vec::new();
        for (id, (name, contents)) in &self.0 {
            let Some(found) = found.get(id) else {
                differences.push(format!("missing {name}: {contents:?}"));
                continue;
            };
            let others = found.iter().filter(|content| !contents.contains(content));
            differences.extend(others.map(|content| format!("{name} is {content:?}\n    and not {contents:?}")));
        }
        let surplus = found.iter().filter(|(id, _)| !self.0.contains_key(*id));
        differences.extend(surplus.map(|(id, content)| format!("surplus {id}: {content:?}")));
        differences
    }
}
