//! Several hosts, one group: they raise what one host alone would, while slices move between them and everything else fails.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;
use tamis_services::kafka::{Cluster, Kafka, Options};
use tamis_services::proxy::Fault;

use crate::chaos::{assert_nothing_amiss, hit};
use crate::feed;
use crate::kafka::{expected, found, home, send};
use crate::observed::{page, samples};
use crate::process::{Home, Served, until};
use crate::results::{Results, results};
use crate::worker::{Worker, sum};

/// Rules whose alerts do not wait for windows: a host that goes on closes none of long ago. One has no key, one has another than the topic.
const PLUGINS: [&str; 2] = ["payment-direct-fraud", "card-testing"];
const PAYMENTS: u64 = 4_000;
/// Payments between two faults.
const STEP: u64 = 400;
pub const SLICES: usize = 4;
/// Whoever is silent for so long is given up.
pub const SESSION: Duration = Duration::from_secs(6);

/// A home of the group.
pub fn member(cluster: &Cluster, delivery: &str, plugins: &[&str]) -> Home {
    let home = home(cluster, delivery, plugins);
    let file = home.path().join("tamis.toml");
    let written = fs::read_to_string(&file).unwrap();
    fs::write(
        &file,
        format!("{written}shared = true\nsession_timeout_ms = {}\npartitions = {SLICES}\n", SESSION.as_millis()),
    )
    .unwrap();
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
}

/// Every kind of fault in some order.
fn doings(chance: &mut ChaCha8Rng) -> Vec<Do> {
    let network = [Fault::Cut, Fault::Stall, Fault::HoldAnswers].map(Do::Network);
    let worker = [Do::KillWorker, Do::KillWorker, Do::StopWorker, Do::StopWorker, Do::FreezeWorker];
    let hosts = worker.into_iter().chain([Do::KillHost, Do::KillBroker]);
    let mut all: Vec<Do> = hosts.chain(network).collect();
    (1..all.len()).rev().for_each(|last| all.swap(last, chance.random_range(0..=last)));
    all
}

fn rows(results: &Results, place: &str) -> usize {
    results.get(place).map_or(0, Vec::len)
}

async fn survives(delivery: &str, seed: u64) {
    let mut chance = ChaCha8Rng::seed_from_u64(seed);
    let options = Options { proxied: true, ..Options::default() };
    let mut cluster = Cluster::start(&Kafka::install().unwrap(), 1, options).unwrap();
    let embedded = Home::with(&PLUGINS);
    let (serving, working) = (member(&cluster, delivery, &PLUGINS), member(&cluster, delivery, &[]));
    feed::append(embedded.path(), 0..PAYMENTS);
    serving.run(&["topics", "create"]);
    let (mut served, mut worker, mut runs) = (Served::start(&serving), Worker::start(&working, 0), 1);
    worker.until_it_has(SLICES / 2);
    let token = served.token.clone().unwrap();
    let (mut sent, mut moves) = (0, 0);
    for doing in doings(&mut chance) {
        send(&embedded, &cluster, sent..sent + STEP);
        sent += STEP;
        // At some moment on the way of these payments.
        std::thread::sleep(Duration::from_millis(chance.random_range(0..600)));
        match doing {
            Do::KillHost => {
                served.kill();
                worker.until_it_has(SLICES);
                served = Served::start(&serving);
                worker.until_it_has(SLICES / 2);
                moves += 2;
            }
            Do::KillWorker | Do::StopWorker => {
                if matches!(doing, Do::KillWorker) {
                    worker.kill()
                } else {
                    worker.terminate_amid_faults()
                };
                worker = Worker::start(&working, runs);
                runs += 1;
                worker.until_it_has(SLICES / 2);
                moves += 1;
            }
            Do::FreezeWorker => {
                worker.sleep_for_too_long();
                worker.until_it_has(SLICES / 2);
                moves += 2;
            }
            Do::KillBroker => {
                cluster.kill(0).unwrap();
                cluster.restart(0).unwrap();
            }
            Do::Network(fault) => hit(&cluster, fault, Duration::from_millis(chance.random_range(300..1_500))),
        }
    }
    send(&embedded, &cluster, sent..PAYMENTS);
    embedded.run(&["run", "streams", "--until-end"]);
    let expected = expected(&embedded).await;
    let topics = || expected.keys().filter_map(|place| place.strip_prefix("topic ")).map(str::to_owned);
    assert!(topics().count() > 2 && moves == 8, "{:?}", expected.keys());
    let deadline = std::time::Instant::now() + Duration::from_secs(120);
    loop {
        let found = results(serving.path(), &["payments"]).await;
        let all = expected.keys().filter(|place| !place.starts_with("topic "));
        let lacking: Vec<_> = all.filter(|place| rows(&found, place) < rows(&expected, place)).collect();
        if lacking.is_empty() {
            break;
        }
        if std::time::Instant::now() > deadline {
            let serves = served.ask(&token, "GET", "/metrics", None, None).body;
            panic!("{lacking:?} come, seed {seed}\n{}\n{}", serves.as_str().unwrap_or_default(), worker.says());
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    worker.terminate();
    let (status, _) = served.terminate();
    assert!(status.success());
    let mut found = found(&serving, &cluster, topics()).await;
    if delivery == "at_least_once" {
        found.iter_mut().filter(|(place, _)| place.starts_with("topic ")).for_each(|(_, rows)| rows.dedup());
    }
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
    let more = "[metrics]\nlisten = '127.0.0.1:0'\n";
    let config = serving.path().join("tamis.toml");
    fs::write(&config, fs::read_to_string(&config).unwrap() + more).unwrap();
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
    std::thread::sleep(Duration::from_secs(3));
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
