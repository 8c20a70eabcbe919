//! What a sink writes, and when it is seen.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tamis_connectors::kafka::{KafkaChangelog, KafkaSink, KafkaTopics, KafkaTransactions};
use tamis_engine::{CheckpointStore, Read, Sink, Source};
use tamis_model::Kind;
use tamis_model::position::Positions;
use tamis_model::record::Record;
use tamis_services::kafka::Tool;

use crate::fixture::{
    OPEN_MAX, bounded, cluster, committed, connection, eventually, partition, positions, read, record, tailing, topic,
    transactions, until_committed,
};

#[test]
fn records_are_written_as_they_are_and_by_key_where_kafka_puts_them() {
    let topic = topic("written", 6);
    let keys = ["21", "foobar", "a-little-bit-long-string", "abc"];
    let headers = vec![("h".to_owned(), b"\xff".to_vec()), ("h".to_owned(), Vec::new())];
    let of_key = |key: &str| Record {
        key: Some(key.as_bytes().to_vec()),
        headers: headers.clone(),
        ..record(&topic, &format!("\"{key}\""))
    };
    let mut sink = KafkaSink::at_least_once(&connection()).unwrap();
    sink.write(&keys.map(of_key)).unwrap();
    assert_eq!(sink.stage().unwrap(), serde_json::Value::Null);
    // Of murmur2 without its sign bit, modulo 6.
    let murmur2: [i32; 4] = [-973_932_308, -790_332_482, -985_981_536, 479_470_107];
    for (key, hash) in keys.iter().zip(murmur2) {
        let number = (hash.cast_unsigned() & 0x7fff_ffff) % 6;
        let mut source = bounded(&connection(), &topic);
        source.open(&Positions::default()).unwrap();
        let found = read(&mut source, &partition(&topic, number)).0;
        let found = found.iter().find(|record| record.key.as_deref() == Some(key.as_bytes())).expect(key);
        assert_eq!(found.headers, headers);
        assert_eq!(found.timestamp, Some(1_773_842_400_000));
    }
}

#[test]
fn what_cannot_be_written_is_said() {
    let topic = topic("refusals", 1);
    let check = |record: Record, kind: Kind, words: &str| {
        let mut sink = KafkaSink::at_least_once(&connection()).unwrap();
        let error = sink.write(&[record]).and_then(|()| sink.stage()).unwrap_err();
        assert!(error.chain().contains(words), "{}", error.chain());
        assert_eq!(error.kind(), kind, "{}", error.chain());
    };
    check(
        record("nowhere", "1"),
        Kind::Missing,
        "cannot write to topic nowhere: no broker has it: `tamis topics create`",
    );
    let long = "1".repeat(3 << 20);
    check(record(&topic, &long), Kind::Invalid, "a record of 3145728 bytes to topic refusals of 1773842400000 ms");
}

/// An exchange between hosts takes what lies behind a record for the sign that the record has been there.
#[test]
fn nothing_is_written_behind_a_record_that_was_refused() {
    let topic = topic("gapless", 1);
    let limit =
        ["--alter", "--entity-type", "topics", "--entity-name", &topic, "--add-config", "max.message.bytes=500000"];
    cluster().tool(Tool::Configs, &limit).unwrap();
    let mut random = 1_u64;
    let letter = |_| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        char::from(b'a' + (random >> 59) as u8 % 26)
    };
    // What does not get smaller is too long for the broker; of what does, each is a batch of its own, and short.
    let refused = record(&topic, &format!("\"{}\"", (0..900_000).map(letter).collect::<String>()));
    let behind = record(&topic, &format!("\"{}\"", "1".repeat(900_000)));
    let mut records = vec![refused];
    records.resize(20, behind);
    let mut sink = KafkaSink::at_least_once(&connection()).unwrap();
    // A broker takes any record for the first of a producer that it has not heard of.
    sink.write(&[record(&topic, "0")]).unwrap();
    sink.stage().unwrap();
    let error = sink.write(&records).and_then(|()| sink.stage()).unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid, "{}", error.chain());
    assert!(error.chain().contains("a record of 900002 bytes to topic gapless"), "{}", error.chain());
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(committed(&connection(), &topic), ["0"]);
    drop(sink);
    let mut again = KafkaSink::at_least_once(&connection()).unwrap();
    again.write(&records[1..2]).unwrap();
    again.stage().unwrap();
    assert_eq!(committed(&connection(), &topic).len(), 2);
}

/// A letter that no broker takes would stop the stream that writes it, again and again.
#[test]
fn a_dead_letter_is_written_however_long_it_is() {
    let letters = topic("dead_letters", 1);
    let value: String =
        (0..3 << 20).map(|n: u32| char::from(b'a' + (n.wrapping_mul(2_654_435_761) >> 24) as u8 % 26)).collect();
    let letter = Record { timestamp: 95_617_584_000_000, ..record(&letters, &value) };
    let mut sink = KafkaSink::at_least_once(&connection()).unwrap();
    sink.write(&[letter]).unwrap();
    sink.stage().unwrap();
    let mut source = bounded(&connection(), &letters);
    source.open(&Positions::default()).unwrap();
    let found = read(&mut source, &partition(&letters, 0)).0;
    let headers: Vec<_> = found[0].headers.iter().map(|(name, value)| (name.as_str(), &value[..])).collect();
    assert_eq!(headers, [("tamis.value_bytes", &b"3145728"[..]), ("tamis.timestamp", b"95617584000000")]);
    assert!(value.as_bytes().starts_with(found[0].value.as_deref().unwrap()));
}

