//! The archive of a cluster's topics, and silver of that: each record is in both once, whatever dies, and no position is told before its
//! records are durable.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use tamis_connectors::lake::archive_objects;
use tamis_services::kafka::{Cluster, Kafka, Options, Tool};

use crate::feed;
use crate::kafka::{home, send, topic};
use crate::kills::tables::lake_rows;
use crate::process::{Home, Served, until};
use crate::results::files;

const PAYMENTS: u64 = 3_200;
const KILLS: u64 = 8;
const SEED: u64 = 7;

/// A home that archives payments in objects that are closed soon, and adds them to silver soon after.
fn archiving(cluster: &Cluster) -> Home {
    let home = home(cluster, "at_least_once", &["silver-payments"]);
    home.configure("[archive]\ntopics = ['payments']\ninterval_ms = 30\n[schedules]\nsilver_interval_ms = 50\n");
    home.run(&["topics", "create"]);
    home
}

/// What the objects of each partition hold, one behind the other. Fails when one of them does not begin where its name says, or has
/// records that do not follow one another.
fn archived(home: &Home) -> BTreeMap<u32, Vec<Value>> {
    let partitions = archive_objects(&home.path().join("lake/bronze"), "payments").unwrap().into_iter();
    let all = partitions.map(|(partition, objects)| {
        let mut records: Vec<Value> = Vec::new();
        for object in objects {
            assert_eq!(object.first, records.len() as i64, "{} follows the object before it", object.path.display());
            let text = String::from_utf8(zstd::decode_all(&*fs::read(&object.path).unwrap()).unwrap()).unwrap();
            for line in text.lines() {
                let record: Value = serde_json::from_str(line).unwrap();
                assert_eq!(record["offset"], records.len(), "in {}", object.path.display());
                records.push(record);
            }
        }
        (partition, records)
    });
    all.collect()
}

/// What the topic holds, in the form of the archive.
fn sent(cluster: &Cluster) -> BTreeMap<u32, Vec<Value>> {
    let partitions = (0..).zip(topic(cluster, "payments")).filter(|(_, records)| !records.is_empty());
    let record = |record: tamis_engine::decode::json::RecordParts| {
        let value: Value = serde_json::from_slice(&record.value.unwrap()).unwrap();
        let key = String::from_utf8(record.key.unwrap()).unwrap();
        json!({"offset": record.offset, "timestamp": record.timestamp, "key": key, "value": value})
    };
    partitions.map(|(number, records)| (number, records.into_iter().map(record).collect())).collect()
}

fn count(records: &BTreeMap<u32, Vec<Value>>) -> usize {
    records.values().map(Vec::len).sum()
}

/// The numbers of the payments in silver, in order.
fn in_silver(home: &Home) -> Vec<u64> {
    if !home.path().join("lake/silver/payments/_delta_log").exists() {
        return Vec::new();
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let rows = runtime.block_on(lake_rows(home.path(), "silver.payments", "SELECT payment_id FROM silver.payments"));
    // | p17 |
    let numbers = rows.iter().filter_map(|row| row.trim_matches(['|', ' ']).strip_prefix('p')?.parse().ok());
    let mut numbers: Vec<u64> = numbers.collect();
    numbers.sort_unstable();
    numbers
}

/// The positions that the archive has told the cluster.
fn told(cluster: &Cluster) -> BTreeMap<u32, usize> {
    // GROUP TOPIC PARTITION CURRENT-OFFSET …
    let groups = cluster.tool(Tool::Groups, &["--describe", "--group", "tamis.archive"]).unwrap_or_default();
    let rows = groups.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let rows = rows.filter(|row| row.len() > 3 && row[1] == "payments" && row[3] != "-");
    rows.map(|row| (row[2].parse().unwrap(), row[3].parse().unwrap())).collect()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in files(from, "") {
        let path = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::copy(&file, path).unwrap();
    }
}

#[test]
fn each_record_of_a_cluster_is_archived_and_added_to_silver_once_while_its_host_is_killed() {
    let mut chance = ChaCha8Rng::seed_from_u64(SEED);
    let cluster = Cluster::start(&Kafka::install().unwrap(), 1, Options::default()).unwrap();
    let (embedded, clustered) = (Home::with(&[]), archiving(&cluster));
    feed::append(embedded.path(), 0..PAYMENTS);
    let step = PAYMENTS / KILLS;
    for kill in 0..KILLS {
        let (before, silver) = (count(&archived(&clustered)), in_silver(&clustered).len());
        let served = Served::start(&clustered);
        send(&embedded, &cluster, kill * step..(kill + 1) * step);
        if kill.is_multiple_of(2) {
            until("it archives", || count(&archived(&clustered)) > before);
        } else {
            until("it adds to silver", || in_silver(&clustered).len() > silver);
        }
        // At some moment while objects are closed, or added.
        std::thread::sleep(Duration::from_millis(chance.random_range(0..250)));
        served.kill();
        let archived = archived(&clustered);
        for (partition, next) in told(&cluster) {
            let durable = archived.get(&partition).map_or(0, Vec::len);
            assert!(next <= durable, "partition {partition} is told to {next}, and durable to {durable}");
        }
    }
    clustered.run(&["run", "archive"]);
    let sent = sent(&cluster);
    assert!(sent.len() > 1 && count(&sent) == PAYMENTS as usize);
    assert_eq!(archived(&clustered), sent, "each record once, as it is in the topic");
    let ends: BTreeMap<_, _> = sent.iter().map(|(partition, records)| (*partition, records.len())).collect();
    assert_eq!(told(&cluster), ends, "who watches the group sees that nothing is left");
    assert!(clustered.run(&["run", "archive"]).is_empty(), "nothing is left to do");
    clustered.run(&["run", "silver"]);
    assert!(in_silver(&clustered).into_iter().eq(0..PAYMENTS), "each payment once");
}

/// An object that was durable when its position was not saved is taken as it is.
#[test]
fn an_object_whose_position_was_not_saved_is_found() {
    let cluster = Cluster::start(&Kafka::install().unwrap(), 1, Options::default()).unwrap();
    let (embedded, clustered) = (Home::with(&[]), archiving(&cluster));
    feed::append(embedded.path(), 0..600);
    send(&embedded, &cluster, 0..200);
    let first = clustered.run(&["run", "archive"]);
    assert_eq!((&first[0]["topic"], &first[0]["records"]), (&json!("payments"), &json!(200)));
    let (positions, kept) = (clustered.path().join("checkpoints/archive-kafka"), tempfile::tempdir().unwrap());
    copy(&positions, kept.path());
    send(&embedded, &cluster, 200..400);
    clustered.run(&["run", "archive"]);
    let expected = archived(&clustered);
    fs::remove_dir_all(&positions).unwrap();
    copy(kept.path(), &positions);
    send(&embedded, &cluster, 400..600);
    let again = clustered.run(&["run", "archive"]);
    assert_eq!(again[0]["records"], 200, "what is durable is not archived again: {again:?}");
    let found = archived(&clustered);
    assert_eq!(found, sent(&cluster));
    assert!(expected.iter().all(|(partition, records)| found[partition].starts_with(records)));
}
