//! Hosts, brokers and the network between them fail at random moments, and nothing is lost, doubled or made up.
//!
//! A shop's payments and orders flow through a cluster while its host is killed amid work, its broker is killed and comes back, and the network
//! is cut, stalls or loses answers, once for longer than a transaction may be open. In the end lake and warehouse hold what an undisturbed run of the
//! same events leaves, in `exactly_once` topics as their readers of committed records see them do so too, and in `at_least_once` topics
//! hold nothing else.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use tamis_connectors::FileCheckpoints;
use tamis_engine::CheckpointStore;
use tamis_services::kafka::{Cluster, Kafka, Options, Tool};
use tamis_services::proxy::Fault;

use crate::kafka::{home, topic};
use crate::process::{Home, PATIENCE, Served, until};
use crate::results::{Results, assert_same};
use crate::shop::{PLUGINS, Shop, found, judged, shows, slowed, until_it_judges};

/// What `tamis topics create` makes of a topic.
const PARTITIONS: u32 = 6;
/// Longer than clients wait for a broker.
const OUTAGE: Duration = Duration::from_secs(8);
/// So many kills meet a host with work that is not committed, of so many at most.
const AMID_WORK: usize = 2;
pub const KILLS_MAX: usize = 12;
/// How often a long stall is tried until it meets an open transaction.
pub const TRIES: usize = 3;

#[derive(Clone, Copy, Debug)]
enum Do {
    KillHost,
    /// Amid its work, and again while it starts.
    KillHostTwice,
    KillBroker,
    BrokerIsAway,
    Network(Fault),
    StallForLong,
}

/// Every kind of fault in some order; of those that last for long the one that is worse for such a delivery.
fn doings(chance: &mut ChaCha8Rng, delivery: &str) -> Vec<Do> {
    let network = [Fault::Cut, Fault::Stall, Fault::HoldAnswers].map(Do::Network);
    let lasting = if delivery == "exactly_once" { Do::StallForLong } else { Do::BrokerIsAway };
    let once = [Do::KillHostTwice, Do::KillBroker, lasting];
    shuffled(chance, [Do::KillHost; 3].into_iter().chain(once).chain(network))
}

/// Fisher and Yates' shuffle.
pub fn shuffled<T>(chance: &mut ChaCha8Rng, all: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut all: Vec<T> = all.into_iter().collect();
    (1..all.len()).rev().for_each(|last| all.swap(last, chance.random_range(0..=last)));
    all
}

/// A host at the mercy of chance.
struct Chaos<'a> {
    chance: ChaCha8Rng,
    cluster: Cluster,
    home: &'a Home,
    delivery: &'a str,
    shop: Shop,
    /// None while it is dead.
    served: Option<Served>,
    /// Of each kill how much was not in a checkpoint of what the host had done.
    lost: Vec<usize>,
    fired: Vec<Do>,
}

impl Chaos<'_> {
    /// Lets something fail at some moment on the way of a round.
    fn fail(&mut self, doing: Do) {
        if matches!(doing, Do::KillHost | Do::KillHostTwice | Do::StallForLong) {
            // A host that starts has nothing to lose.
            until_it_judges(self.served.as_ref().unwrap());
        }
        self.shop.send(&self.cluster);
        self.sleep(50..1_200);
        match doing {
            Do::KillHost | Do::KillHostTwice => {
                self.served.take().unwrap().kill();
                self.lost.push(self.not_committed());
                self.served = Some(Served::start(self.home));
                if matches!(doing, Do::KillHostTwice) {
                    self.sleep(0..2_000);
                    self.served.take().unwrap().kill();
                    self.served = Some(Served::start(self.home));
                }
            }
            Do::KillBroker | Do::BrokerIsAway => {
                self.cluster.kill(0).unwrap();
                sleep(if matches!(doing, Do::BrokerIsAway) { OUTAGE } else { Duration::ZERO });
                self.cluster.restart(0).unwrap();
            }
            Do::Network(fault) => {
                let lasts = Duration::from_millis(self.chance.random_range(300..1_500));
                hit(&self.cluster, fault, lasts);
            }
            Do::StallForLong => self.stall_for_long(),
        }
        self.fired.push(doing);
    }

    fn sleep(&mut self, ms: Range<u64>) {
        sleep(Duration::from_millis(self.chance.random_range(ms)));
    }

    /// Stalls while a transaction is open, until the broker has aborted it.
    fn stall_for_long(&mut self) {
        let mut tries = 1;
        while !stall_until_it_aborts(&self.cluster) {
            assert!(tries < TRIES, "no stall meets an open transaction");
            until_it_judges(self.served.as_ref().unwrap());
            self.shop.send(&self.cluster);
            tries += 1;
        }
    }

    /// How much of what a host that is dead now had done is in no checkpoint: alerts that have left, or a transaction that is open.
    fn not_committed(&self) -> usize {
        match self.delivery {
            "exactly_once" => open_transactions(&self.cluster).len(),
            _ => alerts_not_saved(&self.cluster, self.home.path()),
        }
    }
}

