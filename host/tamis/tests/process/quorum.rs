//! The brokers of a cluster of three die one after the other, and a host that serves goes on: nothing is lost, doubled or made up.
//!
//! Every partition of every topic loses its leader at least once: those that the host reads and writes, its changelog, and the two in
//! which brokers keep transactions and groups, whose leaders are their coordinators.

use std::collections::{BTreeMap, BTreeSet};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tamis_services::kafka::{Cluster, Kafka, Options, Tool};

use crate::chaos::{assert_nothing_amiss, shuffled};
use crate::kafka::home;
use crate::process::{Api, PATIENCE, Served, until};
use crate::shop::{PLUGINS, Shop, found, judged, shows, slowed};

const BROKERS: usize = 3;
const PARTITIONS: u32 = 6;
const SEED: u64 = 13;

/// The leader of a partition, by topic and number.
type Leaders = BTreeMap<String, Leader>;

#[derive(Clone, Debug, PartialEq)]
struct Leader {
    broker: Option<usize>,
    /// Whether all brokers have what it has.
    in_sync: bool,
}

/// The leaders of all partitions, those of the brokers' own topics too.
fn leaders(cluster: &Cluster) -> Leaders {
    let told = cluster.tool(Tool::Topics, &["--describe"]).unwrap();
    let leader = |line: &str| {
        let told: BTreeMap<_, _> = line.split('\t').filter_map(|part| part.trim().split_once(": ")).collect();
        let place = format!("{}/{}", told["Topic"], told.get("Partition")?);
        let in_sync = told["Isr"].split(',').count() == BROKERS;
        Some((place, Leader { broker: told["Leader"].parse().ok(), in_sync }))
    };
    told.lines().filter_map(leader).collect()
}

/// Kills a broker, and waits until others lead what it has led. Which partitions that were.
fn kill(cluster: &mut Cluster, broker: usize) -> BTreeSet<String> {
    let led = |leaders: &Leaders| -> BTreeSet<String> {
        let led = leaders.iter().filter(|(_, leader)| leader.broker.is_none_or(|leader| leader == broker));
        led.map(|(place, _)| place.clone()).collect()
    };
    let before = led(&leaders(cluster));
    cluster.kill(broker).unwrap();
    until("others lead", || led(&leaders(cluster)).is_empty());
    before
}

/// Waits until a host has judged so many records; fails with all that it shows.
fn until_judged(served: &Api, token: &str, records: u64, what: &str) {
    let began = Instant::now();
    while judged(served, token) < records {
        let so_far = judged(served, token);
        assert!(began.elapsed() < PATIENCE, "{what}: {so_far} of {records}, seed {SEED}\n{}", shows(served, token));
        sleep(Duration::from_millis(100));
    }
}

#[tokio::test]
async fn a_host_goes_on_while_all_leaders_move() {
    let mut chance = ChaCha8Rng::seed_from_u64(SEED);
    let mut cluster = Cluster::start(&Kafka::install().unwrap(), BROKERS, Options::default()).unwrap();
    let home = slowed(home(&cluster, "exactly_once", &PLUGINS));
    home.configure(&format!("replication = {BROKERS}\n"));
    home.run(&["topics", "create"]);
    let served = Served::start(&home);
    let token = served.token.clone().unwrap();
    let (mut shop, mut moved) = (Shop::default(), BTreeSet::new());
    for broker in shuffled(&mut chance, 0..BROKERS) {
        shop.send(&cluster);
        sleep(Duration::from_millis(chance.random_range(50..400)));
        moved.append(&mut kill(&mut cluster, broker));
        // Two brokers take what is written, and the host reads and commits it.
        shop.send(&cluster);
        let sent = shop.sent();
        until_judged(&served, &token, sent, "two brokers are enough");
        cluster.restart(broker).unwrap();
        until("three brokers have everything", || leaders(&cluster).values().all(|leader| leader.in_sync));
    }
    let all: BTreeSet<_> = leaders(&cluster).into_keys().collect();
    for topic in ["payments/5", "tamis.streams.changelog/0", "__transaction_state/3", "__consumer_offsets/3"] {
        assert!(all.contains(topic), "{topic} is one of {all:?}");
    }
    assert_eq!(moved, all, "every leader has moved, seed {SEED}");
    let all = shop.close(&cluster, PARTITIONS);
    until_judged(&served, &token, all, "everything is judged");
    assert_eq!(judged(&served, &token), all, "each record is counted once, seed {SEED}");
    let expected = shop.until_all_is_there(&home, || format!("seed {SEED}\n{}", shows(&served, &token))).await;
    let (status, _) = served.terminate();
    assert!(status.success());
    assert_nothing_amiss(&found(&home, &cluster, &expected, "exactly_once").await, &expected, SEED);
}
