//! A shop's day by all standard rules and aggregates: two hosts that share it come to what one does.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tamis::demo::{Scale, generate};
use tamis_connectors::FileCheckpoints;
use tamis_connectors::kafka::{KafkaConnection, KafkaSink, KafkaTopics};
use tamis_engine::{CheckpointStore, Sink};
use tamis_model::position::Partition;
use tamis_model::record::Record;
use tamis_services::kafka::{Cluster, Kafka, Options};

use crate::group::{SLICES, member};
use crate::kafka::home;
use crate::process::{Served, components};
use crate::results::{records, results};
use crate::worker::Worker;

const SEED: u64 = 7;
/// Behind the day: it closes all windows of it.
const LATER_MS: i64 = 2 * 86_400_000;
/// Twenty components are compiled twice, and a day is judged twice.
const PATIENCE: Duration = Duration::from_secs(240);

/// The rules and aggregates among the components.
fn rules() -> Vec<String> {
    let files = fs::read_dir(components()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let names = files.filter_map(|file| file.strip_suffix(".wasm").map(str::to_owned));
    let is_rule = |name: &String| !["silver-", "check-", "expression"].iter().any(|other| name.starts_with(other));
    names.filter(is_rule).collect()
}

/// The records of a topic of a home in the order of their times, so that none is late in any partition; then one for each partition that
/// raises nothing.
fn day(home: &Path, topic: &str) -> Vec<Record> {
    let mut day = records(home, topic);
    day.sort_by_key(|record| record["timestamp"].as_i64());
    let later = day.last().unwrap()["timestamp"].as_i64().unwrap() + LATER_MS;
    let record = |partition, timestamp, key: Option<&str>, value: &Value| Record {
        topic: topic.to_owned(),
        partition,
        timestamp,
        key: key.map(|key| key.as_bytes().to_vec()),
        value: Some(value.to_string().into_bytes()),
        value_is_json: true,
        headers: Vec::new(),
    };
    let last = match topic {
        "payments" => json!({"payment_id": "end", "amount": 1, "method": "sepa", "status": "pending"}),
        "orders" => json!({"event_id": "end", "event_type": "shipped", "order_id": "end"}),
        _ => json!({"event_id": "end", "kyc_ref": "end", "decision": "en_attente"}),
    };
    let told = |told: &Value| record(None, told["timestamp"].as_i64().unwrap(), told["key"].as_str(), &told["value"]);
    let closing = (0..SLICES as u32).map(|partition| record(Some(partition), later, None, &last));
    day.iter().map(told).chain(closing).collect()
}

/// What a home has: the ids of its alerts in the lake and in the warehouse, and its aggregates. What else an alert says may depend on which of
/// the records of several partitions came first.
async fn raised(home: &Path) -> BTreeSet<String> {
    let mut raised = BTreeSet::new();
    for (place, rows) in results(home, &[]).await {
        for row in rows {
            let value: Value = serde_json::from_str(&row).unwrap();
            raised.insert(match value["alert_id"].as_str() {
                Some(id) => format!("{place}: {} {id}", value["rule"]),
                None => format!("{place}: {row}"),
            });
        }
    }
    raised
}

#[tokio::test]
async fn two_hosts_come_to_what_one_does() {
    let cluster = Cluster::start(&Kafka::install().unwrap(), 1, Options::default()).unwrap();
    let rules = rules();
    assert_eq!(rules.len(), 20, "{rules:?}");
    let plugins: Vec<_> = rules.iter().map(String::as_str).collect();
    let alone = home(&cluster, "at_least_once", &plugins);
    let config = alone.path().join("tamis.toml");
    fs::write(&config, fs::read_to_string(&config).unwrap() + "group = 'alone'\n").unwrap();
    let (serving, working) = (member(&cluster, "at_least_once", &plugins), member(&cluster, "at_least_once", &[]));
    serving.run(&["topics", "create"]);
    let source = tempfile::tempdir().unwrap();
    let home = tamis::home::Home::new(source.path());
    home.create().unwrap();
    generate(&home, SEED, Scale(1), &mut |_, _| {}).unwrap();
    let mut sink = KafkaSink::at_least_once(&KafkaConnection::plain(cluster.bootstrap())).unwrap();
    for topic in ["payments", "orders", "kyc_decisions"] {
        sink.write(&day(source.path(), topic)).unwrap();
    }
    sink.stage().unwrap();
    // It waits for somebody who says which rules there are.
    let worker = Worker::start(&working, 0);
    let served = Served::start(&serving);
    worker.until_it_has(SLICES / 2);
    alone.run(&["run", "streams", "--until-end"]);
    let expected = raised(alone.path()).await;
    let fired: BTreeSet<_> = expected.iter().filter_map(|row| row.split('"').nth(1)).collect();
    assert!(fired.len() > 12 && expected.iter().any(|row| row.starts_with("aggregates")), "{fired:?}");
    let began = Instant::now();
    while !expected.is_subset(&raised(serving.path()).await) && began.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(500));
    }
    // Retention may leave nothing of the topic but where its last mark stood.
    let outcomes = || {
        let topics = KafkaTopics::new(KafkaConnection::plain(cluster.bootstrap())).overview().unwrap();
        let topic = topics.into_iter().find(|topic| topic.topic.ends_with(".outcomes")).unwrap();
        (Partition { topic: topic.topic, number: 0 }, topic.partitions[0].next_offset)
    };
    let delivered = || {
        let checkpoints = FileCheckpoints::open(serving.path().join("checkpoints/delivery"));
        let (partition, end) = outcomes();
        checkpoints.unwrap().latest().unwrap().is_some_and(|last| last.positions.next(&partition) == end)
    };
    while !delivered() {
        assert!(began.elapsed() < PATIENCE, "delivery stands before the end");
        std::thread::sleep(Duration::from_millis(500));
    }
    worker.terminate();
    assert!(served.terminate().0.success());
    let found = raised(serving.path()).await;
    let missing: Vec<_> = expected.difference(&found).take(5).collect();
    let surplus: Vec<_> = found.difference(&expected).take(5).collect();
    assert!(missing.is_empty() && surplus.is_empty(), "missing {missing:?}\nsurplus {surplus:?}");
}
