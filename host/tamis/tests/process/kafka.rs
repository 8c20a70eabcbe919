//! The topics of a cluster instead of the home's: the same records come to the same alerts.

use std::time::Instant;

use base64::Engine as _;
use serde_json::{Value, json};
use tamis_connectors::kafka::{KafkaConnection, KafkaSink, KafkaSource, KafkaSourceSettings};
use tamis_engine::decode::json::RecordParts;
use tamis_engine::{Chunk, Read, Sink, Source};
use tamis_model::position::Positions;
use tamis_model::record::Record;
use tamis_services::kafka::{Cluster, Kafka, Options};

use crate::feed;
use crate::process::{Api, Home, PATIENCE, Served, components};
use crate::results::{self, Results, assert_same, records, results};

const PLUGINS: [&str; 4] = ["payment-direct-fraud", "card-testing", "psp-error-rate", "payments-by-currency"];

/// Those that wait for no window to end.
pub const ATTENTIVE: [&str; 2] = ["payment-direct-fraud", "card-testing"];

/// A home whose topics lie in a cluster.
pub fn home(cluster: &Cluster, delivery: &str, plugins: &[&str]) -> Home {
    let home = Home::with(plugins);
    // The feed is of 2026, and retention counts from the times of the records.
    let kafka = format!("[kafka]\nbootstrap_servers = \"{}\"\nretention_hours = 900000\n", cluster.bootstrap());
    home.configure(&format!("{kafka}delivery = \"{delivery}\"\n"));
    home
}

/// The payments of a home, sent to a cluster: those of a key go to one partition.
pub fn send(home: &Home, cluster: &Cluster, numbers: std::ops::Range<u64>) {
    let mut sent = records(home.path(), "payments");
    sent.retain(|record| {
        let id = record["value"]["payment_id"].as_str().unwrap();
        numbers.contains(&id[1..].parse().unwrap())
    });
    // The partitions of the cluster are others; in none of them may a payment be late.
    sent.sort_by_key(|record| record["timestamp"].as_i64());
    let sent = sent.into_iter().map(|record| Record {
        topic: "payments".to_owned(),
        partition: None,
        timestamp: record["timestamp"].as_i64().unwrap(),
        key: record["key"].as_str().map(|key| key.as_bytes().to_vec()),
        value: Some(record["value"].to_string().into_bytes()),
        value_is_json: true,
        headers: Vec::new(),
    });
    write(cluster, &sent.collect::<Vec<_>>());
}

/// Writes records to the topics of a cluster, and waits until they are there.
pub fn write(cluster: &Cluster, records: &[Record]) {
    let mut sink = KafkaSink::at_least_once(&KafkaConnection::plain(cluster.bootstrap())).unwrap();
    sink.write(records).unwrap();
    sink.stage().unwrap();
}

/// Everything in a topic of a cluster, by partition.
pub fn topic(cluster: &Cluster, name: &str) -> Vec<Vec<RecordParts>> {
    let settings = KafkaSourceSettings::new([name.to_owned()], "test").until_end();
    all(&mut KafkaSource::new(KafkaConnection::plain(cluster.bootstrap()), settings))
}

/// Everything that a source has until its end, by partition.
pub fn all(source: &mut dyn Source) -> Vec<Vec<RecordParts>> {
    source.open(&Positions::default()).unwrap();
    let (mut chunk, began) = (Chunk::default(), Instant::now());
    let partitions = source.partitions().unwrap().into_iter();
    let read = partitions.map(|partition| {
        let mut read = Vec::new();
        loop {
            match source.read(&partition, &mut chunk).unwrap() {
                Read::Ended => break read,
                Read::Records => read.extend(chunk.origins().map(|origin| chunk.record(origin))),
                _ => assert!(began.elapsed() < PATIENCE, "{partition} ends"),
            }
        }
    });
    read.collect()
}

/// A record as [`results`] tells it.
fn told(record: RecordParts) -> String {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let mut value: Value = serde_json::from_slice(&record.value.unwrap()).unwrap();
    results::strip(&mut value);
    let mut told = json!({"timestamp": record.timestamp, "key": record.key.as_deref().map(text), "value": value});
    if !record.headers.is_empty() {
        // Where the record came from differs.
        let headers = record.headers.iter().filter(|(name, _)| !is_place(name));
        told["headers"] =
            headers.map(|(name, value)| json!([name, base64::prelude::BASE64_STANDARD.encode(value)])).collect();
    }
    told.to_string()
}

