//! The broker, topics in it, and what can be read of them.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use tamis_connectors::kafka::{
    KafkaConnection, KafkaSource, KafkaSourceSettings, KafkaTopics, KafkaTransactions, TopicSettings,
};
use tamis_engine::decode::json::RecordParts;
use tamis_engine::{Chunk, Read, Source};
use tamis_model::position::{Partition, Positions};
use tamis_model::record::Record;
use tamis_services::kafka::{Cluster, Kafka, Options};

/// How long anything may take.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The broker that all tests share.
pub fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| start(1, Options::default()))
}

pub fn start(brokers: usize, options: Options) -> Cluster {
    Cluster::start(&Kafka::install().unwrap(), brokers, options).unwrap()
}

pub fn connection() -> KafkaConnection {
    KafkaConnection::plain(cluster().bootstrap())
}

/// How long a test's transaction may be open.
pub const OPEN_MAX: Duration = Duration::from_secs(60);

/// The transactions of this name, taken over from whoever had them.
pub fn transactions(id: &str) -> KafkaTransactions {
    KafkaTransactions::open(&connection(), id, OPEN_MAX).unwrap()
}

/// Retention counts from the times of the records, and those of tests lie long ago.
pub const SETTINGS: TopicSettings =
    TopicSettings { partitions: 1, replication: 1, retention: Duration::from_secs(100 * 365 * 24 * 3600) };

/// Makes a topic of this name.
pub fn topic(name: &str, partitions: u32) -> String {
    let topics = KafkaTopics::new(connection());
    let made = topics.create(&[name.to_owned()], TopicSettings { partitions, ..SETTINGS }).unwrap();
    assert!(made[0].created, "each test has its own topics");
    eventually("the topic is known", || topics.require(&[name.to_owned()]).is_ok());
    name.to_owned()
}

/// Waits until something holds.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub fn partition(topic: &str, number: u32) -> Partition {
    Partition { topic: topic.to_owned(), number }
}

pub fn positions(pairs: &[(&Partition, i64)]) -> Positions {
    let mut positions = Positions::default();
    pairs.iter().for_each(|(partition, next)| positions.set(partition, *next));
    positions
}

pub fn record(topic: &str, value: &str) -> Record {
    Record {
        topic: topic.to_owned(),
        partition: None,
        timestamp: 1_773_842_400_000,
        key: Some(b"k".to_vec()),
        value: Some(value.as_bytes().to_vec()),
        value_is_json: true,
        headers: Vec::new(),
    }
}

/// A source that ends where the topic ends.
pub fn bounded(connection: &KafkaConnection, topic: &str) -> KafkaSource {
    let settings = KafkaSourceSettings::new([topic.to_owned()], format!("readers-of-{topic}")).until_end();
    KafkaSource::new(connection.clone(), settings)
}

/// A source that goes on.
pub fn tailing(topic: &str, group: &str) -> KafkaSource {
    KafkaSource::new(connection(), KafkaSourceSettings::new([topic.to_owned()], group))
}

/// The records of a chunk.
pub fn records(chunk: &Chunk) -> Vec<RecordParts> {
    chunk.origins().map(|origin| chunk.record(origin)).collect()
}

/// Reads a partition until it has nothing more.
pub fn read(source: &mut KafkaSource, partition: &Partition) -> (Vec<RecordParts>, Read) {
    let (mut chunk, mut read) = (Chunk::default(), Vec::new());
    let deadline = Instant::now() + PATIENCE;
    loop {
        match source.read(partition, &mut chunk).unwrap() {
            Read::Records => read.extend(records(&chunk)),
            Read::Waiting => std::thread::sleep(Duration::from_millis(2)),
            over => return (read, over),
        }
        assert!(Instant::now() < deadline, "{partition} comes to its end");
    }
}

/// The values that a reader of committed records sees in partition 0.
pub fn committed(connection: &KafkaConnection, topic: &str) -> Vec<String> {
    let mut source = bounded(connection, topic);
    source.open(&Positions::default()).unwrap();
    let (records, over) = read(&mut source, &partition(topic, 0));
    assert_eq!(over, Read::Ended);
    records.into_iter().map(|record| String::from_utf8(record.value.unwrap()).unwrap()).collect()
}

/// Waits until a topic has these records. A broker answers that a transaction is committed before its mark is in every partition.
pub fn until_committed(connection: &KafkaConnection, topic: &str, expected: &[&str]) {
    eventually(&format!("{topic} has {expected:?}"), || committed(connection, topic) == expected);
}

pub fn admin() -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", cluster().bootstrap()).create().unwrap()
}

pub fn add_partitions(topic: &str, partitions: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let grown =
        runtime.block_on(admin().create_partitions(&[NewPartitions::new(topic, partitions)], &AdminOptions::new()));
    grown.unwrap().into_iter().for_each(|topic| drop(topic.unwrap()));
}

/// Writes values to a partition.
pub fn send(partition: &Partition, timestamp: i64, values: &[String]) {
    let producer: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", cluster().bootstrap()).set("linger.ms", "0").create().unwrap();
    for value in values {
        let record = BaseRecord::<(), _>::to(&partition.topic).partition(partition.number.cast_signed());
        producer.send(record.timestamp(timestamp).payload(value)).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
}
