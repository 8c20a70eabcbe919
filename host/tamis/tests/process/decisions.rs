//! Decisions of a real host: the event is in the stream once, and the answer is what the stream did.

use serde_json::{Value, json};
use tamis_services::kafka::{Cluster, Kafka, Options};

use crate::client::tamis;
use crate::kafka;
use crate::process::{Answer, Home, Served};
use crate::results::records;

const PLUGINS: [&str; 3] = ["payment-direct-fraud", "card-testing", "psp-error-rate"];

/// A payment of session `s<session>`; a risky one is fraud.
fn payment(n: u32, session: u32, is_risky: bool) -> Value {
    json!({"payment_id": format!("p{n}"), "session_id": format!("s{session}"), "customer_id": "c1", "amount": 10.5,
           "method": "card", "status": "succeeded", "psp": "a", "risk_score": if is_risky { 90 } else { 10 },
           "ip_country": "FR"})
}

fn ask(served: &Served, token: &str, key: Option<&str>, values: &[Value]) -> Answer {
    let records: Vec<_> = values.iter().map(|value| json!({"value": value})).collect();
    let path = "/api/v1/decisions/payments?timeout_ms=10000";
    let headers: Vec<_> = key.map(|key| ("idempotency-key", key)).into_iter().collect();
    served.ask_with(token, "POST", path, Some(&json!({"records": records})), &headers)
}

/// What each rule said of each event: `payment-direct-fraud hit, card-testing no_hit`.
fn said(answer: &Value) -> Vec<String> {
    let of_event = |decision: &Value| {
        let rules = decision["rules"].as_array().unwrap().iter();
        let rules =
            rules.map(|rule| format!("{} {}", rule["rule"].as_str().unwrap(), rule["result"].as_str().unwrap()));
        rules.collect::<Vec<_>>().join(", ")
    };
    answer["decisions"].as_array().unwrap().iter().map(of_event).collect()
}

const NOTHING: &str = "card-testing no_hit, payment-direct-fraud no_hit, psp-error-rate no_hit";

/// What a host answers, wherever its topics are. Returns its first answer. Events of a request may be read `together`, or one before the
/// other is there.
fn decides(served: &Served, token: &str, together: bool) -> Value {
    let risky = ask(served, token, Some("k1"), &[payment(1, 1, true)]).expect(200);
    assert_eq!(said(&risky), ["card-testing no_hit, payment-direct-fraud hit, psp-error-rate no_hit"], "{risky}");
    let hit = &risky["decisions"][0]["rules"][1]["hit"];
    assert_eq!((&hit["criteria"], &hit["context"]["risk_score"]), (&json!(["high_risk_score"]), &json!(90)));
    assert_eq!(ask(served, token, Some("k1"), &[payment(1, 1, true)]).expect(200), risky);
    // The window of a session is the stream's own: it counts across requests, and within one.
    for n in 2..4 {
        assert_eq!(said(&ask(served, token, None, &[payment(n, 2, false)]).expect(200)), [NOTHING]);
    }
    // Both have the same time, so each is in the window of the other when it is there.
    let tested = ask(served, token, None, &[payment(4, 2, false), payment(5, 2, false)]).expect(200);
    let tested = said(&tested);
    let hits =
        tested.iter().filter(|said| **said == NOTHING.replace("card-testing no_hit", "card-testing hit")).count();
    let others = tested.iter().filter(|said| **said == NOTHING).count();
    assert!(hits + others == 2 && hits >= if together { 2 } else { 1 }, "{tested:?}");
    risky
}

#[test]
fn an_event_is_in_the_stream_once_and_the_answer_is_what_the_stream_did() {
    let home = Home::with(&PLUGINS);
    let served = Served::start(&home);
    let token = served.token.clone().unwrap();
    served.until_ready();
    let viewer = served.token_for("ana", "viewer");
    ask(&served, &viewer, None, &[payment(1, 1, true)]).expect(403);
    let risky = decides(&served, &token, true);
    let hit = &risky["decisions"][0]["rules"][1]["hit"];
    let alerts = records(home.path(), "alerts_fraud_payments");
    assert_eq!((alerts.len(), &alerts[0]["value"]["alert_id"]), (1, &hit["alert_id"]));
    assert_eq!(alerts[0]["value"]["context"], hit["context"]);
    assert_eq!(records(home.path(), "payments").len(), 5);
    served.kill();

    // The process that goes on knows the request, and has the same answer.
    let served = Served::start(&home);
    served.until_ready();
    assert_eq!(ask(&served, &token, Some("k1"), &[payment(1, 1, true)]).expect(200), risky);
    let other = ask(&served, &token, Some("k1"), &[payment(2, 1, true)]).expect(422);
    assert!(other["detail"].as_str().unwrap().contains("another request"), "{other}");
    // Without its key it is another event about the same payment; its alert is the same one.
    let again = ask(&served, &token, None, &[payment(1, 1, true)]).expect(200);
    let rule = &again["decisions"][0]["rules"][1];
    assert_eq!((&again["decisions"][0]["offset"], &rule["hit"]["repeated"]), (&json!(5), &json!(true)), "{again}");
    assert_eq!(rule["hit"]["alert_id"], hit["alert_id"]);

    let file = home.path().join("events.json");
    std::fs::write(&file, format!("{:#}\n{}", payment(7, 3, true), payment(8, 3, false))).unwrap();
    let command = ["decide", "payments", file.to_str().unwrap(), "--timeout-ms", "10000"];
    let rows = tamis(&home, &token, &served.url, &command).unwrap();
    assert_eq!(rows.iter().map(|row| row["severity"].clone()).collect::<Vec<_>>(), [json!("high"), Value::Null]);
    let (status, _) = served.terminate();
    assert!(status.success());
    assert_eq!(records(home.path(), "alerts_fraud_payments").len(), 2);
    // The stream's own account: each event was judged once by the process that went on.
    let report = home.run(&["run", "streams", "--until-end"]);
    assert_eq!((&report[0]["topic"], &report[0]["records"]), (&json!("payments"), &json!(8)), "{report:?}");
}

#[test]
fn events_are_decided_in_kafka_too() {
    for delivery in ["at_least_once", "exactly_once"] {
        let cluster = Cluster::start(&Kafka::install().unwrap(), 1, Options::default()).unwrap();
        let home = kafka::home(&cluster, delivery, &PLUGINS);
        home.run(&["topics", "create"]);
        let served = Served::start(&home);
        let token = served.token.clone().unwrap();
        served.until_ready();
        let risky = decides(&served, &token, false);
        served.kill();
        let served = Served::start(&home);
        served.until_ready();
        assert_eq!(ask(&served, &token, Some("k1"), &[payment(1, 1, true)]).expect(200), risky, "{delivery}");
        served.until("each event is judged", |served| kafka::judged(served, &token) >= 5);
        assert!(served.terminate().0.success());
        let written: usize = kafka::topic(&cluster, "payments").iter().map(Vec::len).sum();
        assert_eq!(written, 5, "each event was written once, {delivery}");
    }
}