/// Whether a header of a dead letter says where its record came from.
pub fn is_place(header: &str) -> bool {
    header.ends_with(".partition") || header.ends_with(".offset")
}

/// What a home with embedded topics left, without the places that dead letters name.
pub async fn expected(home: &Home) -> Results {
    let mut expected = results(home.path(), &["payments"]).await;
    for (_, rows) in expected.iter_mut().filter(|(place, _)| place.starts_with("topic ")) {
        for row in rows.iter_mut() {
            let record: Value = serde_json::from_str(row).unwrap();
            let mut told = json!({"timestamp": record["timestamp"], "key": record["key"], "value": record["value"]});
            if let Some(headers) = record["headers"].as_array() {
                let headers = headers.iter().filter(|header| !is_place(header[0].as_str().unwrap()));
                told["headers"] = headers.cloned().collect();
            }
            *row = told.to_string();
        }
        rows.sort();
    }
    expected
}

/// What a home with topics in a cluster left, there and here.
pub async fn found(home: &Home, cluster: &Cluster, topics: impl Iterator<Item = String>) -> Results {
    let mut found = results(home.path(), &["payments"]).await;
    for name in topics {
        let mut rows: Vec<_> = topic(cluster, &name).into_iter().flatten().map(told).collect();
        rows.sort();
        found.insert(format!("topic {name}"), rows);
    }
    found
}

/// The places outside of topics that have fewer rows than expected, with how many they have and should have.
pub fn lacking<'a>(found: &Results, expected: &'a Results) -> Vec<(&'a str, usize, usize)> {
    let places = expected.iter().filter(|(place, _)| !place.starts_with("topic "));
    let counts = places.map(|(place, rows)| (&**place, found.get(place).map_or(0, Vec::len), rows.len()));
    counts.filter(|(_, found, expected)| found < expected).collect()
}

/// How many payments a host has judged.
pub fn judged(served: &Api, token: &str) -> u64 {
    let topics = served.ask(token, "GET", "/api/v1/topics", None, None);
    let items = topics.body["items"].as_array().cloned().unwrap_or_default();
    let payments = items.into_iter().find(|topic| topic["name"] == "payments");
    payments.and_then(|topic| topic["records"].as_u64()).unwrap_or(0)
}

#[tokio::test]
async fn the_same_records_come_to_the_same_alerts() {
    same_alerts("at_least_once").await;
}

#[tokio::test]
async fn the_same_records_come_to_the_same_alerts_in_transactions() {
    same_alerts("exactly_once").await;
}

async fn same_alerts(delivery: &str) {
    assert!(components().is_dir());
    let cluster = Cluster::start(&Kafka::install().unwrap(), 1, Options::default()).unwrap();
    let (embedded, clustered) = (Home::with(&PLUGINS), home(&cluster, delivery, &PLUGINS));
    feed::append(embedded.path(), 0..3_000);
    embedded.run(&["run", "streams", "--until-end"]);
    let refused = clustered.command(&["run", "streams", "--until-end"]).output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("cannot find topic") && said.contains("tamis topics create"), "{said}");
    let made = clustered.run(&["topics", "create"]);
    assert!(made.iter().all(|topic| topic["created"] == true && topic["partitions"] == 6), "{made:?}");
    let made = clustered.run(&["topics", "create"]);
    assert!(made.iter().all(|topic| topic["created"] == false), "{made:?}");
    send(&embedded, &cluster, 0..1_000);
    send(&embedded, &cluster, 1_000..3_000);
    clustered.run(&["run", "streams", "--until-end"]);
    let expected = expected(&embedded).await;
    let topics = || expected.keys().filter_map(|place| place.strip_prefix("topic ")).map(str::to_owned);
    assert!(topics().any(|topic| topic == "dead_letters") && topics().count() > 1, "{:?}", expected.keys());
    assert_same(&found(&clustered, &cluster, topics()).await, &expected, "after one run");
    clustered.run(&["run", "streams", "--until-end"]);
    assert_same(&found(&clustered, &cluster, topics()).await, &expected, "a second run goes on where the first ended");
}

