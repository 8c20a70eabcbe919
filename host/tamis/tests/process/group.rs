//! Several hosts, one group: they raise what one host alone would, while slices move between them and everything else fails.

use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;
use tamis_services::kafka::{Cluster, Kafka, Options};
use tamis_services::proxy::Fault;

use crate::chaos::{
    KILLS_MAX, TRIES, assert_nothing_amiss, hit, logged, open_transactions, shuffled, stall_until_it_aborts,
};
use crate::feed;
use crate::kafka::{home, send};
use crate::observed::{page, samples};
use crate::process::{Home, Served, until};
use crate::shop::{self, Shop, found, shows, slowed, until_it_judges};
use crate::worker::{Worker, sum};

/// Rules whose alerts do not wait for windows: one has no key, one has another than the topic.
const PLUGINS: [&str; 2] = ["payment-direct-fraud", "card-testing"];
pub const SLICES: usize = 4;
/// Whoever is silent for so long is given up.
pub const SESSION: Duration = Duration::from_secs(6);

/// A home of the group.
pub fn member(cluster: &Cluster, delivery: &str, plugins: &[&str]) -> Home {
    let home = home(cluster, delivery, plugins);
    let session_ms = SESSION.as_millis();
    home.configure(&format!("shared = true\nsession_timeout_ms = {session_ms}\npartitions = {SLICES}\n"));
    home
}

#[derive(Clone, Copy, Debug)]
enum Do {
    KillHost,
    KillWorker,
    StopWorker,
    FreezeWorker,
    KillBroker,
    Network(Fault),
    StallForLong,
}

/// Every kind of fault in some order; of those that last for long the one that is worse for such a delivery.
fn doings(chance: &mut ChaCha8Rng, delivery: &str) -> Vec<Do> {
    let workers = [Do::KillWorker, Do::KillWorker, Do::StopWorker, Do::FreezeWorker];
    let network = [Fault::Cut, Fault::HoldAnswers].map(Do::Network);
    let lasting = if delivery == "exactly_once" { Do::StallForLong } else { Do::KillBroker };
    shuffled(chance, workers.into_iter().chain(network).chain([Do::KillHost, lasting]))
}

/// Two hosts at the mercy of chance.
struct Chaos<'a> {
    chance: ChaCha8Rng,
    cluster: Cluster,
    shop: Shop,
    serving: &'a Home,
    working: &'a Home,
    /// None while it is dead; so is the worker.
    served: Option<Served>,
    worker: Option<Worker>,
    runs: u32,
    /// How often slices went from one host to the other.
    moves: usize,
    /// Of each kill how many transactions the dead host had open.
    lost: Vec<usize>,
}

impl Chaos<'_> {
    /// Lets something fail at some moment on the way of a round.
    fn fail(&mut self, doing: Do) {
        if matches!(doing, Do::KillHost | Do::KillWorker | Do::StallForLong) {
            // Hosts that start have nothing to lose.
            self.until_all_judges();
        }
        self.shop.send(&self.cluster);
        sleep(Duration::from_millis(self.chance.random_range(50..800)));
        match doing {
            Do::KillHost => self.kill_host(),
            Do::KillWorker | Do::StopWorker => self.end_worker(matches!(doing, Do::KillWorker)),
            Do::FreezeWorker => {
                let before = expelled(&self.cluster);
                self.worker().sleep_for_too_long();
                assert!(expelled(&self.cluster) > before, "the group gives up who sleeps for too long");
                self.worker().until_it_has(SLICES / 2);
                self.moves += 2;
            }
            Do::KillBroker => {
                self.cluster.kill(0).unwrap();
                self.cluster.restart(0).unwrap();
            }
            Do::Network(fault) => {
                hit(&self.cluster, fault, Duration::from_millis(self.chance.random_range(300..1_500)));
            }
            Do::StallForLong => self.stall_for_long(),
        }
    }

    fn worker(&mut self) -> &mut Worker {
        self.worker.as_mut().unwrap()
    }

    fn until_all_judges(&self) {
        let worker = self.worker.as_ref().unwrap();
        until("both hosts judge", || worker.slices().len() == SLICES / 2 && worker.lacks().is_none());
        until_it_judges(self.served.as_ref().unwrap());
    }

    fn kill_host(&mut self) {
        let others = self.worker().slices();
        self.served.take().unwrap().kill();
        let own = (0..SLICES as u32).filter(|slice| !others.contains(slice)).collect();
        self.lost.push(self.left_open(&own));
        self.worker().until_it_has(SLICES);
        self.served = Some(Served::start(self.serving));
        self.worker().until_it_has(SLICES / 2);
        self.moves += 2;
    }

    fn end_worker(&mut self, kills: bool) {
        let worker = self.worker.take().unwrap();
        if kills {
            let own = worker.slices();
            worker.kill();
            self.lost.push(self.left_open(&own));
        } else {
            worker.terminate_amid_faults();
        }
        self.worker = Some(Worker::start(self.working, self.runs));
        self.worker().until_it_has(SLICES / 2);
        self.runs += 1;
        self.moves += 1;
    }

    /// Stalls while transactions are open, until the broker has aborted one. The group waits for its members for less long.
    fn stall_for_long(&mut self) {
        let (before, mut tries) = (expelled(&self.cluster), 1);
        while !stall_until_it_aborts(&self.cluster) {
            assert!(tries < TRIES, "no stall meets an open transaction");
            self.until_all_judges();
            self.shop.send(&self.cluster);
            tries += 1;
        }
        assert!(expelled(&self.cluster) > before, "the group gives up of whom nothing is heard");
    }

    /// How many transactions of a host that is dead now are open, by the slices that it had.
    fn left_open(&self, slices: &BTreeSet<u32>) -> usize {
        let names = |slice| ["unkeyed", "keyed"].map(|part| format!("tamis.{part}-{slice}"));
        let own: BTreeSet<_> = slices.iter().flat_map(names).collect();
        open_transactions(&self.cluster).intersection(&own).count()
    }
}

