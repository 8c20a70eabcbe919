//! What a source reads besides plain records, and where it may not begin.

use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use tamis_connectors::kafka::{KafkaSink, KafkaSource, KafkaSourceSettings};
use tamis_engine::decode::json::RecordParts;
use tamis_engine::{Chunk, Clock, Read, Sink, Source, SystemClock, Waker};
use tamis_model::Kind;
use tamis_model::position::Positions;
use tamis_services::kafka::Tool;

use crate::fixture::{
    PATIENCE, bounded, cluster, connection, partition, positions, read, record, send, tailing, topic, transactions,
    until_committed,
};

#[test]
fn a_record_comes_as_it_was_sent() {
    let topic = topic("as-sent", 1);
    let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", cluster().bootstrap()).create().unwrap();
    let header = |key, value: Option<&'static [u8]>| Header { key, value };
    let headers = || OwnedHeaders::new().insert(header("a", Some(b"\xff"))).insert(header("é", None));
    type Sent<'a> = (Option<&'a [u8]>, Option<&'a [u8]>, bool);
    let cases: [Sent<'_>; 5] = [
        (None, None, false),
        (Some(b""), Some(b""), true),
        (Some(b"k\n"), Some(b"{\n}"), false),
        (Some(b"\xff"), Some(b"\xfe\0"), true),
        (None, Some(b"{}"), false),
    ];
    for (key, value, with_headers) in cases {
        let mut sent = BaseRecord::to(&topic).timestamp(5).partition(0);
        (sent.key, sent.payload) = (key, value);
        let sent = if with_headers { sent.headers(headers()) } else { sent };
        producer.send(sent).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
    let mut source = bounded(&connection(), &topic);
    source.open(&Positions::default()).unwrap();
    let expected = cases.iter().enumerate().map(|(offset, (key, value, with_headers))| RecordParts {
        offset: Some(offset as i64),
        timestamp: Some(5),
        key: key.map(<[u8]>::to_vec),
        value: value.map(<[u8]>::to_vec),
        headers: match with_headers {
            true => vec![("a".to_owned(), vec![255]), ("é".to_owned(), Vec::new())],
            false => Vec::new(),
        },
    });
    assert_eq!(read(&mut source, &partition(&topic, 0)).0, expected.collect::<Vec<_>>());
}

/// The marks of transactions take offsets of their own; what was aborted is not there.
#[test]
fn an_end_behind_marks_of_transactions_is_an_end() {
    let topic = topic("marks", 1);
    let write = |values: &[&str], commits: bool| {
        let transactions = transactions("marks");
        let mut sink = KafkaSink::exactly_once(transactions.clone());
        let records: Vec<_> = values.iter().map(|value| record(&topic, value)).collect();
        sink.write(&records).unwrap();
        sink.stage().unwrap();
        let mut source = tailing(&topic, "marks");
        source.open(&Positions::default()).unwrap();
        if commits {
            transactions.commit_with(&Positions::default(), &source.group()).unwrap();
        }
    };
    write(&["1", "2"], true);
    write(&["3"], false);
    drop(transactions("marks"));
    until_committed(&connection(), &topic, &["1", "2"]);
    let zero = partition(&topic, 0);
    let mut source = tailing(&topic, "marks");
    source.open(&positions(&[(&zero, 2)])).unwrap();
    assert_eq!(read(&mut source, &zero), (Vec::new(), Read::CaughtUp), "only marks and what was aborted");
    // The position goes on behind what is no record, once all records before are worked through.
    let noted = |judged: i64| {
        let mut noted = positions(&[(&zero, judged)]);
        source.note(&mut noted);
        noted.next(&zero)
    };
    assert_eq!((noted(1), noted(2)), (1, 5));
    let mut source = bounded(&connection(), &topic);
    source.open(&positions(&[(&zero, 2)])).unwrap();
    assert_eq!(read(&mut source, &zero), (Vec::new(), Read::Ended));
    write(&["4"], true);
    until_committed(&connection(), &topic, &["1", "2", "4"]);
}

#[test]
fn what_retention_has_deleted_is_not_passed_over() {
    let topic = topic("deleted", 1);
    let zero = partition(&topic, 0);
    send(&zero, 5, &["1", "2", "3", "4"].map(str::to_owned));
    delete_before(&topic, 2);
    let check = |next: Option<i64>, expected: Result<&[i64], &str>| {
        let mut source = tailing(&topic, "deleted");
        let at = next.map_or_else(Positions::default, |next| positions(&[(&zero, next)]));
        match (source.open(&at), expected) {
            (Ok(()), Ok(expected)) => {
                let offsets: Vec<_> = read(&mut source, &zero).0.iter().map(|record| record.offset.unwrap()).collect();
                assert_eq!(offsets, expected);
            }
            (Err(error), Err(words)) => {
                assert_eq!(error.kind(), Kind::Missing);
                assert!(error.chain().contains(words), "{}", error.chain());
            }
            (got, expected) => panic!("{got:?} instead of {expected:?} at {next:?}"),
        }
    };
    check(None, Ok(&[2, 3]));
    check(Some(2), Ok(&[2, 3]));
    check(Some(4), Ok(&[]));
    check(Some(1), Err("cannot go on reading deleted/0 at offset 1: it has offsets 2 to 4"));
    check(Some(5), Err("deleted/0 at offset 5"));
}

#[test]
fn lag_is_what_is_left_to_read() {
    let topic = topic("lag", 2);
    let (zero, one) = (partition(&topic, 0), partition(&topic, 1));
    send(&zero, 5, &["1", "2", "3"].map(str::to_owned));
    let mut source = tailing(&topic, "lag");
    source.open(&positions(&[(&zero, 1)])).unwrap();
    crate::fixture::eventually("it was told with a fetch", || {
        source.partitions().unwrap();
        source.lag() == [(zero.clone(), 2), (one.clone(), 0)]
    });
    read(&mut source, &zero);
    read(&mut source, &one);
    assert_eq!(source.lag(), [(zero.clone(), 0), (one, 0)]);
    source.release(&positions(&[(&zero, 3)])).unwrap();
    let told = || cluster().tool(Tool::Groups, &["--describe", "--group", "lag"]).unwrap();
    crate::fixture::eventually("the group's position is known to tools", || {
        source.partitions().unwrap();
        told().lines().any(|line| line.contains("lag") && line.split_whitespace().nth(3) == Some("3"))
    });
}

/// Retention deletes the marks of transactions behind the last record too.
#[test]
fn a_position_that_was_noted_outlives_retention_of_marks() {
    let topic = topic("marks-deleted", 1);
    let zero = partition(&topic, 0);
    let transactions = transactions("marks-deleted");
    transactions.write(&[record(&topic, "1")]).unwrap();
    transactions.commit().unwrap();
    let (mut source, waker) = (tailing(&topic, "marks-deleted"), Waker::default());
    source.wake(&waker);
    source.open(&Positions::default()).unwrap();
    assert_eq!(read(&mut source, &zero).0.len(), 1);
    let note = |source: &KafkaSource| {
        let mut noted = positions(&[(&zero, 1)]);
        source.note(&mut noted);
        noted
    };
    let noted = note(&source);
    waker.take();
    delete_before(&topic, 2);
    let mut again = tailing(&topic, "marks-deleted");
    let error = again.open(&positions(&[(&zero, 1)])).unwrap_err();
    assert_eq!(error.kind(), Kind::Missing, "{}", error.chain());
    again.open(&noted).unwrap();
    transactions.write(&[record(&topic, "2")]).unwrap();
    transactions.commit().unwrap();
    assert!(SystemClock.wait(60_000, &waker));
    source.read_ahead(&zero);
    // One record between two marks.
    assert_eq!((note(&source), source.lag()), (noted, vec![(zero.clone(), 3)]), "what is read ahead is not read");
    assert_eq!(read(&mut source, &zero).0.len(), 1);
    let mut values = Vec::new();
    crate::fixture::eventually("what comes is read", || {
        values.extend(read(&mut again, &zero).0.into_iter().map(|record| record.value.unwrap()));
        !values.is_empty()
    });
    assert_eq!(values, [b"2"]);
}

/// The end is told once; whether it still is one is asked again.
#[test]
fn a_partition_whose_end_has_moved_is_not_at_its_end() {
    let topic = topic("moved", 1);
    let zero = partition(&topic, 0);
    let settings = KafkaSourceSettings { metadata_every: Duration::ZERO, ..KafkaSourceSettings::new([topic], "moved") };
    let mut source = KafkaSource::new(connection(), settings);
    source.open(&Positions::default()).unwrap();
    let mut chunk = Chunk::default();
    for _ in 0..5 {
        read(&mut source, &zero);
        source.partitions().unwrap();
        assert_eq!(source.read(&zero, &mut chunk).unwrap(), Read::CaughtUp, "nothing is new");
        send(&zero, 5, &["1".to_owned()]);
        crate::fixture::eventually("somebody looks", || {
            source.partitions().unwrap();
            source.read(&zero, &mut chunk).unwrap() != Read::CaughtUp
        });
    }
}

/// Deletes the records of partition 0 before an offset.
fn delete_before(topic: &str, offset: i64) {
    let file = tempfile::NamedTempFile::new().unwrap();
    let json = format!(r#"{{"partitions":[{{"topic":"{topic}","partition":0,"offset":{offset}}}],"version":1}}"#);
    std::fs::write(file.path(), json).unwrap();
    cluster().tool(Tool::DeleteRecords, &["--offset-json-file", file.path().to_str().unwrap()]).unwrap();
}
