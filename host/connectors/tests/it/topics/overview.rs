//! What lies in the topics.

use std::fs;

use tamis_connectors::topics::{PartitionOverview, TopicWriter, WriterSettings, overview};

use super::{append_numbered, segments, small_segments, writer};

#[test]
fn topics_tell_where_they_begin_and_end() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(overview(&folder.path().join("none")).unwrap(), []);
    let settings = WriterSettings { partitions: [("orders".to_owned(), 2)].into(), ..small_segments() };
    let mut streams = TopicWriter::open(folder.path(), "streams", settings).unwrap();
    append_numbered(&mut streams, "payments", 0..40);
    streams.append("orders", 1, 0, None, Some(b"1")).unwrap();
    streams.flush().unwrap();
    drop(streams);
    let payments = folder.path().join("payments/0");
    // Retention takes segments away from the front; a writer may die in the middle of a line.
    fs::remove_file(&segments(&payments)[0]).unwrap();
    let second: i64 = segments(&payments)[0].file_stem().unwrap().to_str().unwrap().parse().unwrap();
    let last = segments(&payments).pop().unwrap();
    fs::write(&last, [fs::read(&last).unwrap(), b"no record\n{\"offset\":99".to_vec()].concat()).unwrap();
    // A partition without a segment, one whose only line is torn, and what is no topic.
    fs::create_dir_all(folder.path().join("alerts/0")).unwrap();
    fs::create_dir_all(folder.path().join("kyc_decisions/0")).unwrap();
    fs::write(folder.path().join("kyc_decisions/0/00000000000000000007.jsonl"), "{\"off").unwrap();
    fs::create_dir_all(folder.path().join(".hidden/0")).unwrap();
    fs::write(folder.path().join("README"), "not a topic").unwrap();

    let bytes = |partition: &str| -> u64 {
        segments(&folder.path().join(partition)).iter().map(|path| path.metadata().unwrap().len()).sum()
    };
    let partition = |number, first_offset, next_offset, bytes| PartitionOverview {
        number,
        first_offset,
        next_offset,
        bytes: Some(bytes),
    };
    let expected = [
        ("alerts", vec![partition(0, 0, 0, 0)]),
        ("kyc_decisions", vec![partition(0, 7, 7, 5)]),
        ("orders", vec![partition(1, 0, 1, bytes("orders/1"))]),
        ("payments", vec![partition(0, second, 40, bytes("payments/0"))]),
    ];
    let found: Vec<_> =
        overview(folder.path()).unwrap().into_iter().map(|topic| (topic.topic, topic.partitions)).collect();
    assert_eq!(found, expected.map(|(topic, partitions)| (topic.to_owned(), partitions)));
}

/// A writer that is at work is no obstacle, and nothing is changed.
#[test]
fn looking_takes_no_lock() {
    let folder = tempfile::tempdir().unwrap();
    let mut streams = writer(folder.path());
    for n in 0..3 {
        append_numbered(&mut streams, "payments", n..n + 1);
        assert_eq!(overview(folder.path()).unwrap()[0].partitions[0].next_offset, n + 1);
    }
}
