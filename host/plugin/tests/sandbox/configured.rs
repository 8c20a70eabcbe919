//! Plugins whose manifest follows from their configuration.

use std::sync::Arc;

use serde_json::{Value, json};
use tamis_model::rule::Rule;
use tamis_plugin::Plugin;

use crate::fixture::*;

/// A rule that describes itself, once it is configured, as its setting `manifest` says.
fn unconfigured() -> Value {
    let mut manifest = rule_manifest();
    manifest["describes_configured"] = json!(true);
    manifest
}

fn plugin() -> Arc<Plugin> {
    load("hostile-rule", &unconfigured())
}

/// The plugin under a configuration that makes it describe itself so.
fn configured(described: &Value) -> tamis_model::Result<Arc<Plugin>> {
    plugin().configured(&json!({"manifest": described}).to_string())
}

/// The manifest with another value at `pointer`.
fn changed(pointer: &str, value: Value) -> Value {
    let mut manifest = unconfigured();
    let (parent, member) = pointer.rsplit_once('/').unwrap();
    manifest.pointer_mut(parent).unwrap()[member] = value;
    manifest
}

fn check_refused(described: &Value, words: &[&str]) {
    let error = configured(described).err().unwrap_or_else(|| panic!("accepted, but should lack {words:?}")).chain();
    for word in words.iter().chain(&["cannot configure plugin hostile-rule@1.0.0"]) {
        assert!(error.contains(word), "`{word}` is not in: {error}");
    }
}

#[test]
fn what_it_reads_and_tells_may_follow_from_the_configuration() {
    let two = json!([{"name": "command", "type": "text"}, {"name": "amount", "type": "decimal"}]);
    let mut described = changed("/inputs/0/columns", two);
    described["criteria"] = json!(["other"]);
    described["context"] = json!([{"name": "amount", "from": "row"}]);
    described["late"] = json!("ignore");
    described["state_shape"] = json!("of two columns");
    let plugin = configured(&described).unwrap();
    assert_eq!(plugin.manifest().columns().count(), 2);
    assert_eq!(
        (&plugin.manifest().criteria[..], &plugin.manifest().state_shape[..]),
        (&["other".to_owned()][..], "of two columns")
    );
    assert_eq!(plugin.sha256(), self::plugin().sha256());
    // Configured again, the way leads back.
    assert_eq!(plugin.configured("{}").unwrap().manifest(), self::plugin().manifest());
}

#[test]
fn it_stays_the_plugin_that_it_is() {
    for (pointer, value) in [
        ("/name", json!("another")),
        ("/version", json!("1.0.1")),
        ("/title", json!("Does something else")),
        ("/owner", json!("somebody else")),
        ("/config/schema", json!({"type": "object", "maxProperties": 7})),
        ("/config/defaults", json!({"a": 1})),
        ("/limits/deadline_ms", json!(4000)),
        ("/state_version", json!(2)),
        ("/describes_configured", json!(false)),
    ] {
        let member = pointer.split('/').nth(1).unwrap();
        check_refused(&changed(pointer, value), &[&format!("once configured it states another `{member}`")]);
    }
    let output = json!({"dataset": "mirror", "columns": [{"name": "a", "type": "text"}]});
    check_refused(&changed("/output", output), &["another `output`"]);
}

#[test]
fn what_it_says_is_checked_again() {
    check_refused(&changed("/inputs", json!([])), &["manifest: at `/inputs`", "needs a topic"]);
    let told = json!([{"name": "nothing", "from": "row"}]);
    check_refused(&changed("/context", told), &["at `/context/0`", "no column"]);
    check_refused(&changed("/surprise", json!(1)), &["surprise"]);
    check_refused(&json!("{"), &["not JSON"]);
    check_refused(&json!("!trap"), &["trap", "unreachable"]);
    check_refused(&json!("!memory"), &["memory: wanted"]);
    let refused = plugin().configured(r#"{"configure":"refuse"}"#).unwrap_err().chain();
    assert!(refused.contains("refused: this configuration is not to my taste"), "{refused}");
    assert!(plugin().configured("[]").unwrap_err().chain().contains("at the root"));
}

#[test]
fn a_plugin_that_does_not_say_so_is_not_asked() {
    let plugin = load("hostile-rule", &rule_manifest());
    let configured = plugin.configured(r#"{"manifest":"!trap"}"#).unwrap();
    assert!(Arc::ptr_eq(&plugin, &configured));
}

#[test]
fn a_rule_works_under_the_configuration_that_it_describes() {
    let two = json!([{"name": "command", "type": "text"}, {"name": "amount", "type": "decimal"}]);
    let config = json!({"manifest": changed("/inputs/0/columns", two)}).to_string();
    let plugin = plugin();
    let refused = plugin.rule(&config).unwrap_err().chain();
    assert!(refused.contains("describes itself in another way"), "{refused}");
    let mut rule = plugin.configured(&config).unwrap().rule(&config).unwrap();
    assert!(rule.configure("{}").unwrap_err().chain().contains("describes itself in another way"));
    rule.configure(&config).unwrap();
    let columns = rule.apply(&Rows::of(&["a"]).view()).unwrap_err().chain();
    assert!(columns.contains("2 columns are declared"), "{columns}");
}
