//! Rules without a key: poison rows are isolated, and columns of all types cross the boundary and back.

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array, StringArray,
    TimestampMicrosecondArray,
};
use serde_json::{Value, json};
use tamis_model::rule::{Rule, Severity, Value as ContextValue};
use tamis_plugin::SandboxedRule;

use crate::fixture::*;

fn rule(manifest: &Value, config: &str) -> SandboxedRule {
    load("hostile-rule", manifest).rule(config).unwrap()
}

/// `command` in one of twelve rows is poisoned for this reason, with these words; all other rows arrive.
fn check_isolated(rule: &mut SandboxedRule, command: &str, reason: &str, words: &str) {
    let mut commands = ["honest"; 12];
    commands[7] = command;
    let judged = rule.apply(&Rows::of(&commands).view()).unwrap();
    let [(row, got, message)] = poisoned(&judged)[..] else { panic!("{command}: {:?}", judged.poisoned) };
    assert_eq!((row, got), (7, reason), "{command}: {message}");
    assert!(message.contains(words), "{command}: `{words}` is not in: {message}");
    assert_eq!(found(&judged), [0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11], "{command}");
}

#[test]
fn every_honest_row_is_judged() {
    let judged = rule(&rule_manifest(), "{}").apply(&Rows::of(&["a", "é", ""]).view()).unwrap();
    assert_eq!((found(&judged), poisoned(&judged)), (vec![0, 1, 2], vec![]));
    assert_eq!(judged.findings[1].context, [ContextValue::Text("é".to_owned())]);
    assert_eq!((judged.findings[1].severity, judged.findings[1].criteria), (Severity::High, 1));
}

#[test]
fn each_misdeed_is_stopped_with_its_own_reason_and_the_neighbours_arrive() {
    let mut rule = rule(&rule_manifest(), "{}");
    for (command, reason, words) in [
        ("trap", "trap", "unreachable"),
        ("panic", "trap", "I panic on purpose"),
        ("recurse", "trap", "out of bounds"),
        ("memory", "memory", "its limit is 16777216"),
        ("huge_output", "output", "more than 1048576 bytes"),
        ("refuse", "refused", "I refuse row"),
        ("bad_row", "contract", "row 4294967295"),
        ("bad_group", "contract", "key 1048576 of 0"),
        ("empty_window", "contract", "[5, 5)"),
        ("unasked_memory", "contract", "remember"),
        ("bad_criteria", "contract", "1 are declared"),
        ("bad_context", "contract", "0 context values"),
        ("bad_text", "contract", "utf-8"),
        ("too_many_wakes", "contract", "1 wakes for 0 keys"),
        ("hostile_offsets", "contract", "offsets up to 4294967295 into 3 bytes"),
        ("falling_pseudonyms", "contract", "offsets that fall from 2 to 1"),
        ("no_offsets", "contract", "no offsets"),
        ("binary_pseudonyms", "contract", "not UTF-8"),
    ] {
        check_isolated(&mut rule, command, reason, words);
    }
}

#[test]
fn an_endless_row_is_stopped_at_its_deadline() {
    let mut manifest = rule_manifest();
    manifest["limits"] = short_limits();
    check_isolated(&mut rule(&manifest, "{}"), "loop", "deadline", "ran longer than 100 ms");
}

#[test]
fn one_trap_in_4096_rows_costs_one_row() {
    let mut commands = vec!["honest"; 4096];
    commands[2049] = "trap";
    let judged = rule(&rule_manifest(), "{}").apply(&Rows::of(&commands).view()).unwrap();
    assert_eq!(poisoned(&judged).iter().map(|p| p.0).collect::<Vec<_>>(), [2049]);
    assert_eq!(found(&judged), (0..4096).filter(|row| *row != 2049).collect::<Vec<_>>());
}

#[test]
fn a_rule_that_traps_on_every_row_is_given_up() {
    let judged = rule(&rule_manifest(), "{}").apply(&Rows::of(&["trap"; 1000]).view()).unwrap();
    let poisoned = poisoned(&judged);
    assert_eq!(poisoned.iter().map(|p| p.0).collect::<Vec<_>>(), (0..1000).collect::<Vec<_>>());
    assert!(poisoned.iter().all(|p| p.1 == "trap") && poisoned[999].2.contains("failed too often"), "{poisoned:?}");
    assert!(judged.findings.is_empty());
}

#[test]
fn an_output_that_only_the_whole_batch_exceeds_poisons_nothing() {
    let long = "x".repeat(700);
    let commands = vec![long.as_str(); 4096];
    let judged = rule(&rule_manifest(), "{}").apply(&Rows::of(&commands).view()).unwrap();
    assert_eq!((found(&judged).len(), poisoned(&judged)), (4096, vec![]));
}

