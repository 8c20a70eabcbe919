//! States of other versions: what `migrate` returns is checked, and a plugin that fails on it is no worse off.

use serde_json::{Value, json};
use tamis_model::rule::Rule;
use tamis_model::strings::StringsBuf;
use tamis_plugin::SandboxedRule;

use crate::fixture::*;

/// A rule that reads states of version 1, and makes of each its bytes twice.
fn manifest() -> Value {
    let mut manifest = keyed_manifest();
    manifest["context"] = json!([{"name": "command"}]);
    manifest["state_version"] = json!(2);
    manifest["migrates_from"] = json!([1]);
    manifest
}

fn rule() -> SandboxedRule {
    load("hostile-rule", &manifest()).rule("{}").unwrap()
}

fn migrated(rule: &mut SandboxedRule, states: &[&str], from_version: u32) -> Result<Vec<String>, String> {
    let states: StringsBuf = states.iter().map(|state| state.as_bytes()).collect();
    let migrated = rule.migrate(states.as_strings(), from_version).map_err(|error| error.chain())?;
    let migrated = migrated.as_strings();
    Ok((0..migrated.len()).map(|i| String::from_utf8(migrated.get(i).to_vec()).unwrap()).collect())
}

#[test]
fn states_come_back_in_their_order() {
    let mut rule = rule();
    assert_eq!(migrated(&mut rule, &["a", "", "bc"], 1).unwrap(), ["aa", "", "bcbc"]);
    assert_eq!(migrated(&mut rule, &[], 1).unwrap(), [""; 0]);
}

#[test]
fn a_failure_is_told_and_the_next_call_finds_a_fresh_plugin() {
    let mut rule = rule();
    for (state, words) in [
        ("refuse", "refused: I refuse a state of version 1"),
        ("lose one", "contract: 1 states for 2 keys"),
        ("trap", "trap: "),
        ("panic", "I panic on purpose"),
        ("memory", "memory: wanted"),
    ] {
        let error = migrated(&mut rule, &["a", state], 1).unwrap_err();
        assert!(error.contains(words) && error.contains("cannot migrate states of version 1"), "{state}: {error}");
        assert_eq!(migrated(&mut rule, &["a"], 1).unwrap(), ["aa"], "{state}");
    }
}

#[test]
fn a_migration_has_a_deadline() {
    let mut manifest = manifest();
    manifest["limits"] = short_limits();
    let mut rule = load("hostile-rule", &manifest).rule("{}").unwrap();
    assert!(migrated(&mut rule, &["loop"], 1).unwrap_err().contains("deadline: ran longer than 100 ms"));
}

#[test]
fn only_versions_that_the_manifest_names_are_migrated() {
    for version in [0, 2, 3] {
        let error = migrated(&mut rule(), &["a"], version).unwrap_err();
        assert!(error.contains("its manifest does not name that version"), "{version}: {error}");
    }
}

#[test]
fn a_manifest_names_earlier_versions() {
    let mut manifest = manifest();
    manifest["migrates_from"] = json!([1, 2]);
    let bytes = describing(component("hostile-rule"), &manifest.to_string());
    let error = SANDBOX.load(&bytes).unwrap_err().chain();
    assert!(error.contains("/migrates_from") && error.contains("only versions before 2"), "{error}");
}
