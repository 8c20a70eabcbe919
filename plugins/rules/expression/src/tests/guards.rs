//! Conditions with counts that cannot be evaluated for some events: which rows are refused, and which of the others fire.

use serde_json::{Value as Json, json};
use tamis_sdk::bindings::types::{Column, Groups, Identities, Strings, Values};
use tamis_sdk::rule::RulePlugin;
use tamis_sdk::testing::{Record, Run};

use super::keyed;
use crate::Plugin;

/// A configuration with the count `n` of all events of one key.
fn config(condition: &str) -> Json {
    json!({
        "topic": "payments", "condition": condition, "key": "customer_id",
        "counts": {"n": {"window_ms": 1000}},
    })
}

/// Why a row is refused that comes alone, before all others.
pub fn refusal(config: &Json, row: &Json) -> Option<String> {
    let strings = |text: &[u8]| Strings { offsets: vec![0, text.len() as u32], data: text.to_vec() };
    let mut plugin = Plugin::configure(&config.to_string()).unwrap();
    let mut rows = keyed(&plugin.columns, std::slice::from_ref(row));
    rows.groups = Some(Groups { members: vec![0], keys: strings(b"c1"), states: strings(b"") });
    let id = || Column { values: Values::Text(strings(b"p1")), validity: None };
    rows.identities = Some(Identities { id: id(), order_id: id(), customer_id: id() });
    plugin.apply(&rows).err()
}

/// Payments of one customer, a millisecond apart, with these values of `risk_score`: those that are refused, as the host leaves them out,
/// and those of the others that fire. The n-th of the others counts n.
fn check(condition: &str, risks: &[i64], refused: &[usize], firing: &[usize]) {
    let config = config(condition);
    let row =
        |index: &usize| json!({"risk_score": risks[*index], "psp": if risks[*index] == 0 { "none" } else { "some" }});
    let (left_out, others): (Vec<_>, Vec<_>) =
        (0..risks.len()).partition(|index| refusal(&config, &row(index)).is_some());
    assert_eq!(left_out, refused, "{condition} for {risks:?}");
    let record = |index: &usize| {
        let record = Record::new(*index as i64, index).with("customer_id", "c1");
        record.with("risk_score", risks[*index]).with("psp", row(index)["psp"].clone())
    };
    let records: Vec<_> = others.iter().map(record).collect();
    for batch in [1, records.len()] {
        let fired = Run::<Plugin>::new(&config.to_string()).all(&records, batch);
        let mut found: Vec<usize> = fired.iter().map(|fired| fired.id.parse().unwrap()).collect();
        found.sort_unstable();
        assert_eq!(found, firing, "{condition} for {risks:?}, {batch} at a time");
    }
}

#[test]
fn what_a_guard_leaves_out_is_counted() {
    for condition in [
        "risk_score != 0 && 100 / risk_score > n",
        "100 / risk_score > n && risk_score != 0",
        "!(risk_score == 0 || 100 / risk_score <= n)",
        "risk_score != 0 ? 100 / risk_score > n : false",
        "(risk_score != 0 ? 100 / risk_score : 0) > n",
        "risk_score > 0 && n > 0 && 100 / risk_score > n",
        "psp in {'some': 3} && {'some': 3}[psp] * 10 / risk_score > n - 0 * risk_score",
    ] {
        check(condition, &[0, 10, 0, 50], &[], &[1]);
    }
    check("psp in {'some': 3} && n > {'some': 3}[psp]", &[0, 1, 0, 1, 1], &[], &[3, 4]);
}

#[test]
fn what_a_count_decides_alone_needs_nothing_else() {
    check("n > 3 || 100 / risk_score > 5", &[0, 0, 50, 0, 10], &[], &[3, 4]);
    check("100 / risk_score > 5 || n > 3", &[0, 0, 50, 0, 10], &[], &[3, 4]);
    check("n < 3 && 100 / risk_score > 5", &[0, 10, 0, 10], &[], &[1]);
    check("100 / risk_score > 5 && n < 3", &[0, 10, 0, 10], &[], &[1]);
    check("n > 1 ? true : 100 / risk_score > 5", &[0, 0, 50], &[], &[1, 2]);
    check("(n > 2 ? 1 : 100 / risk_score) == 1", &[0, 100, 0], &[], &[1, 2]);
    check("[100 / risk_score, n].exists(x, x == 2)", &[0, 0, 50], &[], &[1, 2]);
}

#[test]
fn what_counts_cannot_mend_is_refused() {
    check("100 / risk_score > n", &[0, 50, 0, 1], &[0, 2], &[1, 3]);
    check("risk_score < 5 && 100 / risk_score > n", &[0, 50, 1], &[0], &[2]);
    check("n in [100 / risk_score, 7] == true", &[0, 50], &[], &[1]);
    check("(n > 1 ? 100 / risk_score : 7 / risk_score) > 0", &[0, 1], &[0], &[1]);
    check("(100 / risk_score > 5) == (n > 0)", &[0, 1], &[0], &[1]);
    check("n + 100 / risk_score > 0.5", &[0, 1], &[0], &[1]);
    check("risk_score != null && (n > 9 && true || 100 / risk_score > n - n)", &[0, 1], &[], &[1]);
    // Only counts make it fail.
    check("n * 9223372036854775807 > 1", &[1, 1], &[], &[0]);
    check("n * 9223372036854775807 * 2 > 1", &[1], &[], &[]);
}

#[test]
fn a_refusal_says_where_and_why() {
    let check = |config: Json, words: &str| {
        assert_eq!(refusal(&config, &json!({"risk_score": 0, "psp": "x"})).as_deref(), Some(words));
    };
    check(config("1 / risk_score > n"), "the condition cannot be evaluated: line 1, column 3: division by zero");
    check(
        config("risk_score == 0 &&\n n > {'y': 1}[psp]"),
        "the condition cannot be evaluated: line 2, column 14: No such key: x",
    );
    let mut counted = config("n > 1");
    counted["counts"]["n"]["where"] = json!("1 / risk_score > 1");
    check(counted, "count `n` cannot be evaluated: line 1, column 3: division by zero");
}

#[test]
fn an_event_that_cannot_be_judged_hurts_no_other() {
    // The newcomer makes the one before it fail, which is in already.
    let payment = |time: i64, risk: i64| {
        Record::new(time, time).with("customer_id", "c1").with("risk_score", risk).of(None, Some("c1"))
    };
    let mut run = Run::<Plugin>::new(&config("n > 1 && 100 / risk_score > 5").to_string());
    assert!(run.batch(&[payment(100, 0)]).is_empty());
    assert!(run.batch(&[payment(50, 1)]).is_empty());
    let fired: Vec<_> = run.batch(&[payment(60, 1), payment(110, 10)]).into_iter().map(|fired| fired.id).collect();
    assert_eq!(fired, ["60", "110"]);
    assert!(run.finish().is_empty());
}
