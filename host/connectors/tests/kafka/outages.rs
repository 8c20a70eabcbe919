//! Brokers that die.

use std::time::{Duration, Instant};

use tamis_connectors::kafka::{
    KafkaConnection, KafkaSink, KafkaSource, KafkaSourceSettings, KafkaTopics, KafkaTransactions, TopicSettings,
};
use tamis_engine::{Chunk, Read, Sink, Source};
use tamis_model::position::Positions;
use tamis_services::kafka::{Options, Tool};
use tamis_services::proxy::Fault;

use crate::fixture::{
    OPEN_MAX, PATIENCE, SETTINGS, bounded, eventually, partition, read, record, start, until_committed,
};

/// The only broker is killed: reading and writing are outages, which heal without anybody's doing.
#[test]
fn a_killed_broker_is_an_outage_that_heals() {
    let mut cluster = start(1, Options::default());
    let connection = KafkaConnection::plain(cluster.bootstrap());
    let topic = "healed".to_owned();
    KafkaTopics::new(connection.clone()).create(std::slice::from_ref(&topic), SETTINGS).unwrap();
    let mut sink = KafkaSink::at_least_once(&connection).unwrap();
    sink.write(&[record(&topic, "1")]).unwrap();
    sink.stage().unwrap();
    let settings = KafkaSourceSettings::new([topic.clone()], "healed");
    let mut source = KafkaSource::new(connection.clone(), settings);
    source.open(&Positions::default()).unwrap();
    let zero = partition(&topic, 0);
    assert_eq!(read(&mut source, &zero).0.len(), 1);
    cluster.kill(0).unwrap();
    let (mut chunk, deadline) = (Chunk::default(), Instant::now() + PATIENCE);
    let error = loop {
        match source.read(&zero, &mut chunk) {
            Err(error) => break error,
            Ok(found) => assert_ne!(found, Read::Records),
        }
        assert!(Instant::now() < deadline, "the outage is noticed");
        std::thread::sleep(Duration::from_millis(20));
    };
    assert!(error.can_retry(), "{}", error.chain());
    source
        .open(&Positions::default())
        .expect_err("nobody answers")
        .can_retry()
        .then_some(())
        .expect("a retry can help");
    sink.write(&[record(&topic, "2")]).unwrap();
    cluster.restart(0).unwrap();
    eventually("the sink heals, or a new one does", || {
        let Err(error) = sink.stage() else { return true };
        assert!(error.can_retry(), "{}", error.chain());
        sink = KafkaSink::at_least_once(&connection).unwrap();
        // What the broker was too slow for is written again.
        eventually("it takes records", || sink.write(&[record(&topic, "2")]).is_ok());
        false
    });
    eventually("the source heals", || source.open(&Positions::default()).is_ok());
    let read = read(&mut source, &zero).0.into_iter().map(|record| record.value.unwrap());
    let mut read: Vec<_> = read.collect();
    read.dedup();
    assert_eq!(read, [b"1", b"2"], "what was on its way is there");
}

/// One of three is killed while a sink writes: nothing is lost, and nothing is there twice.
#[test]
fn one_of_three_brokers_is_killed() {
    let mut cluster = start(3, Options::default());
    let connection = KafkaConnection::plain(cluster.bootstrap());
    let topic = "replicated".to_owned();
    let settings = TopicSettings { replication: 3, ..SETTINGS };
    let made = KafkaTopics::new(connection.clone()).create(std::slice::from_ref(&topic), settings).unwrap();
    assert_eq!(made[0].settings.replication, 3);
    let mut sink = KafkaSink::at_least_once(&connection).unwrap();
    let values: Vec<String> = (0..3_000).map(|n| n.to_string()).collect();
    for (round, values) in values.chunks(1_000).enumerate() {
        let records: Vec<_> = values.iter().map(|value| record(&topic, value)).collect();
        sink.write(&records).unwrap();
        if round == 1 {
            cluster.kill(1).unwrap();
        }
        sink.stage().unwrap();
    }
    let mut source = bounded(&connection, &topic);
    source.open(&Positions::default()).unwrap();
    let read = read(&mut source, &partition(&topic, 0)).0;
    let read: Vec<_> = read.into_iter().map(|record| String::from_utf8(record.value.unwrap()).unwrap()).collect();
    assert_eq!(read, values);
}

/// Whether a commit was done whose answer is lost, only the brokers know: who takes over goes on behind it.
#[test]
fn a_commit_whose_answer_is_lost_was_done_once() {
    let cluster = start(1, Options { proxied: true, ..Options::default() });
    let connection = KafkaConnection::plain(cluster.bootstrap());
    let topic = "unanswered".to_owned();
    KafkaTopics::new(connection.clone()).create(std::slice::from_ref(&topic), SETTINGS).unwrap();
    let open = || KafkaTransactions::open(&connection, "unanswered", OPEN_MAX);
    let transactions = open().unwrap();
    transactions.write(&[record(&topic, "1")]).unwrap();
    transactions.flush().unwrap();
    let proxy = cluster.proxy(0);
    proxy.fail(Fault::HoldAnswers);
    let error = std::thread::scope(|scope| {
        let commit = scope.spawn(|| transactions.commit());
        // The record, and the mark of the transaction.
        eventually("the broker has committed", || {
            let ends = cluster.tool(Tool::Offsets, &["--topic", &topic]).unwrap();
            ends.trim() == format!("{topic}:0:2")
        });
        proxy.fail(Fault::Cut);
        commit.join().unwrap().unwrap_err()
    });
    assert!(error.can_retry(), "{}", error.chain());
    transactions.write(&[record(&topic, "lost")]).expect_err("nobody knows how far it is");
    proxy.join();
    let mut next = None;
    eventually("the broker is there again", || {
        next = open().ok();
        next.is_some()
    });
    let next = next.unwrap();
    next.write(&[record(&topic, "2")]).unwrap();
    next.commit().unwrap();
    until_committed(&connection, &topic, &["1", "2"]);
}

/// A partition of which no broker is left is not at its end, whatever was read of it: records may lie in it.
#[test]
fn a_partition_without_a_broker_is_an_outage() {
    let mut cluster = start(3, Options::default());
    let connection = KafkaConnection::plain(cluster.bootstrap());
    let topic = "dealt".to_owned();
    let settings = TopicSettings { partitions: 3, ..SETTINGS };
    KafkaTopics::new(connection.clone()).create(std::slice::from_ref(&topic), settings).unwrap();
    let settings = KafkaSourceSettings {
        metadata_every: Duration::from_millis(500),
        ..KafkaSourceSettings::new([topic.clone()], "dealt")
    };
    let mut source = KafkaSource::new(connection, settings);
    source.open(&Positions::default()).unwrap();
    for number in 0..3 {
        assert_eq!(read(&mut source, &partition(&topic, number)), (Vec::new(), Read::CaughtUp));
    }
    cluster.kill(1).unwrap();
    let mut error = None;
    eventually("the outage is noticed", || {
        error = source.partitions().err();
        error.is_some()
    });
    let error = error.unwrap();
    assert!(error.can_retry() && error.chain().contains("dealt/"), "{}", error.chain());
}
