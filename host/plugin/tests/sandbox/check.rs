//! Checks: state stays with the host, and a failure leaves it as it was.

use std::sync::Arc;

use arrow_array::{ArrayRef, Decimal128Array, Int32Array, ListArray, RecordBatch, StringViewArray, UInt8Array};
use tamis_model::transform::Check;
use tamis_plugin::SandboxedCheck;

use crate::fixture::*;

fn check() -> SandboxedCheck {
    load("hostile-check", &check_manifest()).check("{}").unwrap()
}

fn rows(commands: &[&str]) -> RecordBatch {
    RecordBatch::try_from_iter([("command", text(commands))]).unwrap()
}

fn observed(check: &mut SandboxedCheck) -> String {
    check.finish().unwrap().remove(0).observed
}

#[test]
fn batches_add_up_and_finish_begins_anew() {
    let mut check = check();
    check.observe(&rows(&["a", "b"])).unwrap();
    check.observe(&rows(&["c"])).unwrap();
    assert_eq!(observed(&mut check), "3");
    assert_eq!(observed(&mut check), "0");
}

#[test]
fn a_failure_says_why_and_leaves_the_state() {
    let mut check = check();
    check.observe(&rows(&["a"])).unwrap();
    for (command, words) in [("trap", "trap: "), ("memory", "memory: "), ("huge_output", "output: ")] {
        let error = check.observe(&rows(&[command])).unwrap_err().chain();
        assert!(error.contains("hostile-check@1.0.0") && error.contains(words), "{error}");
    }
    assert_eq!(observed(&mut check), "1");
}

#[test]
fn results_that_are_no_text_are_a_breach() {
    let mut check = check();
    check.observe(&rows(&["a"; 666])).unwrap();
    let error = check.finish().unwrap_err().chain();
    assert!(error.contains("contract: "), "{error}");
}

#[test]
fn tables_may_hold_other_forms_of_the_same_values() {
    let text: ArrayRef = Arc::new(StringViewArray::from(vec!["a", "b"]));
    let decimals = Decimal128Array::from(vec![1, 2]).with_precision_and_scale(5, 1).unwrap();
    let columns: [(&str, ArrayRef); 4] = [
        ("command", text.clone()),
        ("small", Arc::new(UInt8Array::from(vec![1, 2]))),
        ("int", Arc::new(Int32Array::from(vec![1, 2]))),
        ("rate", Arc::new(decimals)),
    ];
    let mut check = check();
    check.observe(&RecordBatch::try_from_iter(columns).unwrap()).unwrap();
    assert_eq!(observed(&mut check), "2");

    let lists = ListArray::from_iter_primitive::<arrow_array::types::Int32Type, _, _>([Some([Some(1)]), None]);
    let lists: [(&str, ArrayRef); 2] = [("command", text), ("items", Arc::new(lists))];
    let error = check.observe(&RecordBatch::try_from_iter(lists).unwrap()).unwrap_err().chain();
    assert!(error.contains("column `items`"), "{error}");
}