/// How many members the group has given up since the broker was started last.
fn expelled(cluster: &Cluster) -> usize {
    logged(cluster, "has failed, removing it from the group")
}

async fn survives(delivery: &str, seed: u64) {
    let mut chance = ChaCha8Rng::seed_from_u64(seed);
    let doings = doings(&mut chance, delivery);
    let options = Options { proxied: true, ..Options::default() };
    let cluster = Cluster::start(&Kafka::install().unwrap(), 1, options).unwrap();
    let member = |plugins| slowed(member(&cluster, delivery, plugins));
    let (serving, working) = (member(&shop::PLUGINS), member(&[]));
    serving.run(&["topics", "create"]);
    let (served, worker) = (Served::start(&serving), Worker::start(&working, 0));
    worker.until_it_has(SLICES / 2);
    let token = served.token.clone().unwrap();
    let mut chaos = Chaos {
        chance,
        cluster,
        shop: Shop::default(),
        serving: &serving,
        working: &working,
        served: Some(served),
        worker: Some(worker),
        runs: 1,
        moves: 0,
        lost: Vec::new(),
    };
    doings.into_iter().for_each(|doing| chaos.fail(doing));
    assert_eq!((chaos.moves, chaos.lost.len()), (7, 3), "every fault has hit something, seed {seed}");
    while chaos.lost.iter().all(|lost| *lost == 0) {
        // On a machine that does much else they come before the work, or behind it.
        assert!(chaos.lost.len() < KILLS_MAX, "no kill meets work that is not committed, seed {seed}");
        chaos.fail(Do::KillWorker);
    }
    let Chaos { cluster, mut shop, served, worker, .. } = chaos;
    let (served, worker) = (served.unwrap(), worker.unwrap());
    shop.send(&cluster);
    shop.close(&cluster, SLICES as u32);
    let says = || format!("seed {seed}\n{}\n{}", shows(&served, &token), worker.says());
    let expected = shop.until_all_is_there(&serving, says).await;
    worker.terminate();
    let (status, _) = served.terminate();
    assert!(status.success());
    let found = found(&serving, &cluster, &expected, delivery).await;
    assert_nothing_amiss(&found, &expected, seed);
}

#[tokio::test]
async fn a_group_loses_and_doubles_nothing_at_least_once() {
    survives("at_least_once", 3).await;
}

#[tokio::test]
async fn a_group_loses_and_doubles_nothing_exactly_once() {
    survives("exactly_once", 5).await;
}

/// How many sessions 600 payments have, none of which is over.
const SESSIONS: f64 = 75.0;

