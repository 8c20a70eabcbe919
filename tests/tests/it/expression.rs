//! The plugin `expression` in the sandbox: what it accepts fits its stack, and its columns are those of the host.

use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Int64Array, StringArray};
use serde_json::json;
use tamis::plugin::test_sandbox;
use tamis_model::rule::{Keyed, Rule};
use tamis_model::schema::ColumnType;
use tamis_plugin::Plugin;
use tamis_tests::components;

fn plugin() -> Arc<Plugin> {
    components::load(&test_sandbox().unwrap(), "expression")
}

#[test]
fn its_columns_are_those_of_the_published_schemas() {
    let plugin = plugin();
    for topic in tamis::topics::standard().unwrap() {
        for field in &topic.fields {
            let config = json!({"topic": topic.name, "condition": format!("has({})", field.name)}).to_string();
            let configured = plugin.configured(&config);
            let Some(column_type) = field.column_type() else {
                let refused = configured.unwrap_err().chain();
                assert!(refused.contains("is kept as it came"), "{}.{}: {refused}", topic.name, field.name);
                continue;
            };
            let configured = configured.unwrap_or_else(|error| panic!("{}", error.chain()));
            let columns: Vec<_> = configured.manifest().columns().collect();
            assert_eq!(columns.len(), 1, "{}.{}", topic.name, field.name);
            let found = (&columns[0].name, columns[0].column_type, columns[0].required, columns[0].personal);
            assert_eq!(found, (&field.name, column_type, field.required, field.personal), "{}", topic.name);
        }
    }
}

#[test]
fn whatever_it_accepts_fits_its_stack() {
    let plugin = plugin();
    let deepest = |make: &dyn Fn(usize) -> String| {
        let accepted = (1..80).rev().map(make).find(|condition| works(&plugin, condition));
        accepted.expect("some depth is accepted").len()
    };
    let around = |open: &'static str, inner: &'static str, close: &'static str| {
        move |n: usize| format!("{}{inner}{}", open.repeat(n), close.repeat(n))
    };
    type Form = Box<dyn Fn(usize) -> String>;
    let forms: [(&str, Form); 9] = [
        ("!", Box::new(around("!(", "fraud_flag", ")"))),
        ("==", Box::new(around("(true == ", "fraud_flag", ")"))),
        ("? :", Box::new(around("(fraud_flag ? true : ", "fraud_flag", ")"))),
        ("&& ||", Box::new(around("(fraud_flag && (risk_score > 1 || ", "fraud_flag", "))"))),
        ("exists", Box::new(around("[risk_score].exists(x, x > 1 || ", "fraud_flag", ")"))),
        ("arithmetic", Box::new(|n| format!("{}risk_score{} > 1", "math.abs(1 + 2 * (".repeat(n), "))".repeat(n)))),
        ("a sum", Box::new(|n| format!("risk_score{} > 1", " + risk_score".repeat(n)))),
        ("calls", Box::new(|n| format!("{}psp{} == 'a'", "('a' + ".repeat(n), ").lowerAscii()".repeat(n)))),
        ("a pattern", Box::new(|n| format!("psp.matches('{}a{}')", "(a|".repeat(n), ")*".repeat(n)))),
    ];
    for (name, form) in &forms {
        assert!(deepest(form) > 40, "{name}");
    }
}

/// Three rows with the same value.
fn ones(column_type: ColumnType) -> ArrayRef {
    match column_type {
        ColumnType::Text => Arc::new(StringArray::from(vec!["a"; 3])),
        ColumnType::Int64 => Arc::new(Int64Array::from(vec![1; 3])),
        ColumnType::Boolean => Arc::new(BooleanArray::from(vec![true; 3])),
        other => panic!("no condition here reads {other:?}"),
    }
}

/// Whether the condition is accepted; then it must also work, as one with counts too. What is refused is refused by the plugin, with a
/// place.
fn works(plugin: &Arc<Plugin>, condition: &str) -> bool {
    let counts = json!({"n": {"where": condition, "window_ms": 1}});
    let with_counts =
        json!({"topic": "payments", "condition": format!("({condition}) && n > 0"), "key": "psp", "counts": counts});
    for config in [json!({"topic": "payments", "condition": condition}), with_counts] {
        let config = config.to_string();
        let configured = match plugin.configured(&config) {
            Ok(configured) => configured,
            Err(error) => {
                let refused = error.chain();
                assert!(refused.contains("refused: ") && refused.contains("line 1, column"), "{condition}: {refused}");
                return false;
            }
        };
        let columns: Vec<_> = configured.manifest().columns().map(|column| ones(column.column_type)).collect();
        let mut rule = configured.rule(&config).unwrap();
        if !configured.manifest().keyed() {
            let judged = rule.apply(&Keyed { rows: 3, columns: &columns, times: &[0; 3], ..Keyed::default() }).unwrap();
            assert!(judged.poisoned.is_empty(), "{condition}: {:?}", judged.poisoned);
        }
    }
    true
}
