//! What is refused at upload, and with which words.

use serde_json::{Value, json};
use tamis_plugin::Sandbox;

use crate::fixture::*;

fn check_refused(bytes: &[u8], words: &[&str]) {
    let error = SANDBOX.load(bytes).err().unwrap_or_else(|| panic!("loaded, but should lack {words:?}")).chain();
    for word in words {
        assert!(error.contains(word), "`{word}` is not in: {error}");
    }
}

/// The rule with a change of its manifest is refused with these words.
fn check_manifest_refused(pointer: &str, value: Value, words: &[&str]) {
    check_changed(rule_manifest(), "hostile-rule", pointer, value, words);
}

fn check_changed(mut manifest: Value, name: &str, pointer: &str, value: Value, words: &[&str]) {
    match manifest.pointer_mut(pointer) {
        Some(place) => *place = value,
        None => {
            let (parent, member) = pointer.rsplit_once('/').unwrap();
            manifest.pointer_mut(parent).unwrap()[member] = value;
        }
    }
    check_refused(&describing(component(name), &manifest.to_string()), words);
}

fn rule_bytes() -> Vec<u8> {
    describing(component("hostile-rule"), &rule_manifest().to_string())
}

#[test]
fn an_honest_plugin_loads() {
    let plugin = load("hostile-rule", &rule_manifest());
    assert_eq!(plugin.manifest().name, "hostile-rule");
    assert_eq!(plugin.size_bytes(), rule_bytes().len() as u64);
    assert_eq!(plugin.reference().sha256, plugin.sha256());
    assert!(plugin.transform("{}").unwrap_err().chain().contains("it is a rule, not a transform"));
}

#[test]
fn bytes_that_are_no_component() {
    let bytes = rule_bytes();
    check_refused(b"", &["not a Wasm component"]);
    check_refused(b"#!/bin/sh", &["not a Wasm component"]);
    check_refused(b"\0asm\x01\0\0\0", &["core module"]);
    check_refused(b"\0asm\x63\0\0\0", &["does not know"]);
    check_refused(&bytes[..bytes.len() / 2], &["cannot compile"]);
    let mut corrupt = bytes.clone();
    let third = corrupt.len() / 3;
    corrupt[third..third + 512].fill(0xff);
    check_refused(&corrupt, &["cannot compile"]);
}

#[test]
fn a_component_that_is_too_large() {
    let sandbox = Sandbox::new(tamis_plugin::SandboxSettings { component_bytes_max: 1000, ..settings() }).unwrap();
    assert!(sandbox.load(&rule_bytes()).unwrap_err().chain().contains("the limit is 1000"));
}

#[test]
fn imports_are_refused_by_name() {
    let wasi = renamed(rule_bytes(), "tamis:plugin/host@1.0.0", "wasi:sockets/tcp@0.2.10");
    check_refused(&wasi, &["`wasi:sockets/tcp@0.2.10`, which no plugin may"]);
    let unknown = renamed(rule_bytes(), "tamis:plugin/host@1.0.0", "tamis:plugin/host@1.9.0");
    check_refused(&unknown, &["`tamis:plugin/host@1.9.0`"]);
    let function = renamed(rule_bytes(), "pseudonymize", "read-the-env");
    check_refused(&function, &["`tamis:plugin/host@1.0.0#read-the-env`, which does not exist"]);
}

#[test]
fn exports_must_be_those_of_a_world() {
    let wrong = renamed(rule_bytes(), "advance", "adverse");
    check_refused(&wrong, &["`advance` is missing", "`adverse` is too much"]);
    let wrong = renamed(rule_bytes(), "describe", "disclose");
    check_refused(&wrong, &["`describe` is missing"]);
}

#[test]
fn exports_must_have_the_types_of_their_world() {
    check_refused(&renamed(rule_bytes(), "watermark", "waterline"), &["waterline"]);
}

#[test]
fn a_manifest_of_another_world() {
    let lying = describing(component("hostile-check"), &rule_manifest().to_string());
    check_refused(&lying, &["says that it is a rule", "those of a check"]);
}

#[test]
fn describe_is_limited_too() {
    check_refused(&describing(component("hostile-rule"), "!loop"), &["cannot describe", "deadline"]);
    check_refused(&describing(component("hostile-rule"), "!trap"), &["cannot describe", "trap", "unreachable"]);
    check_refused(&describing(component("hostile-rule"), "!memory"), &["cannot describe", "memory"]);
    check_refused(&describing(component("hostile-rule"), "{\"name\""), &["not JSON"]);
}

#[test]
fn configure_is_limited_too() {
    let refused = |command: &str, words: &[&str]| {
        let mut manifest = rule_manifest();
        manifest["limits"] = short_limits();
        manifest["config"]["defaults"] = json!({"configure": command});
        check_refused(&describing(component("hostile-rule"), &manifest.to_string()), words);
    };
    refused("loop", &["cannot configure plugin hostile-rule@1.0.0", "deadline: ran longer than 100 ms"]);
    refused("trap", &["trap"]);
    refused("memory", &["memory: wanted"]);
    refused("refuse", &["refused: this configuration is not to my taste"]);
}