#[test]
fn output_and_positions_are_committed_together_or_not_at_all() {
    let (input, output) = (topic("transactions-in", 1), topic("transactions-out", 1));
    let zero = partition(&input, 0);
    let mut source = tailing(&input, "transactions");
    source.open(&Positions::default()).unwrap();
    let group = source.group();
    let open = || transactions("transactions");
    let write = |transactions: &KafkaTransactions, value: &str| {
        let mut sink = KafkaSink::exactly_once(transactions.clone());
        sink.write(&[record(&output, value)]).unwrap();
        let staged = sink.stage().unwrap();
        sink.commit(&staged).unwrap();
    };
    let first = open();
    write(&first, "1");
    assert_eq!(committed(&connection(), &output), [""; 0], "a stage is not seen");
    first.commit_with(&positions(&[(&zero, 7)]), &group).unwrap();
    write(&first, "2");
    first.commit_with(&positions(&[(&zero, 8)]), &group).unwrap();
    until_committed(&connection(), &output, &["1", "2"]);
    first.commit_with(&positions(&[(&zero, 9)]), &group).unwrap();
    write(&first, "3");
    // Another process takes over: what the first left open is aborted, and it can write no more.
    let second = open();
    write(&second, "4");
    second.commit_with(&positions(&[(&zero, 10)]), &group).unwrap();
    let error = first.commit_with(&positions(&[(&zero, 99)]), &group).unwrap_err();
    assert_eq!(error.kind(), Kind::Conflict, "{}", error.chain());
    assert!(error.chain().contains("another host has taken over"), "{}", error.chain());
    let mut sink = KafkaSink::exactly_once(first);
    sink.write(&[record(&output, "5")]).expect_err("it stays broken");
    until_committed(&connection(), &output, &["1", "2", "4"]);
    let told = cluster().tool(Tool::Groups, &["--describe", "--group", "transactions"]).unwrap();
    assert!(told.lines().any(|line| line.split_whitespace().nth(3) == Some("10")), "{told}");
}

/// A host that goes on writing after another one has taken over hears of that, and of nothing that a retry could help with.
#[test]
fn a_busy_writer_that_is_fenced_hears_who_has_taken_over() {
    let output = topic("fenced", 1);
    let first = transactions("fenced");
    first.write(&[record(&output, "1")]).unwrap();
    first.commit().unwrap();
    let second = transactions("fenced");
    let mut sink = KafkaSink::exactly_once(first);
    let mut error = None;
    eventually("it is fenced", || {
        error = sink.write(&vec![record(&output, "2"); 100]).err();
        error.is_some()
    });
    let error = error.unwrap();
    assert_eq!(error.kind(), Kind::Conflict, "{}", error.chain());
    assert!(error.chain().contains("another host has taken over"), "{}", error.chain());
    assert_eq!(sink.stage().unwrap_err().kind(), Kind::Conflict, "a retry never helps");
    second.write(&[record(&output, "3")]).unwrap();
    second.commit().unwrap();
    until_committed(&connection(), &output, &["1", "3"]);
}

/// The brokers end a transaction that takes too long, and fence its producer: no other host is there.
#[test]
fn a_transaction_that_takes_too_long_is_an_outage() {
    let output = topic("too-long", 1);
    let transactions = KafkaTransactions::open(&connection(), "too-long", Duration::from_secs(10)).unwrap();
    transactions.write(&[record(&output, "1")]).unwrap();
    transactions.flush().unwrap();
    let topics = KafkaTopics::new(connection());
    eventually("the brokers end it", || topics.settled_ends(&partition(&output, 0)).is_ok());
    let error = transactions.commit().unwrap_err();
    assert!(error.can_retry(), "{}", error.chain());
    assert!(error.chain().contains("and brokers end one after 10 s"), "{}", error.chain());
    let next = KafkaTransactions::open(&connection(), "too-long", OPEN_MAX).unwrap();
    next.write(&[record(&output, "2")]).unwrap();
    next.commit().unwrap();
    until_committed(&connection(), &output, &["2"]);
}

/// A host takes over from one that is restoring and dies at once: what it left open, only the next one to take over ends.
#[test]
fn who_was_fenced_while_it_restored_begins_again() {
    let topic = "restored.changelog";
    let changelog = |transactions| KafkaChangelog::open(connection(), topic, 1, transactions, None).unwrap();
    let mut restoring = changelog(transactions("restored"));
    let dying = transactions("restored");
    dying.write(&[record(topic, "half of a checkpoint")]).unwrap();
    dying.flush().unwrap();
    drop(dying);
    let error = restoring.latest().unwrap_err();
    assert!(error.can_retry(), "{}", error.chain());
    assert_eq!(changelog(transactions("restored")).latest().unwrap(), None);
}

/// A reader beside a writer sees no record of a transaction before it is committed, and then all of them.
#[test]
fn a_tailing_reader_waits_for_the_commit() {
    let output = topic("tailed", 1);
    let zero = partition(&output, 0);
    let mut source = tailing(&output, "tailed");
    source.open(&Positions::default()).unwrap();
    let transactions = transactions("tailed");
    transactions.write(&["1", "2"].map(|value| record(&output, value))).unwrap();
    transactions.flush().unwrap();
    assert_eq!(read(&mut source, &zero), (Vec::new(), Read::CaughtUp));
    let committed = Arc::new(AtomicBool::new(false));
    let (handle, group, done) = (transactions.clone(), source.group(), Arc::clone(&committed));
    let committing = std::thread::spawn(move || {
        handle.commit_with(&Positions::default(), &group).unwrap();
        done.store(true, Ordering::Relaxed);
    });
    let mut seen = Vec::new();
    eventually("what is committed is seen", || {
        seen.extend(read(&mut source, &zero).0);
        seen.len() >= 2
    });
    committing.join().unwrap();
    assert!(committed.load(Ordering::Relaxed));
    assert_eq!(seen.len(), 2);
}
