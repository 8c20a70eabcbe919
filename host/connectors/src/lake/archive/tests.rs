//! Names, cuts, and what a writer that was interrupted leaves.

use std::fs;

use tamis_engine::conformance::{SourceHarness, source_contract};
use tamis_engine::{Chunk, Read, Source};
use tamis_model::position::{Partition, Positions};

use tamis_model::Kind;

use super::*;

const NOON: i64 = 1_773_835_200_000;
const MIDNIGHT: i64 = NOON + 12 * 3_600_000;

fn payments() -> Partition {
    Partition { topic: "payments".to_owned(), number: 0 }
}

fn settings(object_bytes_max: u64) -> ArchiveSettings {
    ArchiveSettings { object_bytes_max, interval_ms: 1_000 }
}

fn line(offset: i64, timestamp: i64) -> String {
    format!("{{\"offset\":{offset},\"timestamp\":{timestamp},\"key\":null,\"value\":{{\"n\":{offset}}}}}\n")
}

fn lines(text: &str) -> Chunk {
    let mut chunk = Chunk::default();
    chunk.fill(|bytes| bytes.extend_from_slice(text.as_bytes()));
    chunk
}

/// Name and content of each object, in order of name.
fn content(bronze: &Path) -> Vec<(String, String)> {
    let objects = archive_objects(bronze, "payments").unwrap().into_values().flatten();
    let read = |object: ArchiveObject| {
        let bytes = zstd::decode_all(&*fs::read(&object.path).unwrap()).unwrap();
        let name = object.path.strip_prefix(bronze.join("payments")).unwrap();
        (name.to_str().unwrap().to_owned(), String::from_utf8(bytes).unwrap())
    };
    objects.map(read).collect()
}

fn read_from(bronze: &Path, position: i64) -> String {
    let mut source = ArchiveReader::find(bronze, &["payments".to_owned()]).unwrap();
    source.open(&Positions::from(vec![(payments(), position)])).unwrap();
    let (mut chunk, mut text) = (Chunk::default(), String::new());
    while source.read(&payments(), &mut chunk).unwrap() == Read::Records {
        text.push_str(str::from_utf8(chunk.records()).unwrap());
    }
    text
}

#[test]
fn names_say_topic_partition_and_first_offset() {
    assert_eq!(object_name("a.b", 3, 12), "a.b+3+00000000000000000012.jsonl.zst");
    let check = |name: &str, expected: Option<(u32, i64)>| assert_eq!(parse("a.b", name), expected, "{name}");
    check("a.b+3+00000000000000000012.jsonl.zst", Some((3, 12)));
    check("a.b+03+00000000000000000012.jsonl.zst", None);
    check("a.b+3+12.jsonl.zst", None);
    check("a+3+00000000000000000012.jsonl.zst", None);
    check("a.b+3+00000000000000000012.jsonl", None);
}

#[test]
fn objects_are_cut_by_date_and_size_and_keep_every_line() {
    let folder = tempfile::tempdir().unwrap();
    let day1 = [line(0, NOON), line(1, MIDNIGHT - 1)].concat();
    // Two records fit, and nothing more beside them.
    let mut writer = ArchiveWriter::open(folder.path(), settings(day1.len() as u64)).unwrap();
    assert_eq!(writer.resume(&payments(), 0).unwrap(), 0);
    let mut positions = Vec::new();
    let mut closed = |_: &Partition, next: i64, records: u64| {
        positions.push((next, records));
        Ok(())
    };
    let no_record = "\u{feff}no record\n";
    let day2 = [line(2, MIDNIGHT), no_record.to_owned(), line(5, MIDNIGHT)].concat();
    let again = [line(6, NOON)].concat();
    let text = [day1.as_str(), &day2, &again, no_record].concat();
    writer.write(&payments(), &lines(&text), NOON, &mut closed).unwrap();
    writer.close_due(NOON + 999, &mut closed).unwrap();
    writer.close_due(NOON + 1_000, &mut closed).unwrap();
    assert_eq!(positions, [(2, 2), (3, 1), (6, 1), (7, 1)]);
    let found = content(folder.path());
    let names: Vec<_> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "event_date=2026-03-18/payments+0+00000000000000000000.jsonl.zst",
            "event_date=2026-03-19/payments+0+00000000000000000002.jsonl.zst",
            "event_date=2026-03-19/payments+0+00000000000000000005.jsonl.zst",
            "event_date=2026-03-18/payments+0+00000000000000000006.jsonl.zst",
        ]
    );
    assert_eq!(found.iter().map(|(_, text)| text.as_str()).collect::<String>(), [&*day1, &day2, &again].concat());
    assert_eq!(read_from(folder.path(), 0), [&*day1, &day2, &again].concat());
    assert_eq!(read_from(folder.path(), 3), [no_record, &line(5, MIDNIGHT), &line(6, NOON)].concat());
    assert_eq!(read_from(folder.path(), 7), "");
}

#[test]
fn the_clock_s_midnight_closes_an_object() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = ArchiveWriter::open(folder.path(), settings(1_000)).unwrap();
    writer.resume(&payments(), 0).unwrap();
    writer.write(&payments(), &lines(&line(0, NOON)), MIDNIGHT - 1, &mut |_, _, _| Ok(())).unwrap();
    let mut count = 0;
    for now in [MIDNIGHT - 1, MIDNIGHT, MIDNIGHT + 1] {
        let mut closed = |_: &Partition, _, _| {
            count += 1;
            Ok(())
        };
        writer.close_due(now, &mut closed).unwrap();
    }
    assert_eq!((count, content(folder.path()).len()), (1, 1));
}

