//! Topics are made when somebody says so, and left as they are.

use std::time::Duration;

use tamis_connectors::kafka::{KafkaTopics, TopicSettings};
use tamis_model::Kind;

use crate::fixture::{SETTINGS, add_partitions, connection, eventually, partition, send, topic};

#[test]
fn made_once_and_left_as_they_are() {
    let topics = KafkaTopics::new(connection());
    let names = ["made-a".to_owned(), "made-b".to_owned()];
    let wanted = TopicSettings { partitions: 6, replication: 1, retention: Duration::from_secs(7 * 24 * 3600) };
    let made = topics.create(&names[..1], wanted).unwrap();
    assert_eq!((made[0].created, made[0].settings), (true, wanted));
    let others = TopicSettings { partitions: 2, retention: Duration::from_secs(3600), ..wanted };
    let made = topics.create(&names, others).unwrap();
    let found: Vec<_> = made.iter().map(|state| (state.topic.as_str(), state.created, state.settings)).collect();
    assert_eq!(found, [("made-a", false, wanted), ("made-b", true, others)]);
    let error = topics.require(&["made-a".to_owned(), "never-made".to_owned()]).unwrap_err();
    assert_eq!(error.kind(), Kind::Missing);
    assert!(error.chain().starts_with("cannot find topic never-made: no broker has it: `tamis topics create`"));
    let error = topics.create(&["made-c".to_owned()], TopicSettings { replication: 3, ..SETTINGS }).unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid, "{}", error.chain());
}

#[test]
fn a_topic_that_forgets_is_no_place_for_the_last_value_of_each_key() {
    let topics = KafkaTopics::new(connection());
    let check = |name: &str, words: &str| {
        let error = topics.create_compacted(name, 1).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid, "{}", error.chain());
        assert!(error.chain().contains(words), "{}", error.chain());
    };
    check(&topic("deleting", 1), "its cleanup.policy is delete");
    topics.create_compacted("compacted", 1).unwrap();
    topics.create_compacted("compacted", 1).unwrap();
    add_partitions("compacted", 2);
    eventually("both are known", || {
        let overview = topics.overview().unwrap();
        overview.iter().any(|topic| topic.topic == "compacted" && topic.partitions.len() == 2)
    });
    check("compacted", "it has 2 partitions and must have one");
}

#[test]
fn an_overview_tells_where_partitions_begin_and_end() {
    let topic = topic("seen", 2);
    send(&partition(&topic, 1), 5, &["1".to_owned(), "2".to_owned()]);
    let overview = KafkaTopics::new(connection()).overview().unwrap();
    assert!(overview.iter().all(|topic| !topic.topic.starts_with("__")));
    let seen = overview.iter().find(|seen| seen.topic == topic).unwrap();
    let ends: Vec<_> = seen.partitions.iter().map(|p| (p.number, p.first_offset, p.next_offset)).collect();
    assert_eq!(ends, [(0, 0, 0), (1, 0, 2)]);
}

#[test]
fn a_cluster_that_is_not_there_is_an_outage() {
    let nowhere = tamis_connectors::kafka::KafkaConnection::plain("127.0.0.1:1");
    let error = KafkaTopics::new(nowhere).require(&[]).unwrap_err();
    assert!(error.can_retry(), "{}", error.chain());
    assert!(error.chain().contains("Kafka at 127.0.0.1:1"), "{}", error.chain());
}