async fn survives(delivery: &str, seed: u64) {
    let mut chance = ChaCha8Rng::seed_from_u64(seed);
    let doings = doings(&mut chance, delivery);
    let options = Options { proxied: true, ..Options::default() };
    let cluster = Cluster::start(&Kafka::install().unwrap(), 1, options).unwrap();
    let home = slowed(home(&cluster, delivery, &PLUGINS));
    home.run(&["topics", "create"]);
    let served = Some(Served::start(&home));
    let token = served.as_ref().unwrap().token.clone().unwrap();
    let (shop, lost, fired) = (Shop::default(), Vec::new(), Vec::new());
    let mut chaos = Chaos { chance, cluster, home: &home, delivery, shop, served, lost, fired };
    doings.into_iter().for_each(|doing| chaos.fail(doing));
    assert_eq!((chaos.fired.len(), chaos.lost.len()), (9, 4), "every fault has hit something, seed {seed}");
    while chaos.lost.iter().filter(|lost| **lost > 0).count() < AMID_WORK {
        // On a machine that does much else they come before the work, or behind it.
        assert!(
            chaos.lost.len() < KILLS_MAX,
            "no kill meets work that is not committed: {:?}, seed {seed}",
            chaos.lost
        );
        chaos.fail(Do::KillHost);
    }
    let Chaos { cluster, mut shop, served, .. } = chaos;
    let served = served.unwrap();
    shop.send(&cluster);
    let all = shop.close(&cluster, PARTITIONS);
    served.until("everything is judged", |served| judged(served, &token) >= all);
    assert_eq!(judged(&served, &token), all, "each record is counted once, seed {seed}");
    let expected = shop.until_all_is_there(&home, || format!("seed {seed}\n{}", shows(&served, &token))).await;
    let (status, _) = served.terminate();
    assert!(status.success());
    let found = found(&home, &cluster, &expected, delivery).await;
    assert_nothing_amiss(&found, &expected, seed);
}

/// The transactions that are open, by their names.
pub fn open_transactions(cluster: &Cluster) -> BTreeSet<String> {
    let listed = cluster.tool(Tool::Transactions, &["list"]).unwrap();
    let open = listed.lines().filter(|line| line.contains("Ongoing"));
    open.map(|line| line.split_whitespace().next().unwrap().to_owned()).collect()
}

/// How often the broker has said so since it was started last.
pub fn logged(cluster: &Cluster, words: &str) -> usize {
    cluster.log(0).lines().filter(|line| line.contains(words)).count()
}

/// How many alerts of payments have left for which the last checkpoint of a home does not stand.
fn alerts_not_saved(cluster: &Cluster, home: &Path) -> usize {
    let checkpoints = FileCheckpoints::open(home.join("checkpoints/streams-kafka"));
    let saved = checkpoints.unwrap().latest().unwrap().unwrap().positions;
    let id = |value: Option<Vec<u8>>| {
        let value: Value = serde_json::from_slice(&value.unwrap()).unwrap();
        value["payment_id"].as_str().unwrap_or_default().to_owned()
    };
    let positions = saved.0.iter().filter(|(partition, _)| partition.topic == "payments");
    let position =
        |number| positions.clone().find(|(partition, _)| partition.number == number).map_or(0, |(_, next)| *next);
    let payments = topic(cluster, "payments").into_iter().enumerate();
    let not_saved = payments.flat_map(|(number, records)| records.into_iter().skip(position(number as u32) as usize));
    let not_saved: BTreeSet<_> = not_saved.map(|record| id(record.value)).collect();
    let alerts = topic(cluster, "alerts_advanced_fraud").into_iter().flatten();
    alerts.filter(|record| not_saved.contains(&id(record.value.clone()))).count()
}

/// Stalls the network while a transaction is open, until the broker gives that up. Whether one was.
pub fn stall_until_it_aborts(cluster: &Cluster) -> bool {
    let aborts = || logged(cluster, "due to timeout");
    let before = aborts();
    hit_while(cluster, Fault::Stall, || {
        let meets_one = !open_transactions(cluster).is_empty();
        if meets_one {
            until("the broker aborts what is too old", || aborts() > before);
        }
        meets_one
    })
}

/// Fails the network until it hits somebody, and mends it after a while.
pub fn hit(cluster: &Cluster, fault: Fault, lasts: Duration) {
    hit_while(cluster, fault, || sleep(lasts));
}

/// The same, and does something until it is mended.
fn hit_while<T>(cluster: &Cluster, fault: Fault, meanwhile: impl FnOnce() -> T) -> T {
    let proxy = cluster.proxy(0);
    let (before, began) = (proxy.counts().hits, Instant::now());
    proxy.fail(fault);
    while proxy.counts().hits == before {
        assert!(began.elapsed() < PATIENCE, "{fault:?} hits something");
        sleep(Duration::from_millis(500));
        if proxy.counts().hits == before {
            // Nobody was connected: then nobody can be while it lasts.
            proxy.join();
            sleep(Duration::from_millis(100));
            proxy.fail(fault);
        }
    }
    let done = meanwhile();
    proxy.join();
    done
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
