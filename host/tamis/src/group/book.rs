//! A rule set as it stands in the topic of rules.
//!
//! The topic is compacted. Its record `set` has the rules, and each component that they need stands beside it in parts, by its SHA-256, so that
//! no record is longer than brokers take. What belongs together is written in one transaction.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tamis_engine::rules::{OnFailure, OnStateChange, Role, RulePlan, RuleSet};
use tamis_model::error::Context as _;
use tamis_model::{Error, Kind, Result};
use tamis_plugin::{Plugin, Sandbox};
use tamis_registry::rule_plan;

/// The key of the record with the rules.
pub(super) const SET: &[u8] = b"set";
/// A part of a component at most.
const PART_BYTES: usize = 512 << 10;

/// A rule set as it is written.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Book {
    /// The revision.
    pub revision: u64,
    rules: Vec<Written>,
}

/// A version of a rule.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Written {
    name: String,
    version: u32,
    plugin_sha256: String,
    /// With what the plugin defaults to.
    config: String,
    lists: BTreeMap<String, u64>,
    role: Role,
    route: String,
    on_failure: OnFailure,
    on_state_change: OnStateChange,
}

impl Book {
    /// As it is to be written.
    pub fn of(rules: &RuleSet) -> Self {
        let written = |plan: &Arc<RulePlan>| Written {
            name: plan.name.clone(),
            version: plan.version,
            plugin_sha256: plan.plugin.sha256.clone(),
            config: plan.config.clone(),
            lists: (*plan.lists).clone(),
            role: plan.role,
            route: plan.route.clone(),
            on_failure: plan.on_failure,
            on_state_change: plan.on_state_change,
        };
        Self { revision: rules.revision, rules: rules.rules.iter().map(written).collect() }
    }

    /// The components that it needs, by SHA-256.
    pub fn components(&self) -> BTreeSet<&str> {
        self.rules.iter().map(|rule| rule.plugin_sha256.as_str()).collect()
    }
}

/// The keys and values of a component's records. The first byte of a value says how many parts there are.
pub(super) fn parts(sha256: &str, component: &[u8]) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let chunks: Vec<_> = component.chunks(PART_BYTES).collect();
    let count = u8::try_from(chunks.len()).invalid("tell the group", format!("component {sha256}"))?;
    let part = |(number, chunk): (usize, &&[u8])| (part_key(sha256, number as u8), [&[count], *chunk].concat());
    Ok(chunks.iter().enumerate().map(part).collect())
}

fn part_key(sha256: &str, number: u8) -> Vec<u8> {
    format!("component/{sha256}/{number}").into_bytes()
}

/// The SHA-256 of the component to which a record with this key belongs.
pub(super) fn component_of(key: &[u8]) -> Option<&str> {
    str::from_utf8(key).ok()?.strip_prefix("component/")?.split_once('/').map(|(sha256, _)| sha256)
}

/// What was read of the topic, by key.
#[derive(Default)]
pub(super) struct Pages {
    values: BTreeMap<Vec<u8>, Vec<u8>>,
    /// What was loaded, by SHA-256.
    loaded: BTreeMap<String, Arc<Plugin>>,
}

impl Pages {
    /// Takes a record.
    pub fn take(&mut self, key: &[u8], value: Option<&[u8]>) {
        match value {
            Some(value) => drop(self.values.insert(key.to_vec(), value.to_vec())),
            None => drop(self.values.remove(key)),
        }
    }

    /// The keys of components' parts.
    pub fn parts(&self) -> impl Iterator<Item = &[u8]> {
        self.values.keys().map(Vec::as_slice).filter(|key| component_of(key).is_some())
    }

    /// The rules as they stand there; none when nobody has said any.
    pub fn book(&self) -> Result<Option<Book>> {
        let Some(set) = self.values.get(SET) else { return Ok(None) };
        serde_json::from_slice(set).corrupt("read", "the rules of the group").map(Some)
    }

    /// The rule set of a book.
    pub fn rule_set(&mut self, book: &Book, sandbox: &Arc<Sandbox>) -> Result<RuleSet> {
        let needed = book.components();
        self.loaded.retain(|sha256, _| needed.contains(sha256.as_str()));
        for sha256 in needed {
            if !self.loaded.contains_key(sha256) {
                let plugin = sandbox.load(&self.component(sha256)?)?;
                if plugin.sha256() != sha256 {
                    return Err(Error::new(Kind::Corrupt, "read", format!("component {sha256} of the group")));
                }
                self.loaded.insert(sha256.to_owned(), plugin);
            }
        }
        let rules = book.rules.iter().map(|written| self.plan(written).map(Arc::new)).collect::<Result<_>>()?;
        Ok(RuleSet { revision: book.revision, rules })
    }

    fn plan(&self, written: &Written) -> Result<RulePlan> {
        let Written { name, version, config, lists, role, route, on_failure, on_state_change, .. } = written;
        let plan = rule_plan(name, &self.loaded[&written.plugin_sha256], config.clone())?;
        Ok(RulePlan {
            version: *version,
            lists: Arc::new(lists.clone()),
            role: *role,
            route: route.clone(),
            on_failure: *on_failure,
            on_state_change: *on_state_change,
            ..plan
        })
    }

    fn component(&self, sha256: &str) -> Result<Vec<u8>> {
        let object = || format!("component {sha256} of the group");
        let missing = || Error::new(Kind::Corrupt, "read", object()).because("a part of it is missing");
        let part = |number| self.values.get(&part_key(sha256, number)).and_then(|value| value.split_first());
        let (count, first) = part(0).ok_or_else(missing)?;
        let mut component = first.to_vec();
        for number in 1..*count {
            component.extend_from_slice(part(number).ok_or_else(missing)?.1);
        }
        Ok(component)
    }
}

/// The record of the rules.
pub(super) fn set(book: &Book) -> Result<(Vec<u8>, Vec<u8>)> {
    let value: Value = serde_json::to_value(book).invalid("write", "the rules of the group")?;
    Ok((SET.to_vec(), value.to_string().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_comes_together_from_its_parts() {
        let check = |bytes: usize, count: usize| {
            let component: Vec<u8> = (0..bytes).map(|at| (at % 251) as u8).collect();
            let written = parts("ab", &component).unwrap();
            assert_eq!(written.len(), count);
            let mut pages = Pages::default();
            written.iter().rev().for_each(|(key, value)| pages.take(key, Some(value)));
            assert_eq!(pages.component("ab").unwrap(), component);
            assert!(written.iter().all(|(key, _)| component_of(key) == Some("ab")));
            pages.take(&written[count - 1].0, None);
            assert_eq!(pages.component("ab").unwrap_err().kind(), Kind::Corrupt);
        };
        check(1, 1);
        check(PART_BYTES, 1);
        check(PART_BYTES + 1, 2);
        check(3 * PART_BYTES + 7, 4);
        assert!(parts("ab", &vec![0; PART_BYTES * 256]).is_err());
    }

    #[test]
    fn nothing_is_read_where_nothing_was_written() {
        let mut pages = Pages::default();
        assert_eq!(pages.book().unwrap(), None);
        let book = Book { revision: 3, rules: Vec::new() };
        let (key, value) = set(&book).unwrap();
        pages.take(&key, Some(&value));
        assert_eq!(pages.book().unwrap(), Some(book));
        pages.take(&key, Some(b"{"));
        assert_eq!(pages.book().unwrap_err().kind(), Kind::Corrupt);
    }
}
