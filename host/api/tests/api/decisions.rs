//! Decisions: events that are written once, judged by the stream, and answered.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tamis_api::StreamState;
use tamis_catalog::roles::Role;
use tamis_engine::Decisions;

use crate::client::{Answer, Request};
use crate::home::{Home, NOON};

/// Longer than anything takes on a busy machine.
const PATIENT: &str = "/decisions/payments?timeout_ms=10000";
/// For what nobody judges.
const HASTY: &str = "/decisions/payments?timeout_ms=50";

fn payment(id: &str) -> Value {
    json!({"payment_id": id, "customer_id": "c1", "amount": 12.5, "method": "card", "status": "succeeded"})
}

fn events(values: &[Value]) -> Value {
    json!({"records": values.iter().map(|value| json!({"value": value})).collect::<Vec<_>>()})
}

/// Somebody who may ask.
struct Shop<'a> {
    home: &'a Home,
    token: String,
}

impl<'a> Shop<'a> {
    async fn of(home: &'a Home) -> Self {
        Self { home, token: home.token("shop", Role::Engineer).await }
    }

    fn request(&self, path: &str, key: Option<&str>) -> Request {
        let request = self.home.post(path).token(&self.token);
        match key {
            Some(key) => request.header("idempotency-key", key),
            None => request,
        }
    }

    async fn ask(&self, path: &str, key: Option<&str>, body: Value) -> Answer {
        self.request(path, key).json(body).send().await
    }
}