#[test]
fn a_configuration_that_is_refused_leaves_the_old_one() {
    let mut rule = rule(&rule_manifest(), "{}");
    let error = rule.configure(r#"{"configure":"refuse"}"#).unwrap_err().chain();
    assert!(error.contains("not to my taste"), "{error}");
    assert_eq!(found(&rule.apply(&Rows::of(&["a", "b"]).view()).unwrap()), [0, 1]);
}

#[test]
fn a_batch_of_other_columns_is_the_caller_s_error() {
    let mut rule = rule(&rule_manifest(), "{}");
    let mut rows = Rows::of(&["a", "b"]);
    rows.columns = vec![Arc::new(Int64Array::from(vec![1, 2]))];
    assert!(rule.apply(&rows.view()).unwrap_err().chain().contains("column 0 is 2 rows of Int64"));
    rows.columns.clear();
    assert!(rule.apply(&rows.view()).unwrap_err().chain().contains("1 columns are declared"));
}

const TYPES: [&str; 8] = ["text", "int32", "int64", "float64", "boolean", "timestamp", "date", "decimal"];

/// A rule that emits the columns it gets, one of each type.
fn mirror_manifest() -> Value {
    let columns: Vec<Value> = TYPES.iter().map(|name| json!({"name": name, "type": name})).collect();
    let mut manifest = rule_manifest();
    manifest["inputs"][0]["columns"].as_array_mut().unwrap().extend(columns.clone());
    manifest["output"] = json!({"dataset": "mirror", "columns": columns});
    manifest["config"]["defaults"] = json!({"mirror": true});
    manifest
}

/// Nulls in every third row, extremes in between.
fn one_of_each(rows: usize) -> Vec<ArrayRef> {
    fn some<T>(rows: usize, value: impl Fn(usize) -> T) -> impl Iterator<Item = Option<T>> {
        (0..rows).map(move |i| (i % 3 != 1).then(|| value(i)))
    }
    let big = 999_999_999_999_999_999i128;
    let decimals: Decimal128Array = some(rows, |i| if i % 2 == 0 { big } else { -big }).collect();
    vec![
        Arc::new(some(rows, |i| "é".repeat(i % 5)).collect::<StringArray>()),
        Arc::new(some(rows, |i| if i % 2 == 0 { i32::MIN } else { i32::MAX }).collect::<Int32Array>()),
        Arc::new(some(rows, |i| i64::MIN + i as i64).collect::<Int64Array>()),
        Arc::new(some(rows, |i| i as f64 / 7.0).collect::<Float64Array>()),
        Arc::new(some(rows, |i| i % 4 == 0).collect::<BooleanArray>()),
        Arc::new(some(rows, |i| -(i as i64)).collect::<TimestampMicrosecondArray>().with_timezone("UTC")),
        Arc::new(some(rows, |i| i as i32 - 100).collect::<Date32Array>()),
        Arc::new(decimals.with_precision_and_scale(18, 2).unwrap()),
    ]
}

fn mirrored(rule: &mut SandboxedRule, commands: &[&str], columns: &[ArrayRef]) -> tamis_model::rule::Judged {
    let mut rows = Rows::of(commands);
    rows.columns.extend(columns.iter().cloned());
    rule.apply(&rows.view()).unwrap()
}

#[test]
fn columns_of_all_types_come_back_as_they_went_in_sliced_or_not() {
    let mut rule = rule(&mirror_manifest(), r#"{"mirror":true}"#);
    let whole = one_of_each(100);
    for (start, len) in [(0, 100), (0, 0), (1, 64), (8, 32), (13, 1), (13, 87)] {
        let columns: Vec<ArrayRef> = whole.iter().map(|column| column.slice(start, len)).collect();
        let judged = mirrored(&mut rule, &vec!["a"; len], &columns);
        assert_eq!(judged.emitted.len(), TYPES.len());
        for ((given, emitted), name) in columns.iter().zip(&judged.emitted).zip(TYPES) {
            assert_eq!(given, emitted, "{name} {start}..{}", start + len);
        }
    }
}

#[test]
fn what_is_emitted_is_checked_and_the_rest_is_joined_in_order() {
    let mut rule = rule(&mirror_manifest(), r#"{"mirror":true}"#);
    let columns = one_of_each(12);
    for (command, words) in [
        ("emit_wrong_type", "output column `text`: declared Text, but it holds int64"),
        ("emit_short", "output column `int32`: 0 values for"),
        ("emit_beyond_int32", "output column `int32`: 9223372036854775807 in row 0 is beyond 32 bits"),
        ("emit_bad_utf8", "output column `text`"),
        ("emit_bad_offsets", "offsets up to 1073741824"),
        ("emit_long_decimal", "more than 18 digits"),
        ("emit_bad_boolean", "2 in row 0 is neither 0 nor 1"),
        ("emit_few_columns", "7 output columns, 8 are declared"),
        ("emit_short_validity", "a validity bitmap of 0 bytes"),
    ] {
        let mut commands = ["a"; 12];
        commands[5] = command;
        let judged = mirrored(&mut rule, &commands, &columns);
        let [(5, "contract", message)] = poisoned(&judged)[..] else { panic!("{command}: {:?}", judged.poisoned) };
        assert!(message.contains(words), "{command}: `{words}` is not in: {message}");
        for (given, emitted) in columns.iter().zip(&judged.emitted) {
            assert_eq!((&emitted.slice(0, 5), &emitted.slice(5, 6)), (&given.slice(0, 5), &given.slice(6, 6)));
            assert_eq!(emitted.len(), 11);
        }
    }
}

#[test]
fn rows_without_a_declared_output_are_a_breach_of_contract() {
    let mut rule = rule(&rule_manifest(), r#"{"mirror":true}"#);
    let judged = rule.apply(&Rows::of(&["a"]).view()).unwrap();
    assert_eq!(poisoned(&judged), [(0, "contract", "1 emitted rows, but no output is declared")]);
}