#[test]
fn a_manifest_that_does_not_fit_its_schema_is_refused_with_the_place() {
    check_manifest_refused("/version", json!("one"), &["`/version`"]);
    check_manifest_refused("/inputs/0/columns/0/type", json!("blob"), &["`/inputs/0/columns/0/type`"]);
    check_manifest_refused("/surprise", json!(1), &["surprise"]);
}

#[test]
fn a_rule_s_manifest_must_make_sense() {
    check_manifest_refused("/inputs", json!([]), &["/inputs", "needs a topic"]);
    check_manifest_refused("/inputs/0/source", json!("crm"), &["/inputs/0", "not a source"]);
    check_manifest_refused("/context", json!([{"name": "nothing", "from": "row"}]), &["/context/0", "no column"]);
    check_manifest_refused("/context", json!([{"name": "nothing", "from": "config"}]), &["/context/0", "no setting"]);
    check_manifest_refused("/context", json!([{"name": "a"}, {"name": "a"}]), &["/context", "two of"]);
    let two = json!([{"name": "a", "type": "text"}, {"name": "a", "type": "date"}]);
    check_manifest_refused("/inputs/0/columns", two, &["two of column `a`"]);
    let number = json!([{"topic": "t", "key": "n", "columns": [{"name": "n", "type": "int64"}]}]);
    check_manifest_refused("/inputs", number, &["keys are text"]);
    let half = json!([{"topic": "a", "columns": [], "key": "all"}, {"topic": "b", "columns": []}]);
    check_manifest_refused("/inputs", half, &["either every input has a key or none"]);
    check_manifest_refused("/limits/deadline_ms", json!(59_000), &["/limits", "10000 that this host allows"]);
    check_manifest_refused("/limits/memory_bytes", json!(1u64 << 32), &["/limits", "memory_bytes"]);
}

#[test]
fn the_configuration_s_schema_is_not_trusted() {
    check_manifest_refused("/config/schema", json!({"type": "strange"}), &["/config/schema", "strange"]);
    let remote = json!({"$ref": "https://example.org/schema.json"});
    check_manifest_refused("/config/schema", remote, &["/config/schema", "outside of itself"]);
    let strict = json!({"properties": {"n": {"type": "integer"}}, "required": ["n"]});
    check_manifest_refused("/config/schema", strict, &["/config/defaults", "required"]);
}

#[test]
fn an_output_must_make_sense_and_keep_persons_private() {
    let refused = |pointer: &str, value: Value, words: &[&str]| {
        check_changed(transform_manifest(), "hostile-transform", pointer, value, words);
    };
    refused("/output/partition_by", json!(["pays"]), &["/output", "`pays` is no column"]);
    refused("/output/key", json!(["id"]), &["/output", "`id` is no column"]);
    refused("/output/keep", json!({"which": "latest", "by": "then"}), &["/output", "`then` is no column"]);
    refused("/output/partition_by", json!(["line", "length"]), &["nothing is left to store"]);
    refused("/output/columns/0/personal", json!(true), &["/output", "is personal"]);
    refused(
        "/inputs/0/columns/0",
        json!({"name": "LI-NE", "type": "text", "personal": true}),
        &["`line` bears the name"],
    );
    refused("/inputs/0/key", json!("line"), &["no topic, no key"]);
    refused("/criteria", json!(["a"]), &["/criteria", "only rules"]);
    let two = json!([{"name": "a", "type": "text"}, {"name": "b", "type": "text"}]);
    refused("/inputs/0/columns", two, &["one text column"]);
}

#[test]
fn a_pseudonym_may_bear_the_name_of_a_personal_input() {
    let mut manifest = transform_manifest();
    manifest["inputs"][0]["columns"][0]["personal"] = json!(true);
    manifest["output"]["columns"][0]["pseudonym"] = json!(true);
    load("hostile-transform", &manifest);
}

#[test]
fn configurations_are_defaults_with_overrides() {
    let mut manifest = rule_manifest();
    let schema = json!({"type": "object", "additionalProperties": false,
        "properties": {"max": {"type": "integer", "minimum": 0}, "list": {"type": "array"}}});
    manifest["config"] = json!({"schema": schema, "defaults": {"max": 3, "list": [1, 2]}});
    let plugin = load("hostile-rule", &manifest);
    let effective = |overrides: Value| plugin.effective_config(&overrides).map_err(|e| e.chain());
    assert_eq!(effective(Value::Null).unwrap(), r#"{"max":3,"list":[1,2]}"#);
    assert_eq!(effective(json!({"list": []})).unwrap(), r#"{"max":3,"list":[]}"#);
    assert!(effective(json!({"max": -1})).unwrap_err().contains("`/max`"));
    assert!(effective(json!({"min": 1})).unwrap_err().contains("min"));
    assert!(effective(json!([])).unwrap_err().contains("no JSON object"));
    assert!(plugin.check_config("{").is_err());
}

#[test]
fn the_pool_bounds_the_instances() {
    let settings = tamis_plugin::SandboxSettings { instances_max: 2, ..settings() };
    let plugin = Sandbox::new(settings).unwrap().load(&rule_bytes()).unwrap();
    let working: Vec<_> = (0..2).map(|_| plugin.rule("{}").unwrap()).collect();
    let error = plugin.rule("{}").unwrap_err();
    assert!(error.can_retry(), "{}", error.chain());
    drop(working);
    plugin.rule("{}").unwrap();
}
