//! A shop's day by all standard rules and aggregates: two hosts that share it come to what one does.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use tamis_connectors::FileCheckpoints;
use tamis_connectors::kafka::{KafkaConnection, KafkaTopics};
use tamis_engine::CheckpointStore;
use tamis_model::position::Partition;
use tamis_services::kafka::{Cluster, Kafka, Options};

use crate::day::{closing, day, plugins};
use crate::group::{SLICES, member};
use crate::kafka::{home, write};
use crate::process::{Home, Served};
use crate::results::results;
use crate::worker::Worker;

/// Twenty components are compiled twice, and a day is judged twice.
const PATIENCE: Duration = Duration::from_secs(240);

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

/// Whether all that the hosts of a group have raised is in the lake and the warehouse of the one that serves.
pub fn is_delivered(cluster: &Cluster, serving: &Home, group: &str) -> bool {
    let topics = KafkaTopics::new(KafkaConnection::plain(cluster.bootstrap())).overview().unwrap();
    let outcomes = topics.into_iter().find(|topic| topic.topic == format!("{group}.outcomes")).unwrap();
    let (partition, end) = (Partition { topic: outcomes.topic, number: 0 }, outcomes.partitions[0].next_offset);
    let checkpoints = FileCheckpoints::open(serving.path().join("checkpoints/delivery"));
    // Retention may leave nothing of the topic but where its last mark stood.
    checkpoints.unwrap().latest().unwrap().is_some_and(|last| last.positions.next(&partition) == end)
}

#[tokio::test]
async fn two_hosts_come_to_what_one_does() {
    let cluster = Cluster::start(&Kafka::install().unwrap(), 1, Options::default()).unwrap();
    let rules = plugins();
    let plugins: Vec<_> = rules.iter().map(String::as_str).collect();
    let alone = home(&cluster, "at_least_once", &plugins);
    alone.configure("group = 'alone'\n");
    let (serving, working) = (member(&cluster, "at_least_once", &plugins), member(&cluster, "at_least_once", &[]));
    serving.run(&["topics", "create"]);
    let day = day();
    let closing = closing(&day, SLICES as u32);
    write(&cluster, &[day, closing].concat());
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
    while !is_delivered(&cluster, &serving, "tamis") {
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
