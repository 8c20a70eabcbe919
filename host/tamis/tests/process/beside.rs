//! What people do beside the streams when topics lie in a cluster: replays, backtests, dead letters.

use std::time::Duration;

use serde_json::{Value, json};
use tamis_connectors::kafka::{KafkaConnection, KafkaSink, KafkaTopics, TopicSettings};
use tamis_engine::Sink;
use tamis_model::alert::AlertMode;
use tamis_model::dead_letter::{DeadLetter, FailedRule, PluginRef};
use tamis_model::position::Partition;
use tamis_model::record::Record;
use tamis_services::kafka::{Cluster, Kafka, Options, Tool};

use crate::client::tamis;
use crate::feed::{self, NOON};
use crate::kafka::{ATTENTIVE, expected, found, home, send, topic, write};
use crate::process::{Home, Served, until};
use crate::replay::written;
use crate::results::{Results, assert_same, records};

const PAYMENTS: u64 = 1_000;
const ROUTE: &str = "alerts_advanced_fraud";

fn start() -> Cluster {
    Cluster::start(&Kafka::install().unwrap(), 1, Options::default()).unwrap()
}

/// The ids of the alerts in a topic of a cluster, in order.
fn ids(cluster: &Cluster, name: &str) -> Vec<String> {
    let id = |value: Value| value["alert_id"].as_str().unwrap().to_owned();
    let values = topic(cluster, name)
        .into_iter()
        .flatten()
        .map(|record| serde_json::from_slice(&record.value.unwrap()).unwrap());
    let mut ids: Vec<String> = values.map(id).collect();
    ids.sort();
    ids
}

/// What a command is refused with.
fn refused(home: &Home, arguments: &[&str]) -> String {
    tamis(home, "", "", arguments).unwrap_err()
}

#[tokio::test]
async fn a_replay_writes_what_is_missing_in_kafka() {
    replays("at_least_once").await;
}

#[tokio::test]
async fn a_replay_writes_what_is_missing_in_transactions() {
    replays("exactly_once").await;
}

async fn replays(delivery: &str) {
    let cluster = start();
    let (embedded, clustered) = (Home::with(&ATTENTIVE), home(&cluster, delivery, &ATTENTIVE));
    feed::append(embedded.path(), 0..PAYMENTS);
    embedded.run(&["run", "streams", "--until-end"]);
    clustered.run(&["topics", "create"]);
    send(&embedded, &cluster, 0..PAYMENTS);
    assert!(refused(&clustered, &["replay", "--into", "routes", "--yes"]).contains("the streams have never run"));
    clustered.run(&["run", "streams", "--until-end"]);
    shadow_and_topics(&cluster, &embedded, &clustered);
    archive(&clustered);
    routes(&cluster, &clustered);

    // The streams go on where they were.
    feed::append(embedded.path(), PAYMENTS..2 * PAYMENTS);
    embedded.run(&["run", "streams", "--until-end"]);
    send(&embedded, &cluster, PAYMENTS..2 * PAYMENTS);
    clustered.run(&["run", "streams", "--until-end"]);
    let live = |mut results: Results| {
        results.retain(|place, _| ["topic alerts", "topic dead", "live"].iter().any(|kind| place.starts_with(kind)));
        results
    };
    let expected = live(expected(&embedded).await);
    let topics = || expected.keys().filter_map(|place| place.strip_prefix("topic ")).map(str::to_owned);
    assert_eq!(topics().count(), 3, "{:?}", expected.keys());
    assert_same(&live(found(&clustered, &cluster, topics()).await), &expected, "after replays");
}

fn shadow_and_topics(cluster: &Cluster, embedded: &Home, clustered: &Home) {
    let alerts = clustered.run(&["replay", "--rule", "card-testing"]);
    let [("topics", count, 0), ("lake", same, 0)] = written(&alerts)[..] else { panic!("{alerts:?}") };
    assert!(count > 10 && count == same, "{alerts:?}");
    let again = clustered.run(&["replay", "--rule", "card-testing"]);
    assert_eq!(written(&again), [("topics", 0, count), ("lake", 0, count)]);
    assert_eq!(ids(cluster, "shadow_alerts_replay").len() as u64, count);

    // 200 payments of two seconds, wherever they lie.
    let stretch =
        ["replay", "--from", "@2026-03-18T12:00:02Z", "--to", "@2026-03-18T12:00:04Z", "--into", "topic:part"];
    let (there, here) = (clustered.run(&stretch), embedded.run(&stretch));
    assert_eq!((&there, there[0]["records"].as_u64()), (&here, Some(200)));
    let value = |record: &Value| record["value"]["alert_id"].as_str().unwrap().to_owned();
    let mut expected: Vec<_> = records(embedded.path(), "part").iter().map(value).collect();
    expected.sort();
    assert_eq!(ids(cluster, "part"), expected);
    let again = clustered.run(&stretch);
    assert_eq!(written(&again), [("topics", 0, expected.len() as u64)], "a replay has begun it");

    let connection = KafkaConnection::plain(cluster.bootstrap());
    let settings = TopicSettings { partitions: 1, replication: 1, retention: Duration::MAX };
    KafkaTopics::new(connection.clone()).create(&["taken".to_owned()], settings).unwrap();
    let of_another = Record {
        topic: "taken".to_owned(),
        partition: None,
        timestamp: NOON,
        key: None,
        value: Some(b"{}".to_vec()),
        value_is_json: true,
        headers: Vec::new(),
    };
    let mut sink = KafkaSink::at_least_once(&connection).unwrap();
    sink.write(&[of_another]).unwrap();
    sink.stage().unwrap();
    for (topic, words) in [
        ("topic:payments", "rules read it"),
        (&*format!("topic:{ROUTE}"), "it belongs to the streams"),
        ("topic:taken", "it has records that no replay has written"),
    ] {
        let said = refused(clustered, &["replay", "--into", topic]);
        assert!(said.contains(words), "{said}");
    }
}

