//! Writers of topics: torn lines, recovery, ownership, partitions.

use std::fs::{self, File};

use tamis_connectors::topics::{TopicWriter, WriterSettings};
use tamis_engine::Sink;
use tamis_model::Kind;

use super::{append_numbered, numbered, partition, read_from, record, segments, small_segments, writer};

#[test]
fn a_torn_end_is_cut_off_by_the_next_writer() {
    let folder = tempfile::tempdir().unwrap();
    append_numbered(&mut writer(folder.path()), "payments", 0..2);
    let segment = segments(&folder.path().join("payments/0")).pop().unwrap();
    let whole = fs::read(&segment).unwrap();
    for torn in ["{\"offset\":2", &format!("{{\"offset\":2,\"value\":\"{}", "x".repeat(200_000))] {
        fs::write(&segment, [whole.as_slice(), torn.as_bytes()].concat()).unwrap();
        drop(writer(folder.path()));
        assert_eq!(fs::read(&segment).unwrap(), whole);
    }
    fs::write(&segment, b"{\"off").unwrap();
    append_numbered(&mut writer(folder.path()), "payments", 0..1);
    assert_eq!(read_from(folder.path(), &partition("payments", 0), 0).unwrap(), numbered(0..1));
    fs::write(&segment, b"what is this?\n").unwrap();
    let error = TopicWriter::open(folder.path(), "streams", small_segments()).unwrap_err();
    assert_eq!(error.kind(), Kind::Corrupt);
}

#[test]
fn a_topic_has_one_writer() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = writer(folder.path());
    append_numbered(&mut first, "alerts", 0..1);
    let error = TopicWriter::open(folder.path(), "streams", small_segments()).unwrap_err();
    assert_eq!(error.kind(), Kind::Outage);
    let expected = format!("alerts/.lock: another writer is at work (process {})", std::process::id());
    assert!(error.chain().ends_with(&expected), "{}", error.chain());
    let mut other = TopicWriter::open(folder.path(), "generator", small_segments()).unwrap();
    append_numbered(&mut other, "payments", 0..1);
    let refused = |other: &mut TopicWriter| {
        let error = other.write(&[record("alerts", None, "1")]).unwrap_err();
        assert!(error.chain().ends_with("it belongs to the writer \"streams\""), "{}", error.chain());
    };
    refused(&mut other);
    drop(first);
    // What looks torn may be half of a line that its owner is writing.
    let segment = segments(&folder.path().join("alerts/0")).pop().unwrap();
    let whole = fs::read(&segment).unwrap();
    let torn = [whole.as_slice(), b"{\"offset\":1,"].concat();
    fs::write(&segment, &torn).unwrap();
    fs::remove_file(folder.path().join("alerts/.lock")).unwrap();
    refused(&mut other);
    assert_eq!(fs::read(&segment).unwrap(), torn);
    assert!(!folder.path().join("alerts/.lock").exists(), "it is not even locked");
    append_numbered(&mut writer(folder.path()), "alerts", 1..2);
}

/// Finder and people leave files among the topics; a topic that the writer owns is found all the same.
#[test]
fn files_among_the_topics_are_not_topics() {
    let folder = tempfile::tempdir().unwrap();
    append_numbered(&mut writer(folder.path()), "alerts", 0..1);
    for name in [".DS_Store", "README"] {
        fs::write(folder.path().join(name), "not a topic").unwrap();
    }
    append_numbered(&mut writer(folder.path()), "alerts", 1..2);
}

#[test]
fn a_commit_leaves_what_was_there_before_and_what_others_wrote() {
    let folder = tempfile::tempdir().unwrap();
    let mut generator = TopicWriter::open(folder.path(), "generator", small_segments()).unwrap();
    append_numbered(&mut generator, "payments", 0..10);
    // A topic that somebody filled by hand.
    fs::create_dir_all(folder.path().join("alerts/0")).unwrap();
    let line = "{\"offset\":0,\"timestamp\":0,\"key\":null,\"value\":0}\n";
    fs::write(folder.path().join("alerts/0/00000000000000000000.jsonl"), line).unwrap();
    let mut streams = writer(folder.path());
    let nothing = streams.stage().unwrap();
    append_numbered(&mut streams, "alerts", 1..9);
    append_numbered(&mut streams, "dead_letters", 0..9);
    drop(streams);
    writer(folder.path()).commit(&nothing).unwrap();
    assert_eq!(read_from(folder.path(), &partition("payments", 0), 0).unwrap(), numbered(0..10));
    assert_eq!(read_from(folder.path(), &partition("alerts", 0), 0).unwrap(), numbered(0..1));
    assert!(!folder.path().join("dead_letters/0").exists());
}

#[test]
fn a_commit_whose_bytes_are_lost_is_corrupt() {
    let folder = tempfile::tempdir().unwrap();
    let mut streams = writer(folder.path());
    append_numbered(&mut streams, "alerts", 0..2);
    let staged = streams.stage().unwrap();
    drop(streams);
    let segment = segments(&folder.path().join("alerts/0")).pop().unwrap();
    File::options().write(true).open(segment).unwrap().set_len(60).unwrap();
    assert_eq!(writer(folder.path()).commit(&staged).unwrap_err().kind(), Kind::Corrupt);
}

#[test]
fn keys_choose_partitions_and_records_without_one_take_turns() {
    let folder = tempfile::tempdir().unwrap();
    let settings = |partitions_default| WriterSettings { partitions_default, ..WriterSettings::default() };
    let mut streams = TopicWriter::open(folder.path(), "streams", settings(4)).unwrap();
    // murmur2 of Kafka's own test vectors, without the sign bit, modulo 4.
    for (key, expected) in [("21", 0), ("foobar", 2), ("abc", 3)] {
        assert_eq!(streams.partition_for("alerts", Some(key.as_bytes())).unwrap(), expected, "{key}");
    }
    drop(streams);
    let mut streams = TopicWriter::open(folder.path(), "streams", settings(3)).unwrap();
    streams.write(&[record("alerts", None, "1"), record("alerts", None, "2")]).unwrap();
    drop(streams);
    let mut streams = TopicWriter::open(folder.path(), "streams", settings(3)).unwrap();
    streams.write(&[record("alerts", None, "3"), record("alerts", None, "4")]).unwrap();
    let values = |number| read_from(folder.path(), &partition("alerts", number), 0).unwrap();
    assert_eq!(values(0), [(0, "1".to_owned()), (1, "4".to_owned())]);
    assert_eq!(values(1), [(0, "2".to_owned())]);
    assert_eq!(values(2), [(0, "3".to_owned())]);
}
