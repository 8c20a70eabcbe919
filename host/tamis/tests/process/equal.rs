//! One feed comes to the same alerts, aggregates and dead letters on a broker, however it is read: over 1 and 6 partitions, in batches of 1
//! and of 4096 rows, in 1 and 2 shards, by 1 and 2 hosts, at least once and exactly once, and when all hosts are killed midway.
//!
//! The feed is made of stretches of the company's day in which something happens, by all standard rules and aggregates. It comes out of order
//! and with records that are broken, but none is late in any partition: lateness is per partition. What it comes to is said by a run over
//! the topics of a home, and each way is compared to that.

mod reference;

use std::collections::HashMap;
use std::time::{Duration, Instant};
use std::{fs, io};

use serde_json::Value;
use tamis_connectors::kafka::{KafkaConnection, KafkaSink, KafkaTopics, TopicSettings};
use tamis_engine::Sink;
use tamis_services::kafka::{Cluster, Kafka, Options};

use self::reference::{Reference, told, told_at_home};
use crate::day::{PARTS, TOPICS, closing, plugins};
use crate::kafka::{lacking, topic};
use crate::process::{Home, Served, until};
use crate::results::{Results, assert_same, results};
use crate::shared::is_delivered;
use crate::worker::{Worker, sum};

/// How a feed is read.
#[derive(Clone, Copy, Debug)]
struct Way {
    partitions: u32,
    rows_max: u32,
    /// Of each host. In a group it has so many slices instead, each of which is judged in one piece, whatever `[streams]` says of shards.
    shards: usize,
    hosts: usize,
    delivery: &'static str,
    /// Whether all hosts are killed midway and started again.
    killed: bool,
}

impl Way {
    /// What tells it from the other ways over the same topics.
    fn group(self) -> String {
        let Self { rows_max, shards, hosts, delivery, killed, .. } = self;
        format!("rows-{rows_max}.shards-{shards}.hosts-{hosts}.{delivery}.killed-{killed}")
    }
}

const PLAIN: Way = Way { partitions: 1, rows_max: 4096, shards: 1, hosts: 1, delivery: "exactly_once", killed: false };

#[tokio::test]
async fn one_host_over_one_partition() {
    let one_by_one = Way { rows_max: 1, ..PLAIN };
    check(&[Way { killed: true, ..PLAIN }, PLAIN, one_by_one, Way { shards: 2, ..PLAIN }]).await;
}

#[tokio::test]
async fn one_host_over_six_partitions() {
    let six = Way { partitions: 6, ..PLAIN };
    check(&[Way { rows_max: 1, shards: 2, delivery: "at_least_once", killed: true, ..six }, six]).await;
}

#[tokio::test]
async fn two_hosts_over_one_partition() {
    check(&[Way { hosts: 2, ..PLAIN }]).await;
}

#[tokio::test]
async fn two_hosts_over_six_partitions() {
    check(&[Way { partitions: 6, rows_max: 1, shards: 2, hosts: 2, killed: true, ..PLAIN }]).await;
}

/// Of a host that was killed a group hears nothing for so long until it gives its slices to others.
const SESSION: Duration = Duration::from_secs(3);
/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(240);

/// Reads the feed in these ways one after the other, each as a group of its own, over the same topics of a cluster. The first one is at work
/// when the feed comes, the others find it there.
async fn check(ways: &[Way]) {
    let cluster = Cluster::start(&Kafka::install().unwrap(), 1, Options::default()).unwrap();
    let mut ground = Ground { cluster, partitions: ways[0].partitions, reference: Reference::get().await, sent: 0 };
    for way in ways {
        let found = ground.judge(*way).await;
        assert_same(&found, &ground.reference.results, &format!("{way:?}"));
    }
}

/// A cluster, and how much of the feed is there.
struct Ground {
    cluster: Cluster,
    partitions: u32,
    reference: &'static Reference,
    sent: usize,
}

