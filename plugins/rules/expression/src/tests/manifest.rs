//! What the plugin says of itself, before and after it is configured.

use serde_json::{Value as Json, json};
use tamis_sdk::rule::RulePlugin;

use crate::Plugin;

fn described(config: Json) -> Json {
    let plugin = Plugin::configure(&config.to_string()).unwrap_or_else(|why| panic!("{why}"));
    serde_json::from_str(&plugin.describe()).unwrap()
}

#[test]
fn unconfigured_it_is_the_rule_of_its_defaults() {
    let manifest: Json = serde_json::from_str(&Plugin::manifest()).unwrap();
    assert_eq!(manifest, described(manifest["config"]["defaults"].clone()));
    assert_eq!(manifest["describes_configured"], true);
    assert_eq!(
        manifest["inputs"],
        json!([{"topic": "payments", "columns": [{"name": "amount", "type": "decimal", "required": true}]}])
    );
    assert_eq!(manifest["context"], json!([{"name": "amount", "personal": false, "from": "row"}]));
    assert_eq!(manifest["criteria"], json!(["condition"]));
    assert_eq!(
        (&manifest["late"], &manifest["remembers"], &manifest["state_shape"]),
        (&json!("judge"), &json!(false), &json!(""))
    );
}

#[test]
fn a_rule_reads_the_columns_that_it_names() {
    let manifest = described(json!({
        "topic": "payments", "condition": "user_agent.contains('curl') && risk_score > 5 && has(user_agent) && fraud_flag != null",
    }));
    assert_eq!(
        manifest["inputs"][0]["columns"],
        json!([
            {"name": "user_agent", "type": "text", "personal": true},
            {"name": "risk_score", "type": "int64"},
            {"name": "fraud_flag", "type": "boolean"},
        ])
    );
    assert_eq!(manifest["context"][0], json!({"name": "user_agent", "personal": true, "from": "row"}));
}

#[test]
fn a_rule_with_counts_remembers_and_tells_them() {
    let config = |condition: &str, wanted: &str, window_ms: u32, key: &str| {
        json!({
            "topic": "payments", "condition": condition, "key": key, "severity": "critical",
            "counts": {"paid": {"window_ms": 1000}, "failed": {"where": wanted, "window_ms": window_ms}},
        })
    };
    let manifest =
        described(config("failed > 3 && amount > 5", "status == 'failed' && amount > 1", 60_000, "customer_id"));
    let columns = &manifest["inputs"][0]["columns"];
    assert_eq!(
        (&columns[0]["name"], &columns[1]["name"], columns.as_array().unwrap().len()),
        (&json!("amount"), &json!("status"), 2)
    );
    assert_eq!(manifest["inputs"][0]["key"], "customer_id");
    assert_eq!((&manifest["late"], &manifest["remembers"]), (&json!("ignore"), &json!(true)));
    let context: Vec<_> =
        manifest["context"].as_array().unwrap().iter().map(|column| column["name"].as_str().unwrap()).collect();
    assert_eq!(context, ["amount", "failed", "failed_start", "paid", "paid_start"]);
    assert!(manifest["context"].as_array().unwrap().iter().all(|column| column["from"] == "finding"));

    // The state means the same as long as topic, key, and what is counted are the same.
    let shape = |config: Json| described(config)["state_shape"].clone();
    let kept = shape(config("failed > 3", "status == 'failed'", 60_000, "customer_id"));
    assert_eq!(kept, shape(config("failed > 9 || amount > 1", " status == 'failed'", 90_000, "customer_id")));
    assert_ne!(kept, shape(config("failed > 3", "status == 'pending'", 60_000, "customer_id")));
    assert_ne!(kept, shape(config("failed > 3", "status == 'failed'", 60_000, "session_id")));
    assert_eq!(kept, shape(config("failed > 3", "status=='failed' // or not\n", 60_000, "customer_id")));
    assert_ne!(kept, shape(config("failed > 3", "status == ' failed'", 60_000, "customer_id")));

    // What waits for the watermark is judged by what was kept of it: by conditions that wait, over the same columns.
    let waiting = |condition: &str| shape(config(condition, "status == 'failed'", 60_000, "customer_id"));
    let waits = waiting("failed == 3 && amount > 5 && psp == 'x'");
    assert_ne!(waits, waiting("failed > 3 && amount > 5 && psp == 'x'"));
    assert_ne!(waits, waiting("failed == 3 && amount > 5"));
    assert_eq!(waits, waiting("amount > 9 && (paid == 2 || psp in ['x', 'y'])"));
    assert!(waits.as_str().unwrap().ends_with(" waiting(amount decimal,psp text)"), "{waits}");
}

#[test]
fn columns_can_be_declared() {
    let manifest = described(json!({
        "topic": "clicks", "condition": "page == '/' && dwell_ms < 10",
        "columns": {"page": {"type": "text"}, "dwell_ms": {"type": "int64"}, "visitor": {"type": "text", "personal": true}},
        "key": "visitor", "counts": {"n": {"where": "visitor != 'x'", "window_ms": 1}},
    }));
    assert_eq!(
        manifest["inputs"],
        json!([{"topic": "clicks", "key": "visitor", "columns": [
            {"name": "page", "type": "text"}, {"name": "dwell_ms", "type": "int64"}, {"name": "visitor", "type": "text", "personal": true},
        ]}])
    );
}

#[test]
fn a_state_shape_stays_short() {
    let counts: serde_json::Map<_, _> = (0..8)
        .map(|n| {
            (
                format!("{}{n}", "n".repeat(59)),
                json!({"where": format!("status == '{}'", "x".repeat(4000)), "window_ms": 1}),
            )
        })
        .collect();
    let manifest = described(json!({"topic": "payments", "condition": "true", "key": "psp", "counts": counts}));
    assert!(manifest["state_shape"].as_str().unwrap().len() < 1000);
    // The schema of manifests allows 4000 bytes.
    let columns: Vec<_> = (0..40).map(|n| format!("{}{n:02}", "c".repeat(58))).collect();
    let condition = columns.iter().map(|name| format!("has({name})")).collect::<Vec<_>>().join(" && ");
    let columns: serde_json::Map<_, _> = columns.into_iter().map(|name| (name, json!({"type": "float64"}))).collect();
    let counts: serde_json::Map<_, _> =
        (0..8).map(|n| (format!("{}{n}", "n".repeat(59)), json!({"window_ms": 1}))).collect();
    let condition = format!("{condition} && {}0 == 1", "n".repeat(59));
    let config =
        json!({"topic": "t".repeat(120), "condition": condition, "key": "all", "counts": counts, "columns": columns});
    assert!(described(config)["state_shape"].as_str().unwrap().len() < 4000);
}
