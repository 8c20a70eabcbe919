//! Dead letters, sent through again.

use serde_json::{Value, json};
use tamis_catalog::roles::Role;

use crate::home::{Home, Obeys};
use crate::populated::{LETTERS, RULE};

async fn redrive(home: &Home, body: Value) -> Value {
    let token = home.token("erin", Role::Engineer).await;
    home.post("/dead-letters/redrive").token(&token).json(body).send().await.is(200).json()
}

fn report(judged: u64, failed: u64, left: u64, exhausted: u64, not_records: u64) -> Value {
    json!({"judged": judged, "failed": failed, "left": left, "exhausted": exhausted, "succeeded": 0, "under_way": 0,
           "not_records": not_records})
}

fn letters(offsets: &[i64]) -> Value {
    offsets.iter().map(|offset| json!({"partition": 0, "offset": offset})).collect()
}

#[tokio::test]
async fn letters_are_judged_by_the_rule_that_failed_on_them() {
    let home = Home::populated().await;
    let all = redrive(&home, json!({"letters": letters(&[0, 1, 2, 3, 99]), "why": "version 2 bears it"})).await;
    assert_eq!(all, report(2, 1, 1, 0, 1));
    let told = home.redriven.lock().unwrap().clone();
    let rules: Vec<_> =
        told.iter().map(|record| (record.rule.as_ref().map(|rule| rule.name.as_str()), record.attempt)).collect();
    assert_eq!(rules, [(Some(RULE), 2), (Some(RULE), 2), (Some("gone"), 2), (None, 2)]);
    assert_eq!(told[0].partition.to_string(), "payments/0");
    let line: Value = serde_json::from_slice(&told[0].line).unwrap();
    assert_eq!((&line["offset"], &line["value"]), (&json!(0), &json!("good")));

    let token = home.token("erin", Role::Engineer).await;
    let letter = home.get("/dead-letters/0/1").token(&token).send().await.is(200).json();
    assert_eq!((&letter["redrive"]["attempts"], &letter["redrive"]["outcome"]), (&json!(1), &json!("failed")));
    assert_eq!(
        (&letter["rule"], &letter["value"], &letter["from"]["offset"]),
        (&json!(RULE), &json!("\"bad\""), &json!(1))
    );
}

#[tokio::test]
async fn a_letter_does_not_go_round_for_ever() {
    let home = Home::populated().await;
    for attempt in 1..=3 {
        let again = json!({"letters": letters(&[1]), "attempts_max": 3});
        assert_eq!(redrive(&home, again).await, report(0, 1, 0, 0, 0));
        assert_eq!(home.redriven.lock().unwrap().last().unwrap().attempt, attempt + 1);
    }
    assert_eq!(redrive(&home, json!({"letters": letters(&[1]), "attempts_max": 3})).await, report(0, 0, 0, 1, 0));
    // Somebody who knows better may go on.
    assert_eq!(redrive(&home, json!({"letters": letters(&[1]), "attempts_max": 4})).await, report(0, 1, 0, 0, 0));
}

#[tokio::test]
async fn what_was_judged_is_not_judged_again() {
    let home = Home::populated().await;
    assert_eq!(redrive(&home, json!({"letters": letters(&[0])})).await, report(1, 0, 0, 0, 0));
    let mut again = report(0, 0, 0, 0, 0);
    again["succeeded"] = json!(1);
    assert_eq!(redrive(&home, json!({"letters": letters(&[0])})).await, again);
    assert_eq!(home.redriven.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn what_was_not_judged_is_no_attempt() {
    let home = Home::populated().await;
    let named = || json!({"letters": letters(&[2]), "attempts_max": 1});
    for _ in 0..2 {
        assert_eq!(redrive(&home, named()).await, report(0, 0, 1, 0, 0), "its rule does not run");
    }
    *home.obeys.lock().unwrap() = Obeys::Refuses("it is halted");
    let token = home.token("erin", Role::Engineer).await;
    let again = json!({"letters": letters(&[1]), "attempts_max": 1});
    for _ in 0..2 {
        let answer = home.post("/dead-letters/redrive").token(&token).json(again.clone()).send().await.is(503);
        assert!(answer.json()["detail"].as_str().unwrap().contains("no attempt counts"));
    }
    *home.obeys.lock().unwrap() = Obeys::Cannot("hosts share it");
    let answer = home.post("/dead-letters/redrive").token(&token).json(again.clone()).send().await.is(409);
    assert!(answer.json()["detail"].as_str().unwrap().contains("hosts share it"));
    *home.obeys.lock().unwrap() = Obeys::Takes;
    assert_eq!(redrive(&home, again).await, report(0, 1, 0, 0, 0));
}

#[tokio::test]
async fn a_filter_gets_past_what_cannot_be_sent() {
    let home = Home::populated().await;
    let filter = || json!({"filter": {"rule": RULE}, "attempts_max": 1});
    // The newest thousand letters are of one record, whose attempts are used up.
    assert_eq!(redrive(&home, json!({"letters": letters(&[1])})).await, report(0, 1, 0, 0, 0));
    home.write_letters_of(1, 1_000);
    let mut passed = report(1, 0, 0, 1, 0);
    assert_eq!(redrive(&home, filter()).await, passed);
    (passed["judged"], passed["succeeded"]) = (json!(0), json!(1));
    assert_eq!(redrive(&home, filter()).await, passed);
}

#[tokio::test]
async fn a_filter_leaves_out_what_was_judged_since() {
    let home = Home::populated().await;
    assert_eq!(redrive(&home, json!({"filter": {"rule": RULE}})).await, report(1, 1, 0, 0, 0));
    let mut second = report(0, 1, 0, 0, 0);
    second["succeeded"] = json!(1);
    assert_eq!(redrive(&home, json!({"filter": {"rule": RULE}})).await, second);
    assert_eq!(redrive(&home, json!({"filter": {"rule": "nobody"}})).await, report(0, 0, 0, 0, 0));
    // A record of which there are several letters is sent once.
    home.write_letters(&LETTERS[..2]);
    assert_eq!(redrive(&home, json!({"filter": {"rule": RULE}})).await, second);
}

#[tokio::test]
async fn so_many_letters_are_sent_at_once() {
    let home = Home::new().await;
    let token = home.token("erin", Role::Engineer).await;
    let many: Vec<i64> = (0..1_001).collect();
    let request = home.post("/dead-letters/redrive").token(&token).json(json!({"letters": letters(&many)}));
    assert_eq!(request.send().await.is(422).slug(), "invalid");
    assert_eq!(redrive(&home, json!({"letters": letters(&many[1..])})).await, report(0, 0, 0, 0, 1_000));
}