#[test]
fn frames_become_record_lines() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = ArchiveWriter::open(folder.path(), settings(1_000)).unwrap();
    writer.resume(&payments(), 0).unwrap();
    let mut chunk = Chunk::default();
    let headers = [(&b"h"[..], &b"\xff"[..])];
    chunk.fill_frames(|frames| {
        frames.push(7, Some(NOON), Some(b"\xff"), Some(b"{\"a\":\n1}"), headers);
        frames.push(9, Some(NOON), Some(b"k"), None, []);
        frames.push(10, None, None, Some(b"no json"), []);
    });
    writer.write(&payments(), &chunk, NOON, &mut |_, _, _| Ok(())).unwrap();
    writer.close_all(&mut |_, _, _| Ok(())).unwrap();
    let found = content(folder.path());
    let first = [
        r#"{"offset":7,"timestamp":1773835200000,"key_base64":"/w==","value":{"a": 1},"headers":[["h","/w=="]]}"#,
        r#"{"offset":9,"timestamp":1773835200000,"key":"k","value":null}"#,
    ];
    let second = r#"{"offset":10,"timestamp":-1,"key":null,"value_base64":"bm8ganNvbg=="}"#;
    assert_eq!(found[0].1, format!("{}\n{}\n", first[0], first[1]));
    assert_eq!(
        found[1],
        ("event_date=1969-12-31/payments+0+00000000000000000010.jsonl.zst".to_owned(), format!("{second}\n"))
    );
}

/// What was made durable counts, though its position was not saved; what is broken is written again where it was not saved either.
#[test]
fn a_writer_goes_on_behind_what_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let all = [line(0, NOON), line(1, NOON), line(2, NOON)].concat();
    let put = |position: i64, text: &str| -> Result<i64> {
        let mut writer = ArchiveWriter::open(folder.path(), settings(1_000)).unwrap();
        let next = writer.resume(&payments(), position)?;
        writer.write(&payments(), &lines(text), NOON, &mut |_, _, _| Ok(()))?;
        writer.close_all(&mut |_, _, _| Ok(()))?;
        Ok(next)
    };
    assert_eq!(put(0, &[line(0, NOON), line(1, NOON)].concat()).unwrap(), 0);
    assert_eq!(put(0, &all).unwrap(), 2);
    assert_eq!(read_from(folder.path(), 0), all);
    let objects = archive_objects(folder.path(), "payments").unwrap().remove(&0).unwrap();
    assert_eq!(objects.iter().map(|object| object.first).collect::<Vec<_>>(), [0, 2]);
    let last = &objects[1].path;
    let whole = fs::read(last).unwrap();
    fs::write(last, &whole[..whole.len() - 5]).unwrap();
    assert_eq!(put(2, &all).unwrap(), 2);
    assert_eq!(read_from(folder.path(), 0), all);
    fs::write(last, b"").unwrap();
    let error = put(0, &all).unwrap_err();
    assert_eq!(error.kind(), Kind::Corrupt);
    assert!(error.to_string().contains("00000000000000000002"), "{error}");
}

/// An archive that grows an object with each record.
struct Objects(tempfile::TempDir);

impl SourceHarness for Objects {
    fn append(&mut self, partition: &Partition, timestamp: i64, value: &str) {
        let mut writer = ArchiveWriter::open(self.0.path(), settings(1_000)).unwrap();
        let offset = writer.resume(partition, 0).unwrap();
        let line = format!("{{\"offset\":{offset},\"timestamp\":{timestamp},\"key\":null,\"value\":{value}}}\n");
        writer.write(partition, &lines(&line), NOON, &mut |_, _, _| Ok(())).unwrap();
        writer.close_all(&mut |_, _, _| Ok(())).unwrap();
    }

    fn open(&mut self) -> Box<dyn Source> {
        Box::new(ArchiveReader::find(self.0.path(), &["payments".to_owned()]).unwrap())
    }

    fn bounded(&self) -> bool {
        true
    }
}

#[test]
fn the_archive_is_a_source() {
    source_contract(|| Objects(tempfile::tempdir().unwrap()));
}

#[test]
fn topics_of_one_name_and_two_origins_are_not_mixed() {
    let folder = tempfile::tempdir().unwrap();
    let claim = |topic: &str, origin: &str| {
        let writer = ArchiveWriter::open(folder.path(), settings(1_000)).unwrap();
        writer.of(origin, &[topic.to_owned()]).map(drop)
    };
    let check = |topic: &str, origin: &str, words: &str| {
        let error = claim(topic, origin).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid);
        assert!(error.chain().contains(words), "{}", error.chain());
    };
    claim("orders", "Kafka cluster a").unwrap();
    claim("orders", "Kafka cluster a").unwrap();
    check(
        "orders",
        "Kafka cluster b",
        "is the archive of Kafka cluster a, and these are the records of Kafka cluster b",
    );
    check("orders", ORIGIN_HOME, "is the archive of Kafka cluster a");
    // An archive of before.
    let mut writer = ArchiveWriter::open(folder.path(), settings(1_000)).unwrap();
    writer.resume(&payments(), 0).unwrap();
    writer.write(&payments(), &lines(&line(0, NOON)), 0, &mut |_, _, _| Ok(())).unwrap();
    writer.close_all(&mut |_, _, _| Ok(())).unwrap();
    check("payments", "Kafka cluster a", "is the archive of this home");
    claim("payments", ORIGIN_HOME).unwrap();
}
