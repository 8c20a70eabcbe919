//! Changed conditions: by which of them an event is judged that the first has left undecided.

use serde_json::json;
use tamis_sdk::testing::{Record, Run};

use crate::Plugin;

fn config(condition: &str) -> String {
    json!({
        "topic": "payments", "condition": condition, "key": "customer_id",
        "counts": {"failed": {"where": "status == 'failed'", "window_ms": 2000}},
    })
    .to_string()
}

fn payment(time: i64, cents: i64) -> Record {
    let payment = Record::new(time, time).with("customer_id", "c1").with("status", "failed");
    payment
        .with("amount", cents)
        .with("psp", "adyen")
        .with("risk_score", 7)
        .with("fraud_flag", true)
        .of(None, Some("c1"))
}

/// Of payments of 15 and 25 in windows of their own, which fire when one condition follows the other before the watermark has passed them.
fn check(before: &str, after: &str, firing: &[&str]) {
    let mut run = Run::<Plugin>::new(&config(before));
    assert!(run.batch(&[payment(1000, 1500), payment(4000, 2500)]).is_empty(), "{before}");
    let shape = run.manifest()["state_shape"].clone();
    run.configure(&config(after));
    assert_eq!(run.manifest()["state_shape"], shape, "{before}, then {after}");
    let fired: Vec<_> = run.finish().into_iter().map(|fired| fired.id).collect();
    assert_eq!(fired, firing, "{before}, then {after}");
    assert_eq!(run.states().count(), 0);
}

#[test]
fn what_waits_for_the_watermark_is_judged_by_the_condition_that_it_finds() {
    check("amount > 10 && failed == 1", "amount > 10 && failed == 1", &["1000", "4000"]);
    check("amount > 10 && failed == 1", "amount > 20 && failed == 1", &["4000"]);
    check("amount > 10 && failed == 1", "amount < 20 && failed == 1", &["1000"]);
    check("amount > 10 && failed == 2", "amount > 10 && failed == 1", &["1000", "4000"]);
    check("amount > 10 && failed == 2", "failed + 14 == amount", &["1000"]);
    // Each type of column is read from what was kept.
    let of_all = |limit: &str| {
        format!(
            "psp == 'adyen' && risk_score > 6 && fraud_flag && error_code == null && amount > {limit} && failed == 1"
        )
    };
    check(&of_all("10"), &of_all("20"), &["4000"]);
    let of_all_others =
        "failed == 1 && error_code != 'x' || amount > 20 && failed == 1 && risk_score == 7 && psp != 'x' && fraud_flag";
    check(&of_all("10"), of_all_others, &["4000"]);
}

#[test]
fn what_one_condition_has_decided_no_other_judges() {
    // The amount decides when the event arrives.
    check("amount > 20 && failed == 1", "amount > 10 && failed == 1", &["4000"]);
    check("amount > 10 && failed == 1", "amount > 30 && failed == 1", &[]);
    let mut run = Run::<Plugin>::new(&config("failed != 2"));
    assert_eq!(run.batch(&[payment(1000, 1500), payment(20_000, 1500)]).len(), 1);
    run.configure(&config("failed == 1"));
    let fired: Vec<_> = run.finish().into_iter().map(|fired| fired.id).collect();
    assert_eq!(fired, ["20000"]);
}

#[test]
fn what_cannot_be_evaluated_under_the_next_condition_does_not_fire() {
    let after = "100 / (risk_score - 7) > 1 && failed == 1 || amount > 20 && failed == 1";
    check("risk_score > 1 && amount > 10 && failed == 1", after, &["4000"]);
}

#[test]
fn white_space_is_no_change() {
    let mut run = Run::<Plugin>::new(&config("risk_score / 7 * amount > 1 && failed > 2"));
    assert!(run.batch(&[payment(1000, 1500), payment(1500, 1500)]).is_empty());
    let wide = "  risk_score /  7 * // a share\n amount > 1 &&\n failed > 1";
    run.configure(&config(wide));
    // Only the number beside the count is another one, and so both are judged again.
    let fired: Vec<_> = run.batch(&[payment(900, 1500)]).into_iter().map(|fired| fired.id).collect();
    assert_eq!(fired, ["1000", "1500"]);
}