fn archive(clustered: &Home) {
    let archived = clustered.run(&["run", "archive"]);
    assert_eq!((archived[0]["topic"].as_str(), archived[0]["records"].as_u64()), (Some("payments"), Some(PAYMENTS)));
    let part = ["replay", "--archive", "--from", "+10", "--to", "-10", "--into", "topic:archived"];
    assert_eq!(clustered.run(&part)[0]["records"].as_u64(), Some(PAYMENTS - 6 * 20));
}

/// Deletes all records of two partitions of the route, and all alerts of a rule in the lake. How many records are gone.
fn lose(cluster: &Cluster, clustered: &Home) -> u64 {
    let before = ids(cluster, ROUTE).len();
    let partitions = [0, 1].map(|number| format!(r#"{{"topic":"{ROUTE}","partition":{number},"offset":-1}}"#));
    let file = clustered.path().join("deleted.json");
    std::fs::write(&file, format!(r#"{{"partitions":[{}],"version":1}}"#, partitions.join(","))).unwrap();
    cluster.tool(Tool::DeleteRecords, &["--offset-json-file", file.to_str().unwrap()]).unwrap();
    until("they are gone", || ids(cluster, ROUTE).len() < before);
    std::fs::remove_dir_all(clustered.path().join("lake/alerts/card-testing")).unwrap();
    (before - ids(cluster, ROUTE).len()) as u64
}

/// What is gone from a route and from the lake comes back, and nothing else happens.
fn routes(cluster: &Cluster, clustered: &Home) {
    const REPLAY: [&str; 4] = ["replay", "--into", "routes", "--yes"];
    let before = ids(cluster, ROUTE);
    let lost = lose(cluster, clustered);
    let shared = |is: bool| {
        let file = clustered.path().join("tamis.toml");
        let written = std::fs::read_to_string(&file).unwrap();
        let now = if is { written + "shared = true\n" } else { written.replace("shared = true\n", "") };
        std::fs::write(&file, now).unwrap();
    };
    shared(true);
    let said = refused(clustered, &REPLAY);
    assert!(said.contains("hosts of a group share the streams"), "{said}");
    shared(false);

    let replayed = clustered.run(&REPLAY);
    let [("topics", back, _), ("lake", of_lake, _)] = written(&replayed)[..] else { panic!("{replayed:?}") };
    assert_eq!((back, of_lake), (lost, before.len() as u64), "{replayed:?}");
    assert_eq!(ids(cluster, ROUTE), before);

    // Replays that are killed, at whatever moment, are finished by the next.
    lose(cluster, clustered);
    for n in 0..8 {
        let mut killed = clustered.command(&REPLAY).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(150 * (n + 1)));
        killed.kill().unwrap();
        killed.wait().unwrap();
    }
    clustered.run(&REPLAY);
    assert_eq!(ids(cluster, ROUTE), before);
    let again = clustered.run(&REPLAY);
    assert!(written(&again).iter().all(|(_, written, there)| *written == 0 && *there > 0), "{again:?}");
}

/// A report without how long it took, its examples in one order: that of the records differs between partitions.
fn timeless(report: &mut Value) {
    match report {
        Value::Object(members) => {
            members.retain(|name, _| !["took_ms", "rows_per_second", "event_ns"].contains(&name.as_str()));
            members.values_mut().for_each(timeless);
        }
        Value::Array(values) => {
            values.iter_mut().for_each(timeless);
            values.sort_by_key(ToString::to_string);
        }
        _ => {}
    }
}

#[test]
fn a_backtest_is_that_of_the_same_records_in_the_home() {
    let cluster = start();
    let (embedded, clustered) = (Home::with(&ATTENTIVE), home(&cluster, "at_least_once", &ATTENTIVE));
    feed::append(embedded.path(), 0..PAYMENTS);
    clustered.run(&["topics", "create"]);
    send(&embedded, &cluster, 0..PAYMENTS);
    // So few alerts that all of them are examples.
    let window = "--from 2026-03-18T12:00:02Z --to 2026-03-18T12:00:02.200Z --warm-up 1s --run-out 1s";
    let words = format!("backtest --rule card-testing --config {{\"attempts_max\":4}} {window}");
    let words: Vec<_> = words.split(' ').collect();
    let report = |home: &Home| {
        home.run(&["run", "streams", "--until-end"]);
        let mut report = home.run(&words).remove(0);
        timeless(&mut report);
        report
    };
    let there = report(&clustered);
    assert_eq!(there["records"]["read"], 220);
    let count = |of: &str| there["overlap"][of].as_u64().unwrap();
    assert!((1..20).contains(&count("both")) && count("only_old") > 0, "{there}");
    let here = report(&embedded);
    assert!(there == here, "{there:#}\ninstead of\n{here:#}");
}

#[test]
fn dead_letters_of_a_cluster_are_listed_and_sent_through_again() {
    const RULE: &str = "payment-direct-fraud";
    let cluster = start();
    let (embedded, clustered) = (Home::with(&[RULE]), home(&cluster, "exactly_once", &[RULE]));
    feed::append(embedded.path(), 0..100);
    clustered.run(&["topics", "create"]);
    send(&embedded, &cluster, 0..100);
    let served = Served::start(&clustered);
    let token = served.token.clone().unwrap();
    served.until_ready();
    let tamis = |words: &str| tamis(&clustered, &token, &served.url, &words.split(' ').collect::<Vec<_>>()).unwrap();
    let letters = || tamis("dead-letters --limit 10");
    until("payments 0 and 97 are dead letters", || letters().len() == 2);
    // As a version of the rule that fails on it would have written it.
    let payment = json!({"payment_id": "p5000", "session_id": "s625", "amount": 1.5, "currency": "EUR",
                         "method": "card", "status": "succeeded", "psp": "psp1", "risk_score": 90});
    let plugin = PluginRef { name: RULE.to_owned(), version: "0.0.1".to_owned(), sha256: String::new() };
    let letter = DeadLetter {
        partition: Partition { topic: "payments".to_owned(), number: 5 },
        offset: Some(4_711),
        timestamp: NOON + 500,
        key: Some(b"s625".to_vec()),
        value: Some(payment.to_string().into_bytes()),
        reason: "trap",
        message: "unreachable".to_owned(),
        rule: Some(FailedRule { name: RULE.to_owned(), version: 1, mode: AlertMode::Live, plugin }),
        attempt: 1,
    };
    write(&cluster, &[letter.into_record()]);
    let trapped = || tamis("dead-letters --reason trap");
    let found = trapped().remove(0);
    assert_eq!((&found["from"]["offset"], &found["rule"]), (&json!(4_711), &json!(RULE)));
    let place = |letter: &Value, between: char| format!("{}{between}{}", letter["partition"], letter["offset"]);
    let shown =
        served.ask(&token, "GET", &format!("/api/v1/dead-letters/{}", place(&found, '/')), None, None).expect(200);
    assert_eq!(shown["value"], found["value"]);

    let alert_of = |payment: &str| {
        let alerts = topic(&cluster, "alerts_fraud_payments").concat();
        alerts.iter().filter(|record| String::from_utf8_lossy(record.value.as_ref().unwrap()).contains(payment)).count()
    };
    assert_eq!(alert_of("\"p5000\""), 0);
    let report = tamis(&format!("dead-letters redrive --letter {} --why mended", place(&found, ':')));
    assert_eq!((&report[0]["judged"], &report[0]["failed"]), (&json!(1), &json!(0)), "{report:?}");
    until("there is an alert", || alert_of("\"p5000\"") == 1);
    assert_eq!(letters().len(), 3, "and no other letter");
    assert_eq!(trapped()[0]["redrive"]["outcome"], "succeeded");
    let report = tamis("dead-letters redrive --topic payments");
    assert_eq!((&report[0]["failed"], &report[0]["succeeded"]), (&json!(2), &json!(1)), "{report:?}");
    until("there are two more", || letters().len() == 5);

    let asked = json!({"rule": RULE, "version": 1, "from": "2026-03-18T12:00:00Z", "to": "2026-03-18T12:00:01Z"});
    let queued = served.ask(&token, "POST", "/api/v1/backtests", Some(&asked), None).expect(202);
    let path = format!("/api/v1/backtests/{}", queued["id"].as_str().unwrap());
    let now = || served.ask(&token, "GET", &path, None, None).expect(200);
    until("the backtest is over", || !now()["finished_at"].is_null());
    let report = now()["report"].take();
    assert_eq!((&report["records"]["read"], &report["version"]["alerts"]["total"]), (&json!(100), &json!(1)));
    served.terminate();
}
