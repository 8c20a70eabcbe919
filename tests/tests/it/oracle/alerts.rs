//! Alerts as the oracle expects them, and what differs from those that were found.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

/// What an alert says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Content {
    pub rule: String,
    pub severity: &'static str,
    pub criteria: Vec<String>,
    pub key: Option<String>,
    /// RFC 3339.
    pub event_time: String,
    pub payment_id: Option<String>,
    pub order_id: Option<String>,
    pub customer_id: Option<String>,
}

/// The first 32 hex digits of the SHA-256 of a name.
pub fn alert_id(name: &str) -> String {
    Sha256::digest(name).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// Alerts by their id: what the id is made of, and what each event of that id would say. The first that is raised stands, and
/// where events of one id are in several partitions any can be the first.
#[derive(Debug, Default)]
pub struct Alerts(BTreeMap<String, (String, Vec<Content>)>);

impl Alerts {
    pub fn add(&mut self, name: &str, content: Content) {
        let (_, contents) = self.0.entry(alert_id(name)).or_insert_with(|| (name.to_owned(), Vec::new()));
        contents.push(content);
    }

    /// The rules that raised any.
    pub fn rules(&self) -> impl Iterator<Item = &str> {
        self.0.values().map(|(_, contents)| &contents[0].rule[..]).collect::<BTreeSet<_>>().into_iter()
    }

    /// A line for each alert that differs.
    pub fn differences(&self, found: &BTreeMap<String, Content>) -> Vec<String> {
        let mut differences = Vec::new();
        for (id, (name, contents)) in &self.0 {
            match found.get(id) {
                None => differences.push(format!("missing {name}: {contents:?}")),
                Some(content) if !contents.contains(content) => {
                    differences.push(format!("{name} is {content:?}\n    and not {contents:?}"));
                }
                Some(_) => {}
            }
        }
        let surplus = found.iter().filter(|(id, _)| !self.0.contains_key(*id));
        differences.extend(surplus.map(|(id, content)| format!("surplus {id}: {content:?}")));
        differences
    }
}
