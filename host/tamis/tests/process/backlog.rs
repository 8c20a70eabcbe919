//! A host whose output is not taken stops reading: it holds a small part of what its topics have, and goes on where it stopped.
//! (In which order a client hands on what waited is seen in `host/connectors/tests/kafka/pressure.rs`.)

use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use sqlx::ConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use tamis_connectors::kafka::{KafkaConnection, KafkaSink};
use tamis_engine::Sink;
use tamis_engine::decode::json::RecordParts;
use tamis_model::record::Record;
use tamis_services::kafka::{Cluster, Kafka, Options};
use tokio::runtime::{Builder, Runtime};

use crate::feed::NOON;
use crate::kafka::{home, judged, topic};
use crate::process::{Home, PATIENCE, Served};

/// It raises an alert for each payment of ours.
const PLUGIN: &str = "payment-direct-fraud";
/// Where its alerts go.
const ALERTS: &str = "alerts_fraud_payments";
const PAYMENTS: u64 = 20_000;
/// What a payment has that nobody reads.
const BALLAST_BYTES: u64 = 8 << 10;
const TOPIC_BYTES: u64 = PAYMENTS * BALLAST_BYTES;
/// How much more than an idle one a host may hold while its output is not taken: of six partitions the queues and a fetch, the chunks that
/// are judged, and some megabytes of output five times.
const MORE_MAX: u64 = 100 << 20;
/// What a fetch brings of a partition.
const FETCH_BYTES: u64 = 1 << 20;
/// While nothing is taken, a host that goes on reading gets further than this.
const STANDS: Duration = Duration::from_secs(2);

/// Text that nothing makes shorter.
fn ballast(number: u64) -> String {
    let mut bytes = vec![0_u8; BALLAST_BYTES as usize];
    ChaCha8Rng::seed_from_u64(number).fill(&mut bytes[..]);
    bytes.into_iter().map(|byte| char::from(b'_' + (byte & 31))).collect()
}

fn payment(number: u64) -> Record {
    let ballast = ballast(number);
    let value = format!(
        r#"{{"payment_id":"p{number}","amount":10,"currency":"EUR","method":"card","status":"succeeded","risk_score":90,"ip_country":"FR","ballast":"{ballast}"}}"#
    );
    Record {
        topic: "payments".to_owned(),
        partition: None,
        timestamp: NOON + number.cast_signed(),
        key: Some(format!("s{}", number % 100).into_bytes()),
        value: Some(value.into_bytes()),
        value_is_json: true,
        headers: Vec::new(),
    }
}

fn fill(cluster: &Cluster) {
    let mut sink = KafkaSink::at_least_once(&KafkaConnection::plain(cluster.bootstrap())).unwrap();
    for first in (0..PAYMENTS).step_by(500) {
        sink.write(&(first..first + 500).map(payment).collect::<Vec<_>>()).unwrap();
    }
    sink.stage().unwrap();
}

/// The warehouse of a home, in which nobody else writes as long as this is there: so long output is not taken.
struct Held {
    runtime: Runtime,
    connection: SqliteConnection,
}

impl Held {
    fn take(home: &Home) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let options = SqliteConnectOptions::new().filename(home.path().join("warehouse.db")).busy_timeout(PATIENCE);
        let mut connection = runtime.block_on(options.connect()).unwrap();
        runtime.block_on(sqlx::query("BEGIN IMMEDIATE").execute(&mut connection)).unwrap();
        Self { runtime, connection }
    }

    fn give_back(mut self) {
        self.runtime.block_on(sqlx::query("ROLLBACK").execute(&mut self.connection)).unwrap();
    }
}

/// The most that a process has held so far.
fn resident_max(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

#[test]
fn a_host_whose_output_is_not_taken_stops_reading() {
    let options = Options { proxied: true, ..Options::default() };
    let cluster = Cluster::start(&Kafka::install().unwrap(), 1, options).unwrap();
    let clustered = home(&cluster, "exactly_once", &[PLUGIN]);
    // The archive waits for nobody.
    clustered.configure("[archive]\ntopics = []\n");
    clustered.run(&["topics", "create"]);
    let served = Served::start(&clustered);
    let token = served.token.clone().unwrap();
    served.until_ready();
    let idle = resident_max(served.process());
    let held = Held::take(&clustered);
    let before = cluster.proxy(0).counts().answers;
    let came = || cluster.proxy(0).counts().answers - before;
    fill(&cluster);
    served.until("it stops reading", |served| {
        let (was, had) = (judged(served, &token), came());
        std::thread::sleep(STANDS);
        was > 0 && judged(served, &token) == was && came() - had < FETCH_BYTES
    });
    let more = resident_max(served.process()) - idle;
    assert!(more < MORE_MAX, "it holds {more} bytes more");
    assert!(came() < TOPIC_BYTES / 2, "{} bytes came of {TOPIC_BYTES}", came());
    held.give_back();
    served.until("everything is judged", |served| judged(served, &token) == PAYMENTS);
    assert!(came() > TOPIC_BYTES, "it was sent all");
    assert!(served.terminate().0.success());
    assert_each_once(&cluster);
}

/// Each payment has its alert.
fn assert_each_once(cluster: &Cluster) {
    let number = |record: RecordParts| {
        let alert: Value = serde_json::from_slice(&record.value.unwrap()).unwrap();
        alert["payment_id"].as_str().unwrap()[1..].parse::<u64>().unwrap()
    };
    let mut numbers: Vec<_> = topic(cluster, ALERTS).into_iter().flatten().map(number).collect();
    numbers.sort_unstable();
    assert_eq!(numbers.len() as u64, PAYMENTS);
    assert!(numbers.into_iter().eq(0..PAYMENTS), "each payment once");
}