impl Ground {
    /// What a way comes to.
    async fn judge(&mut self, way: Way) -> Results {
        // Where the feed is there already, one of two hosts might judge it all, or any host before it is killed.
        let can_judge_what_is_there = way.hosts == 1 && !way.killed;
        assert!(way.partitions == self.partitions && (self.sent == 0 || can_judge_what_is_there), "{way:?}");
        let names = plugins();
        let serving = self.home(way, &names.iter().map(String::as_str).collect::<Vec<_>>());
        let working = (way.hosts == 2).then(|| self.home(way, &[]));
        let topics = self.create_topics(way, &serving);
        let before: HashMap<_, _> = topics.iter().map(|name| (name, self.lengths(name))).collect();
        let mut hosts = Hosts::start(way, &serving, working.as_ref(), 0);
        if way.killed {
            self.kill_midway(way, hosts, &serving).await;
            hosts = Hosts::start(way, &serving, working.as_ref(), 1);
            until("state is taken back", || hosts.sum("tamis_restored_entries") > 0.0);
        }
        self.send(PARTS);
        self.until_all_is_judged(way, &hosts, &serving).await;
        if !way.killed {
            hosts.assert_are(way, &serving);
        }
        hosts.terminate();
        let mut found = told_at_home(serving.path()).await;
        let (raises_again, mut twice) = (way.killed && way.delivery == "at_least_once", 0);
        for name in &topics {
            let records = topic(&self.cluster, name).into_iter().zip(&before[name]);
            let mut rows = told(name, records.flat_map(|(records, of_others)| records.into_iter().skip(*of_others)));
            if raises_again {
                let all = rows.len();
                rows.dedup();
                twice += all - rows.len();
            }
            found.extend((!rows.is_empty()).then(|| (format!("topic {name}"), rows)));
        }
        assert_eq!(twice > 0, raises_again, "what was in no checkpoint is raised again: {twice} records, {way:?}");
        found
    }

    /// Kills the hosts when they have judged some of the feed, amid more of it.
    async fn kill_midway(&mut self, way: Way, hosts: Hosts, serving: &Home) {
        self.send(1);
        self.until_some_is_judged(&hosts, serving).await;
        hosts.assert_are(way, serving);
        let raised = |ground: &Self| ground.lengths(RAISED_INTO).iter().sum::<usize>();
        let before = raised(self);
        self.send(2);
        match way.delivery {
            "at_least_once" => until("more is raised", || raised(self) > before),
            // Nobody sees what is in a transaction.
            _ => std::thread::sleep(Duration::from_millis(200)),
        }
        hosts.kill();
        let (some, all) = (alerts(serving).await, self.reference.results[ALERTS].len());
        assert!(some > 0 && some < all, "{some} of {all} alerts are raised, {way:?}");
    }

    /// A home for a host of this way, which need not compile anything.
    fn home(&self, way: Way, plugins: &[&str]) -> Home {
        let home = Home::with(plugins);
        let Way { rows_max, shards, hosts, delivery, .. } = way;
        let text = format!(
            "[streams]\nrows_max = {rows_max}\nshards = {shards}\ncheckpoint_interval_ms = {}\nlake_interval_ms = 1000\n\
             [archive]\ntopics = []\n[metrics]\nlisten = '127.0.0.1:0'\n\
             [kafka]\nbootstrap_servers = '{}'\nretention_hours = 900000\ndelivery = '{delivery}'\ngroup = '{}'\n\
             shared = {}\npartitions = {}\nsession_timeout_ms = {}\n",
            // So long that a host that is killed has done what is in no checkpoint.
            if way.killed { 2_000 } else { 100 },
            self.cluster.bootstrap(),
            way.group(),
            hosts > 1,
            hosts * shards,
            SESSION.as_millis(),
        );
        fs::write(home.path().join("tamis.toml"), text).unwrap();
        home
    }

    /// Makes what is not there. The topics that a host of this way writes alerts and dead letters to.
    fn create_topics(&self, way: Way, home: &Home) -> Vec<String> {
        let settings = TopicSettings { partitions: way.partitions, replication: 1, retention: Duration::MAX };
        KafkaTopics::new(self.connection()).create(&TOPICS.map(str::to_owned), settings).unwrap();
        let rows = home.run(&["topics", "create"]);
        let is_read = |row: &&Value| TOPICS.iter().any(|topic| row["topic"] == *topic);
        let read: Vec<_> = rows.iter().filter(is_read).map(|row| row["partitions"].as_u64().unwrap()).collect();
        assert_eq!(read, [u64::from(way.partitions); TOPICS.len()], "{way:?}");
        let written = rows.iter().filter(|row| !is_read(row)).map(|row| row["topic"].as_str().unwrap().to_owned());
        written.filter(|name| !name.starts_with(&way.group())).collect()
    }

    /// How many records each partition of a topic has.
    fn lengths(&self, name: &str) -> Vec<usize> {
        topic(&self.cluster, name).iter().map(Vec::len).collect()
    }

    /// Sends the feed until so many parts of it are there.
    fn send(&mut self, parts: usize) {
        let mut sink = KafkaSink::at_least_once(&self.connection()).unwrap();
        for part in self.sent..parts {
            sink.write(&self.reference.parts[part]).unwrap();
        }
        if self.sent < PARTS && parts == PARTS {
            sink.write(&closing(&self.reference.parts.concat(), self.partitions)).unwrap();
        }
        sink.stage().unwrap();
        self.sent = self.sent.max(parts);
    }

