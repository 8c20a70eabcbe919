//! Brokers that would make every topic that somebody asks for: none of ours is made by accident.

use std::collections::BTreeSet;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use tamis_connectors::kafka::{
    KafkaConnection, KafkaSink, KafkaSource, KafkaSourceSettings, KafkaTopics, KafkaTransactions,
};
use tamis_engine::{Sink, Source};
use tamis_model::position::Positions;
use tamis_model::{Error, Kind};
use tamis_services::kafka::{Cluster, Options};

use crate::fixture::{PATIENCE, SETTINGS, eventually, partition, positions, read, record, start};

/// Nobody has made it.
const MISSING: &str = "never-made";
/// Whoever is not careful has.
const ACCIDENT: &str = "made-by-accident";

struct Careless {
    /// It goes with it.
    _cluster: Cluster,
    connection: KafkaConnection,
    admin: AdminClient<DefaultClientContext>,
    /// Whoever writes as a client does that is told nothing else.
    careless: BaseProducer,
}

impl Careless {
    /// Starts it, and sees it make a topic.
    fn start() -> Self {
        let settings = vec![("auto.create.topics.enable".to_owned(), "true".to_owned())];
        let cluster = start(1, Options { settings, ..Options::default() });
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", cluster.bootstrap());
        let connection = KafkaConnection::plain(cluster.bootstrap());
        let (admin, careless) = (config.create().unwrap(), config.create().unwrap());
        let careless = Self { _cluster: cluster, connection, admin, careless };
        careless.write_carelessly();
        careless.careless.flush(PATIENCE).unwrap();
        assert_eq!(careless.topics(), [ACCIDENT.to_owned()].into(), "the broker makes what is asked for");
        careless
    }

    /// The topics that there are, but Kafka's own.
    fn topics(&self) -> BTreeSet<String> {
        let metadata = self.admin.inner().fetch_metadata(None, PATIENCE).unwrap();
        let names = metadata.topics().iter().map(|topic| topic.name().to_owned());
        names.filter(|name| !name.starts_with("__")).collect()
    }

    fn delete(&self, topics: &[&str]) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let deleted = runtime.block_on(self.admin.delete_topics(topics, &AdminOptions::new())).unwrap();
        deleted.into_iter().for_each(|topic| drop(topic.unwrap()));
        eventually("they are gone", || self.topics().is_empty());
    }

    fn write_carelessly(&self) {
        self.careless.send(BaseRecord::<(), _>::to(ACCIDENT).payload("1")).map_err(|(error, _)| error).unwrap();
    }

    fn source(&self, topic: &str) -> KafkaSource {
        let settings = KafkaSourceSettings::new([topic.to_owned()], "careless");
        KafkaSource::new(self.connection.clone(), KafkaSourceSettings { metadata_every: Duration::ZERO, ..settings })
    }

    fn sink(&self) -> KafkaSink {
        KafkaSink::at_least_once(&self.connection).unwrap()
    }

    /// They wait for a broker that takes their records for a short time.
    fn transactions(&self) -> KafkaTransactions {
        KafkaTransactions::open(&self.connection, "careless", Duration::from_secs(5)).unwrap()
    }
}

#[track_caller]
fn assert_missing(error: &Error, topic: &str) {
    assert_eq!(error.kind(), Kind::Missing, "{}", error.chain());
    assert!(error.chain().contains(topic), "{}", error.chain());
}

#[test]
fn a_topic_that_was_never_made_is_an_error_that_names_it() {
    let careless = Careless::start();
    let (zero, records) = (partition(MISSING, 0), [record(MISSING, "1")]);
    let mut bounded = KafkaSource::new(
        careless.connection.clone(),
        KafkaSourceSettings::new([MISSING.to_owned()], "careless").until_end(),
    );
    for error in [
        careless.source(MISSING).open(&Positions::default()).unwrap_err(),
        careless.source(MISSING).open(&positions(&[(&zero, 7)])).unwrap_err(),
        bounded.open(&Positions::default()).unwrap_err(),
        careless.sink().write(&records).unwrap_err(),
        careless.transactions().write(&records).unwrap_err(),
        KafkaTopics::new(careless.connection.clone()).require(&[MISSING.to_owned()]).unwrap_err(),
    ] {
        assert_missing(&error, MISSING);
        assert!(error.chain().contains("`tamis topics create` makes it"), "{}", error.chain());
    }
    assert_eq!(careless.topics(), [ACCIDENT.to_owned()].into());
}

/// Who has a topic at work asks for it by name again and again.
#[test]
fn a_topic_that_is_deleted_does_not_come_back() {
    let careless = Careless::start();
    let topic = "deleted";
    KafkaTopics::new(careless.connection.clone()).create(&[topic.to_owned()], SETTINGS).unwrap();
    let (mut source, mut sink, transactions) = (careless.source(topic), careless.sink(), careless.transactions());
    source.open(&Positions::default()).unwrap();
    sink.write(&[record(topic, "1")]).unwrap();
    sink.stage().unwrap();
    transactions.write(&[record(topic, "2")]).unwrap();
    transactions.commit().unwrap();
    let (zero, mut count) = (partition(topic, 0), 0);
    eventually("both records are there", || {
        count += read(&mut source, &zero).0.len();
        count == 2
    });
    careless.delete(&[topic, ACCIDENT]);
    // They know it, and do not ask whether it is still there.
    sink.write(&[record(topic, "3")]).unwrap();
    transactions.write(&[record(topic, "4")]).unwrap();
    careless.write_carelessly();
    assert!(transactions.commit().is_err(), "nobody takes it");
    eventually("whoever is careless has his topic again", || careless.topics().contains(ACCIDENT));
    let mut error = None;
    eventually("the source misses it", || {
        error = source.partitions().err();
        error.is_some()
    });
    assert_missing(&error.unwrap(), topic);
    // What fails is opened again.
    assert_missing(&careless.sink().write(&[record(topic, "3")]).unwrap_err(), topic);
    assert_missing(&careless.transactions().write(&[record(topic, "4")]).unwrap_err(), topic);
    assert_eq!(careless.topics(), [ACCIDENT.to_owned()].into());
}
