//! Hosts, brokers and the network between them fail at random moments, and nothing is lost, doubled or made up.
//!
//! Payments with ids of their own flow through a cluster while its host is killed, its broker is killed and comes back, and the network is cut,
//! stalls or loses answers. In the end lake and warehouse hold what an undisturbed run of the same payments leaves, in
//! `exactly_once` topics as their readers of committed records see them do so too, and in `at_least_once` topics hold nothing else.

use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tamis_services::kafka::{Cluster, Kafka, Options};
use tamis_services::proxy::Fault;

use crate::feed;
use crate::kafka::{expected, found, home, judged, send};
use crate::process::{Home, PATIENCE, Served};
use crate::results::{Results, assert_same};

/// Rules whose alerts do not wait for windows: a host that goes on closes none of long ago.
const PLUGINS: [&str; 2] = ["payment-direct-fraud", "card-testing"];
const PAYMENTS: u64 = 6_000;
/// Payments between two faults.
const STEP: u64 = 500;

#[derive(Clone, Copy, Debug)]
enum Do {
    KillHost,
    KillBroker,
    Network(Fault),
}

/// Every kind of fault, several times.
fn doings(chance: &mut ChaCha8Rng) -> Vec<Do> {
    let network = [Fault::Cut, Fault::Stall, Fault::HoldAnswers].map(Do::Network);
    let hosts = [Do::KillHost; 5];
    let mut all: Vec<Do> = hosts.into_iter().chain([Do::KillBroker; 3]).chain(network).collect();
    // Fisher and Yates' shuffle.
    (1..all.len()).rev().for_each(|last| all.swap(last, chance.random_range(0..=last)));
    all
}

async fn survives(delivery: &str, seed: u64) {
    let mut chance = ChaCha8Rng::seed_from_u64(seed);
    let options = Options { proxied: true, ..Options::default() };
    let mut cluster = Cluster::start(&Kafka::install().unwrap(), 1, options).unwrap();
    let (embedded, clustered) = (Home::with(&PLUGINS), home(&cluster, delivery, &PLUGINS));
    feed::append(embedded.path(), 0..PAYMENTS);
    clustered.run(&["topics", "create"]);
    let mut served = Served::start(&clustered);
    let token = served.token.clone().unwrap();
    let (mut sent, mut host_deaths, mut broker_deaths, mut hits) = (0, 0, 0, 0);
    for doing in doings(&mut chance) {
        send(&embedded, &cluster, sent..sent + STEP);
        sent += STEP;
        // At some moment on the way of these payments.
        std::thread::sleep(Duration::from_millis(chance.random_range(0..400)));
        match doing {
            Do::KillHost => {
                served.kill();
                host_deaths += 1;
                served = Served::start(&clustered);
            }
            Do::KillBroker => {
                cluster.kill(0).unwrap();
                broker_deaths += 1;
                cluster.restart(0).unwrap();
            }
            Do::Network(fault) => {
                hit(&cluster, fault, Duration::from_millis(chance.random_range(300..1_500)));
                hits += 1;
            }
        }
    }
    send(&embedded, &cluster, sent..PAYMENTS);
    served.until("everything is judged", |served| judged(served, &token) >= PAYMENTS);
    assert_eq!(judged(&served, &token), PAYMENTS, "each payment is counted once");
    assert_eq!((host_deaths, broker_deaths, hits), (5, 3, 3), "every fault has hit something, seed {seed}");
    let (status, _) = served.terminate();
    assert!(status.success());
    embedded.run(&["run", "streams", "--until-end"]);
    let expected = expected(&embedded).await;
    let topics = || expected.keys().filter_map(|place| place.strip_prefix("topic ")).map(str::to_owned);
    assert!(topics().count() > 2, "{:?}", expected.keys());
    let mut found = found(&clustered, &cluster, topics()).await;
    if delivery == "at_least_once" {
        found.iter_mut().filter(|(place, _)| place.starts_with("topic ")).for_each(|(_, rows)| rows.dedup());
    }
    assert_nothing_amiss(&found, &expected, seed);
}

/// Fails the network until it hits somebody, and mends it after a while.
pub fn hit(cluster: &Cluster, fault: Fault, lasts: Duration) {
    let proxy = cluster.proxy(0);
    let (before, began) = (proxy.counts().hits, Instant::now());
    proxy.fail(fault);
    while proxy.counts().hits == before {
        assert!(began.elapsed() < PATIENCE, "{fault:?} hits something");
        std::thread::sleep(Duration::from_millis(500));
        if proxy.counts().hits == before {
            // Nobody was connected: then nobody can be while it lasts.
            proxy.join();
            std::thread::sleep(Duration::from_millis(100));
            proxy.fail(fault);
        }
    }
    std::thread::sleep(lasts);
    proxy.join();
}

/// Says what is lost, there twice, or was never expected.
pub fn assert_nothing_amiss(found: &Results, expected: &Results, seed: u64) {
    for (place, expected) in expected {
        let found = found.get(place).map(Vec::as_slice).unwrap_or_default();
        let lost = expected.iter().filter(|row| found.binary_search(row).is_err()).count();
        let unseen = found.iter().filter(|row| expected.binary_search(row).is_err()).count();
        let duplicate = found.windows(2).filter(|pair| pair[0] == pair[1]).count();
        assert_eq!((lost, duplicate, unseen), (0, 0, 0), "lost, duplicate and unseen in {place}, seed {seed}");
    }
    assert_same(found, expected, "after all faults");
}

#[tokio::test]
async fn nothing_is_lost_or_doubled_at_least_once() {
    survives("at_least_once", 7).await;
}

#[tokio::test]
async fn nothing_is_lost_or_doubled_exactly_once() {
    survives("exactly_once", 11).await;
}