    /// How many records the whole feed has.
    fn records(&self) -> usize {
        self.reference.parts.iter().map(Vec::len).sum::<usize>() + TOPICS.len() * self.partitions as usize
    }

    async fn until_some_is_judged(&self, hosts: &Hosts, serving: &Home) {
        let began = Instant::now();
        // What they say of themselves is up to a second old.
        while hosts.each(CALLS).contains(&0.0) || alerts(serving).await == 0 {
            assert!(began.elapsed() < PATIENCE, "nothing is judged");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    async fn until_all_is_judged(&self, way: Way, hosts: &Hosts, serving: &Home) {
        let began = Instant::now();
        loop {
            let found = told_at_home(serving.path()).await;
            let lacking = lacking(&found, &self.reference.results);
            let judged = hosts.sum(EVENTS);
            if lacking.is_empty() && judged >= self.records() as f64 {
                break assert_eq!(judged, self.records() as f64, "each record is counted once, {way:?}");
            }
            assert!(began.elapsed() < PATIENCE, "{judged} records are judged, and of places there are {lacking:?}");
            std::thread::sleep(Duration::from_millis(200));
        }
        assert_eq!(hosts.sum("tamis_late_events_total"), 0.0, "{way:?}");
        if way.hosts > 1 {
            until("all is delivered", || is_delivered(&self.cluster, serving, &way.group()));
        }
    }

    fn connection(&self) -> KafkaConnection {
        KafkaConnection::plain(self.cluster.bootstrap())
    }
}

/// The topic of a rule that has much to say.
const RAISED_INTO: &str = "alerts_fraud_payments";
const EVENTS: &str = "tamis_events_total";
const CALLS: &str = "tamis_rule_call_seconds_count";
const ALERTS: &str = "live alerts in the warehouse";

/// How many alerts of a home are in a checkpoint.
async fn alerts(home: &Home) -> usize {
    results(home.path(), &[]).await.get(ALERTS).map_or(0, Vec::len)
}

/// The hosts of a way, at work.
struct Hosts {
    served: Served,
    worker: Option<Worker>,
}

impl Hosts {
    /// Starts them and waits until each has its share.
    fn start(way: Way, serving: &Home, working: Option<&Home>, run: u32) -> Self {
        // It waits for somebody who says which rules there are.
        let worker = working.map(|home| Worker::start(home, run));
        let served = Served::start(serving);
        worker.iter().for_each(|worker| worker.until_it_has(way.shards));
        Self { served, worker }
    }

    /// What the metrics of each come to whose names begin so.
    fn each(&self, begins: &str) -> Vec<f64> {
        let served = sum(&format!("http://{}/metrics", self.served.metrics.as_deref().unwrap()), begins);
        [served].into_iter().chain(self.worker.iter().map(|worker| worker.sum(begins))).collect()
    }

    fn sum(&self, begins: &str) -> f64 {
        self.each(begins).into_iter().sum()
    }

    /// Fails when they are not what they are said to be.
    fn assert_are(&self, way: Way, serving: &Home) {
        let judged = self.sum(EVENTS) - self.sum("tamis_refused_events_total");
        let batches = self.sum("tamis_batches_total");
        let is_right = if way.rows_max == 1 { batches >= judged } else { batches * 4.0 < judged };
        assert!(is_right, "{way:?}: {judged} events in {batches} batches");
        let calls = self.each(CALLS);
        assert!(calls.len() == way.hosts && calls.iter().all(|calls| *calls > 0.0), "each host judges: {calls:?}");
        match &self.worker {
            Some(worker) => assert_eq!(worker.slices().len(), way.shards, "{way:?}"),
            None => assert_eq!(shard_threads(serving), if way.shards == 1 { 0 } else { way.shards }, "{way:?}"),
        }
    }

    fn kill(self) {
        self.served.kill();
        self.worker.into_iter().for_each(Worker::kill);
    }

    fn terminate(self) {
        self.worker.into_iter().for_each(Worker::terminate);
        assert!(self.served.terminate().0.success());
    }
}

/// How many threads the host of a home has for its shards.
fn shard_threads(home: &Home) -> usize {
    let process = fs::read_to_string(home.path().join("streams.lock")).unwrap();
    let threads = fs::read_dir(format!("/proc/{}/task", process.trim())).unwrap();
    // One that has just ended has no name.
    let name = |thread: io::Result<fs::DirEntry>| fs::read_to_string(thread.unwrap().path().join("comm")).ok();
    threads.filter_map(name).filter(|name| name.starts_with("shard-")).count()
}