/// A worker shows its share, and is ready when it has taken back what was given to it.
#[test]
fn a_worker_can_be_watched() {
    let cluster = Cluster::start(&Kafka::install().unwrap(), 1, Options::default()).unwrap();
    let (serving, working) = (member(&cluster, "at_least_once", &PLUGINS), member(&cluster, "at_least_once", &[]));
    serving.configure("[metrics]\nlisten = '127.0.0.1:0'\n");
    let embedded = Home::with(&PLUGINS);
    feed::append(embedded.path(), 0..600);
    serving.run(&["topics", "create"]);
    let worker = Worker::start(&working, 0);
    assert_eq!(page(&format!("http://{}/healthz", worker.address)), r#"{"alive":true}"#);
    assert_eq!(worker.lacks().as_deref(), Some("it is starting"), "nobody has told it any rules");
    let served = Served::start(&serving);
    served.until_ready();
    worker.until_it_has(SLICES / 2);
    until("the worker is ready", || worker.lacks().is_none());
    send(&embedded, &cluster, 0..600);
    let metrics = format!("http://{}/metrics", served.metrics.as_deref().unwrap());
    let events = r#"tamis_events_total{topic="payments"}"#;
    until("both have read all", || worker.sum(events) + sum(&metrics, events) == 600.0);
    assert!(worker.sum(events) > 0.0 && worker.sum(events) < 600.0, "each has its share");
    for (topic, partitions) in [("payments", SLICES), ("tamis.exchange", SLICES)] {
        let lag = |page: String| {
            let begins = format!(r#"tamis_consumer_lag_records{{topic="{topic}","#);
            samples(&page).into_keys().filter(|name| name.starts_with(&begins)).collect::<BTreeSet<_>>()
        };
        let lags = || (lag(page(&format!("http://{}/metrics", worker.address))), lag(page(&metrics)));
        // A partition without records has no lag before the broker has answered for it once.
        until("the lag of every partition is told", || {
            let (own, others) = lags();
            (own.len(), others.len()) == (partitions / 2, partitions / 2)
        });
        let (own, others) = lags();
        assert!(own.is_disjoint(&others), "{own:?} and {others:?}");
    }
    let keys = |sum: &dyn Fn(&str) -> f64| sum(r#"tamis_state_keys{rule="card-testing""#);
    // What the hosts tell of themselves is some time old.
    until("every session has its key", || {
        keys(&|begins| worker.sum(begins)) + keys(&|begins| sum(&metrics, begins)) == SESSIONS
    });
    assert_eq!(worker.sum("tamis_restored_entries"), 0.0, "there was nothing yet");
    assert!(served.terminate().0.success());
    worker.until_it_has(SLICES);
    until("it has taken over the rest", || worker.lacks().is_none() && worker.sum("tamis_restored_entries") > 0.0);
    assert_eq!(worker.sum("tamis_restored_entries"), worker.sum("tamis_restorable_entries"));
    until("all keys are here", || keys(&|begins| worker.sum(begins)) == SESSIONS);
    worker.terminate();
}

/// What is switched at the host that serves is so at the others.
#[tokio::test]
async fn a_change_of_the_rules_reaches_every_host() {
    let cluster = Cluster::start(&Kafka::install().unwrap(), 1, Options::default()).unwrap();
    let (serving, working) = (member(&cluster, "at_least_once", &PLUGINS), member(&cluster, "at_least_once", &[]));
    let embedded = Home::with(&PLUGINS);
    feed::append(embedded.path(), 0..600);
    let refused = working.command(&["run", "streams"]).output().unwrap();
    assert!(String::from_utf8_lossy(&refused.stderr).contains("the hosts of the group share them"));
    serving.run(&["topics", "create"]);
    let served = Served::start(&serving);
    let worker = Worker::start(&working, 0);
    worker.until_it_has(SLICES / 2);
    let token = served.token.clone().unwrap();
    let counted = |rule: &str| {
        let alerts = served.ask(&token, "GET", &format!("/api/v1/alerts?rule={rule}&limit=500"), None, None);
        alerts.body["items"].as_array().map_or(0, Vec::len)
    };
    // Every fiftieth payment is risky, and the first one cannot be decoded.
    let risky = 5;
    send(&embedded, &cluster, 0..300);
    served.until("the alerts of both hosts are here", |_| counted("payment-direct-fraud") == risky);
    let rule = served.ask(&token, "GET", "/api/v1/rules/payment-direct-fraud", None, None);
    let body = json!({"mode": "disabled", "why": "a test"});
    let path = "/api/v1/rules/payment-direct-fraud";
    let revision = || worker.sum("tamis_rule_set_revision");
    let revision_before = revision();
    served.ask(&token, "PATCH", path, Some(&body), rule.tag.as_deref()).expect(200);
    served.until_ready();
    until("the worker has it", || revision() > revision_before);
    let before = counted("card-testing");
    send(&embedded, &cluster, 300..600);
    served.until("the others go on", |_| counted("card-testing") > before);
    sleep(Duration::from_secs(3));
    assert_eq!(counted("payment-direct-fraud"), risky);
    // Nobody knows which host has a record of a dead letter: that is said, and is no attempt.
    served.until("each 97th payment is a dead letter", |served| {
        let letters = served.ask(&token, "GET", "/api/v1/dead-letters", None, None).expect(200);
        letters["items"].as_array().map_or(0, Vec::len) == 7
    });
    let redrive = json!({"filter": {"topic": "payments"}, "attempts_max": 1});
    for _ in 0..2 {
        let refused = served.ask(&token, "POST", "/api/v1/dead-letters/redrive", Some(&redrive), None).expect(409);
        assert!(refused["detail"].as_str().unwrap().contains("hosts of a group share the streams"), "{refused}");
    }
    worker.terminate();
    assert!(served.terminate().0.success());
}