/// The lines of a topic.
fn written(home: &Home) -> Vec<Value> {
    let segment = home.folder.path().join("topics/payments/0/00000000000000000000.jsonl");
    let text = std::fs::read_to_string(segment).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_written_and_judged_once_and_the_same_request_gets_the_same_answer() {
    let home = Home::new().await;
    let (judge, shop) = (home.judge(), Shop::of(&home).await);
    let first = shop.ask(PATIENT, Some("k1"), events(&[payment("p1")])).await.is(200);
    let answer = first.json();
    let decision = &answer["decisions"][0];
    assert_eq!((&decision["outcome"], &decision["severity"]), (&json!("judged"), &json!("high")), "{answer}");
    assert_eq!((&decision["partition"], &decision["offset"]), (&json!(0), &json!(0)));
    assert_eq!((&decision["late"], &decision["rule_set_revision"]), (&json!(false), &json!(7)));
    let rule = &decision["rules"][0];
    assert_eq!(
        (&rule["rule"], &rule["version"], &rule["plugin_version"]),
        (&json!("every"), &json!(1), &json!("1.2.3"))
    );
    assert_eq!((&rule["mode"], &rule["result"]), (&json!("active"), &json!("hit")));
    assert_eq!((&rule["hit"]["context"], &rule["hit"]["repeated"]), (&json!({"amount": 12.5}), &json!(false)));

    let again = shop.ask(PATIENT, Some("k1"), events(&[payment("p1")])).await.is(200);
    assert_eq!(again.body, first.body);
    let other = shop.ask(PATIENT, Some("k1"), events(&[payment("p2")])).await.is(422);
    assert!(other.json()["detail"].as_str().unwrap().contains("another request"));
    // A key is its subject's own.
    let token = home.token("another shop", Role::Engineer).await;
    let theirs = home.post(PATIENT).token(&token).header("idempotency-key", "k1").json(events(&[payment("p1")]));
    let theirs = theirs.send().await.is(200).json();
    assert_eq!(theirs["decisions"][0]["rules"][0]["hit"]["repeated"], true, "the alert of p1 was raised before");

    let lines = written(&home);
    assert_eq!(lines.len(), 2);
    let line = &lines[0];
    assert_eq!((&line["timestamp"], &line["key"], &line["value"]), (&json!(NOON), &json!("c1"), &payment("p1")));
    assert_eq!(line["headers"][0][0], "tamis.decision");
    let report = judge.end();
    assert_eq!((report.counts.topics["payments"].records, report.counts.rules["every"].judged), (2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_answered_in_its_order_and_says_what_was_refused() {
    let home = Home::new().await;
    let (judge, shop) = (home.judge(), Shop::of(&home).await);
    let mut values: Vec<Value> = (0..1_000).map(|n| payment(&format!("p{n}"))).collect();
    values[3]["method"] = json!("barter");
    values[4]["amount"] = json!("12.5");
    let answer = shop.ask(PATIENT, None, events(&values)).await.is(200).json();
    let decisions = answer["decisions"].as_array().unwrap();
    assert_eq!(decisions.len(), 1_000);
    for (n, decision) in decisions.iter().enumerate() {
        let reason = match n {
            3 => json!("not_in_enum"),
            4 => json!("wrong_type"),
            _ => Value::Null,
        };
        assert_eq!((&decision["offset"], &decision["reason"]), (&json!(n), &reason));
        assert_eq!(decision["outcome"], if reason.is_null() { "judged" } else { "refused" });
        assert_eq!(decision["rules"].as_array().unwrap().len(), usize::from(reason.is_null()));
    }
    let future = json!({"records": [{"value": payment("p1000"), "timestamp": 4_000_000_000_000_i64, "key": "k"}]});
    let answer = shop.ask(PATIENT, None, future).await.is(200).json();
    assert_eq!(answer["decisions"][0]["reason"], "future_timestamp");
    let late = json!({"records": [{"value": payment("p1001"), "timestamp": NOON - 10_001}]});
    let answer = shop.ask(PATIENT, None, late).await.is(200).json();
    assert_eq!(answer["decisions"][0]["late"], true);
    let text = "{\"records\": [{\"value\": {\"payment_id\": \"p\\u0031\",\n \"amount\": 1.0050000000000000000001, \"method\": \"card\",\r\n\"status\": \"failed\"}}]}";
    shop.request(PATIENT, None).body("application/json", text).send().await.is(200);
    let segment = home.folder.path().join("topics/payments/0/00000000000000000000.jsonl");
    let lines = std::fs::read_to_string(segment).unwrap();
    let value = "{\"payment_id\": \"p\\u0031\",  \"amount\": 1.0050000000000000000001, \"method\": \"card\",  \"status\": \"failed\"}";
    assert!(lines.lines().last().unwrap().contains(value), "the event is written as it was sent: {lines}");
    assert_eq!(judge.end().counts.topics["payments"].records, 1_003);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_told_nothing_in_time_asks_again_and_the_event_is_there_once() {
    let home = Home::new().await;
    let shop = Shop::of(&home).await;
    let late = shop.ask(HASTY, Some("k1"), events(&[payment("p1")])).await.is(504);
    let (slug, problem) = (late.slug(), late.json());
    assert_eq!((&*slug, problem["decision"].as_str().unwrap().len()), ("late", 32), "{problem}");
    // To make the topic takes a slow disk longer than the first one waits.
    let began = Instant::now();
    loop {
        let again = shop.ask(HASTY, Some("k1"), events(&[payment("p1")])).await.is(504).json();
        assert_eq!(again["decision"], problem["decision"]);
        if again["detail"].as_str().unwrap().contains("the event is in its topic") {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{again}");
    }
    let unnamed = shop.ask(HASTY, None, events(&[payment("p2")])).await.is(504).json();
    assert_ne!(unnamed["decision"], problem["decision"]);
    let judge = home.judge();
    let answer = shop.ask(PATIENT, Some("k1"), events(&[payment("p1")])).await.is(200).json();
    assert_eq!((&answer["id"], &answer["decisions"][0]["outcome"]), (&problem["decision"], &json!("judged")));
    assert_eq!(written(&home).len(), 2);
    assert_eq!(judge.end().counts.rules["every"].judged, 2, "what nobody waits for any more is judged as well");
    // It is forgotten in time, and then it is another event.
    home.clock.advance(10 * 60 * 1_000);
    shop.ask(HASTY, Some("k1"), events(&[payment("p1")])).await.is(504);
    assert_eq!(written(&home).len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stream_knows_requests_that_the_api_has_forgotten() {
    let home = Home::with(Decisions::remembering()).await;
    let shop = Shop::of(&home).await;
    let behind = shop.ask(HASTY, Some("k1"), events(&[payment("p1")])).await.is(503);
    assert_eq!((behind.text("retry-after"), written(&home).len()), ("1", 0), "nobody has read yet what is there");
    let judge = home.judge();
    let first = shop.ask(PATIENT, Some("k1"), events(&[payment("p1"), payment("p2")])).await.is(200);
    home.clock.advance(10 * 60 * 1_000);
    let again = shop.ask(PATIENT, Some("k1"), events(&[payment("p1"), payment("p2")])).await.is(200);
    assert_eq!((again.body, written(&home).len()), (first.body, 2));
    home.clock.advance(10 * 60 * 1_000);
    let other = shop.ask(PATIENT, Some("k1"), events(&[payment("p3")])).await.is(422);
    assert!(other.json()["detail"].as_str().unwrap().contains("another request"));
    assert_eq!(judge.end().counts.rules["every"].judged, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_written_is_refused_and_can_be_asked_again() {
    let home = Home::new().await;
    let (judge, shop) = (home.judge(), Shop::of(&home).await);
    let topic = home.folder.path().join("topics/payments");
    std::fs::create_dir(&topic).unwrap();
    std::fs::write(topic.join(".owner"), "{\"writer\": \"feed\", \"base\": {}}").unwrap();
    let refused = shop.ask(PATIENT, Some("k1"), events(&[payment("p1")])).await.is(409);
    assert!(refused.json()["detail"].as_str().unwrap().contains("it belongs to the writer \"feed\""));
    std::fs::remove_file(topic.join(".owner")).unwrap();
    shop.ask(PATIENT, Some("k1"), events(&[payment("p1")])).await.is(200);
    home.status.send_modify(|status| status.state = StreamState::Halted);
    let unavailable = shop.ask(PATIENT, Some("k2"), events(&[payment("p2")])).await.is(503);
    assert_eq!((&*unavailable.slug(), unavailable.text("retry-after")), ("unavailable", "1"));
    shop.ask(PATIENT, Some("k1"), events(&[payment("p1")])).await.is(200);
    assert_eq!(written(&home).len(), 1);
    judge.end();
    let token = home.token("ana", Role::Viewer).await;
    let metrics = home.get("/metrics").token(&token).send().await.is(200);
    let metrics = String::from_utf8(metrics.body.to_vec()).unwrap();
    for line in [
        r#"tamis_decisions_total{outcome="answered"} 1"#,
        r#"tamis_decisions_total{outcome="repeated"} 1"#,
        r#"tamis_decisions_total{outcome="timed_out"} 0"#,
        r#"tamis_decisions_total{outcome="unavailable"} 2"#,
        "tamis_decision_seconds_count 1",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} is not in\n{metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_make_no_sense_write_nothing() {
    let home = Home::new().await;
    let shop = Shop::of(&home).await;
    let check = async |path: &str, key: Option<&str>, body: Value, status: u16, says: &str| {
        let problem = shop.ask(path, key, body).await.is(status).json();
        assert!(problem["detail"].as_str().unwrap().contains(says), "{problem}");
    };
    let good = || events(&[payment("p1")]);
    check("/decisions/alerts", None, good(), 404, "there is no topic \"alerts\"").await;
    check("/decisions/..%2Fpayments", None, good(), 404, "there is no topic").await;
    for timeout in ["0", "10001", "x", "-1", "1.5"] {
        check(&format!("/decisions/payments?timeout_ms={timeout}"), None, good(), 400, "from 1 to 10000").await;
    }
    check("/decisions/payments?wait=1", None, good(), 400, "wait").await;
    check(HASTY, Some(""), good(), 400, "Idempotency-Key").await;
    check(HASTY, Some("a b"), good(), 400, "Idempotency-Key").await;
    check(HASTY, Some(&"k".repeat(256)), good(), 400, "Idempotency-Key").await;
    check(HASTY, None, json!({"records": []}), 422, "1 to 1000").await;
    check(HASTY, None, events(&vec![json!({}); 1_001]), 422, "1 to 1000").await;
    check(HASTY, None, events(&[payment("p1"), json!([1])]), 422, "records[1].value is no object").await;
    check(HASTY, None, json!({"records": [{"value": null}]}), 422, "records[0].value is no object").await;
    check(HASTY, None, json!({"records": [{}]}), 422, "value").await;
    check(HASTY, None, json!({"records": [{"value": {}, "partition": 1}]}), 422, "partition").await;
    check(HASTY, None, payment("p1"), 422, "records").await;
    assert!(written(&home).is_empty());
}