#[tokio::test]
async fn a_host_serves_while_its_broker_is_killed_and_comes_back() {
    let mut cluster = Cluster::start(&Kafka::install().unwrap(), 1, Options::default()).unwrap();
    let (embedded, clustered) = (Home::with(&PLUGINS), home(&cluster, "at_least_once", &PLUGINS));
    feed::append(embedded.path(), 0..2_000);
    clustered.run(&["topics", "create"]);
    send(&embedded, &cluster, 0..1_000);
    let served = Served::start(&clustered);
    let token = served.token.clone().unwrap();
    served.until("the first half is judged", |served| judged(served, &token) >= 1_000);
    cluster.kill(0).unwrap();
    served.until("the outage is noticed", |served| served.ask("", "GET", "/readyz", None, None).status == 503);
    cluster.restart(0).unwrap();
    send(&embedded, &cluster, 1_000..2_000);
    served.until("the second half is judged", |served| judged(served, &token) >= 2_000);
    let (status, _) = served.terminate();
    assert!(status.success());
    embedded.run(&["run", "streams", "--until-end"]);
    // The clock of a host that goes on closes no window of long ago; what waits for none has raised everything, and nothing twice.
    let (found, expected) = (alerts(&[&clustered]).await, alerts(&[&embedded]).await);
    let of = |mut alerts: Results| {
        let waits = |row: &String| !ATTENTIVE.iter().any(|rule| row.contains(&format!("\"rule\":\"{rule}\"")));
        alerts.values_mut().for_each(|rows| rows.retain(|row| !waits(row)));
        alerts
    };
    let (found, expected) = (of(found), of(expected));
    assert!(expected.len() == 2 && expected.values().all(|rows| rows.len() > 10), "{expected:?}");
    assert_same(&found, &expected, "after an outage");
}

/// Hosts with homes of their own go on with one another's work, in whichever store the checkpoints are, and each home keeps what it has.
#[tokio::test]
async fn homes_take_over_from_one_another_and_keep_what_they_have() {
    let cluster = Cluster::start(&Kafka::install().unwrap(), 1, Options::default()).unwrap();
    let new = || home(&cluster, "exactly_once", &ATTENTIVE);
    let (embedded, first, second) = (Home::with(&ATTENTIVE), new(), new());
    feed::append(embedded.path(), 0..3_000);
    first.run(&["topics", "create"]);
    for (home, numbers) in [(&first, 0..1_000), (&second, 1_000..2_000), (&first, 2_000..3_000)] {
        send(&embedded, &cluster, numbers);
        home.run(&["run", "streams", "--until-end"]);
    }
    embedded.run(&["run", "streams", "--until-end"]);
    let expected = alerts(&[&embedded]).await;
    assert_same(&alerts(&[&first, &second]).await, &expected, "each alert is in one of the homes");
    // The checkpoints are kept in the home instead, and know nothing: everything is judged again.
    deliver(&first, "exactly_once", "at_least_once");
    first.run(&["run", "streams", "--until-end"]);
    let both = alerts(&[&first]).await;
    let distinct = |mut rows: Results| {
        rows.values_mut().for_each(Vec::dedup);
        rows
    };
    assert_same(&distinct(both.clone()), &expected, "nothing that the home had is gone");
    deliver(&first, "at_least_once", "exactly_once");
    first.run(&["run", "streams", "--until-end"]);
    assert_same(&alerts(&[&first]).await, &both, "back again, the home is as it was");
    // Another cluster has other records at the same positions.
    let file = first.path().join("checkpoints/streams-kafka.json");
    let mut mark: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    mark["cluster"] = "another".into();
    std::fs::write(&file, mark.to_string()).unwrap();
    let refused = first.command(&["run", "streams", "--until-end"]).output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        !refused.status.success() && said.contains("the streams of this home are those of cluster another"),
        "{said}"
    );
}

/// The live alerts in lake and warehouse of some homes together.
async fn alerts(homes: &[&Home]) -> Results {
    let mut all = Results::new();
    for home in homes {
        let found = results(home.path(), &["payments"]).await;
        for (place, rows) in found.into_iter().filter(|(place, _)| place.starts_with("live alerts in the")) {
            all.entry(place).or_default().extend(rows);
        }
    }
    all.values_mut().for_each(|rows| rows.sort());
    all
}

fn deliver(home: &Home, before: &str, now: &str) {
    let file = home.path().join("tamis.toml");
    let written = std::fs::read_to_string(&file).unwrap();
    let of = |delivery| format!("delivery = \"{delivery}\"");
    assert!(written.contains(&of(before)));
    std::fs::write(&file, written.replace(&of(before), &of(now))).unwrap();
}
