//! Embedded topics on a disk: contracts, segments, readers.

mod dead_letters;
mod overview;
mod writers;

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tamis_connectors::topics::{ReaderSettings, TopicReader, TopicWriter, WriterSettings};
use tamis_engine::conformance::{SinkHarness, SourceHarness, sink_contract, source_contract};
use tamis_engine::{Chunk, Read, Sink, Source};
use tamis_model::position::{Partition, Positions};
use tamis_model::record::Record;
use tamis_model::time::Millis;
use tamis_model::{Kind, Result};

fn partition(topic: &str, number: u32) -> Partition {
    Partition { topic: topic.to_owned(), number }
}

fn record(topic: &str, key: Option<&str>, value: &str) -> Record {
    Record {
        topic: topic.to_owned(),
        partition: None,
        timestamp: 1_773_842_400_000,
        key: key.map(|key| key.as_bytes().to_vec()),
        value: Some(value.as_bytes().to_vec()),
        value_is_json: false,
        headers: Vec::new(),
    }
}

/// Segments of a few records.
fn small_segments() -> WriterSettings {
    WriterSettings { segment_bytes_max: 200, ..WriterSettings::default() }
}

fn writer(folder: &Path) -> TopicWriter {
    TopicWriter::open(folder, "streams", small_segments()).unwrap()
}

fn segments(partition: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(partition).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// Everything that can be read of a partition from `position` on: offset and value of each record.
fn read_from(folder: &Path, from: &Partition, position: i64) -> Result<Vec<(i64, String)>> {
    let settings = ReaderSettings { chunk_bytes: 64, ..ReaderSettings::new([&from.topic]).until_end() };
    let mut source = TopicReader::new(folder, settings)?;
    source.open(&Positions::from(vec![(from.clone(), position)]))?;
    read_on(&mut source, from)
}

fn read_on(source: &mut TopicReader, from: &Partition) -> Result<Vec<(i64, String)>> {
    let (mut chunk, mut records) = (Chunk::default(), Vec::new());
    while source.read(from, &mut chunk)? == Read::Records {
        for line in str::from_utf8(chunk.records()).unwrap().lines() {
            let record: Value = serde_json::from_str(line).unwrap();
            records.push((record["offset"].as_i64().unwrap(), record["value"].to_string()));
        }
    }
    Ok(records)
}

fn numbered(range: std::ops::Range<i64>) -> Vec<(i64, String)> {
    range.map(|n| (n, n.to_string())).collect()
}

fn append_numbered(writer: &mut TopicWriter, topic: &str, range: std::ops::Range<i64>) {
    for n in range {
        let offset = writer.append(topic, 0, 1_773_842_400_000 + n, None, Some(n.to_string().as_bytes())).unwrap();
        assert_eq!(offset, n);
    }
    writer.flush().unwrap();
}

struct Topics {
    folder: tempfile::TempDir,
    until_end: bool,
    torn: Option<String>,
}

impl SourceHarness for Topics {
    fn append(&mut self, partition: &Partition, timestamp: Millis, value: &str) {
        let mut writer = writer(self.folder.path());
        let value = Some(value.as_bytes());
        writer.append(&partition.topic, partition.number, timestamp, None, value).unwrap();
        writer.flush().unwrap();
    }

    fn open(&mut self) -> Box<dyn Source> {
        let settings =
            ReaderSettings { until_end: self.until_end, chunk_bytes: 150, ..ReaderSettings::new(["payments"]) };
        Box::new(TopicReader::new(self.folder.path(), settings).unwrap())
    }

    fn bounded(&self) -> bool {
        self.until_end
    }

    fn append_torn(&mut self, partition: &Partition, timestamp: Millis, value: &str) -> bool {
        let line = format!("{{\"offset\":2,\"timestamp\":{timestamp},\"key\":null,\"value\":{value}}}\n");
        let (begun, rest) = line.split_at(line.len() / 2);
        self.raw(partition, begun);
        self.torn = Some(rest.to_owned());
        true
    }

    fn mend(&mut self, partition: &Partition) {
        let rest = self.torn.take().unwrap();
        self.raw(partition, &rest);
    }
}

impl Topics {
    fn raw(&self, partition: &Partition, text: &str) {
        let folder = self.folder.path().join(partition.to_string());
        let mut last = File::options().append(true).open(segments(&folder).pop().unwrap()).unwrap();
        last.write_all(text.as_bytes()).unwrap();
    }
}

#[test]
fn readers_keep_the_contract() {
    for until_end in [true, false] {
        source_contract(|| Topics { folder: tempfile::tempdir().unwrap(), until_end, torn: None });
    }
}

struct Output(tempfile::TempDir);

impl SinkHarness<Record> for Output {
    fn open(&mut self) -> Box<dyn Sink<Record>> {
        let partitions = [("b".to_owned(), 3)].into();
        Box::new(
            TopicWriter::open(self.0.path(), "streams", WriterSettings { partitions, ..small_segments() }).unwrap(),
        )
    }

    /// Two topics, one of several partitions, so that later outputs begin topics, partitions and segments.
    fn item(&self, n: usize) -> Record {
        record(["a", "b"][n % 2], Some(&format!("key {n}")), &n.to_string())
    }

    fn committed(&mut self) -> Vec<usize> {
        let all = [("a", 0), ("b", 0), ("b", 1), ("b", 2)].map(|(topic, number)| partition(topic, number));
        let exists = |partition: &&Partition| self.0.path().join(partition.to_string()).is_dir();
        let read = all.iter().filter(exists).flat_map(|partition| read_from(self.0.path(), partition, 0).unwrap());
        read.map(|(_, value)| value.parse().unwrap()).collect()
    }
}

#[test]
fn writers_keep_the_contract() {
    sink_contract(|| Output(tempfile::tempdir().unwrap()));
}

#[test]
fn segments_roll_and_every_offset_is_found() {
    let folder = tempfile::tempdir().unwrap();
    append_numbered(&mut writer(folder.path()), "payments", 0..40);
    let files = segments(&folder.path().join("payments/0"));
    assert!(files.len() > 5, "{files:?}");
    assert!(files.iter().all(|path| path.metadata().unwrap().len() <= 200));
    let firsts = files.iter().map(|path| read_file_firsts(path));
    assert!(firsts.zip(&files).all(|(first, path)| path.ends_with(format!("{first:020}.jsonl"))));
    for position in 0..=40 {
        assert_eq!(read_from(folder.path(), &partition("payments", 0), position).unwrap(), numbered(position..40));
    }
}

fn read_file_firsts(path: &Path) -> i64 {
    let text = fs::read_to_string(path).unwrap();
    serde_json::from_str::<Value>(text.lines().next().unwrap()).unwrap()["offset"].as_i64().unwrap()
}

#[test]
fn a_tailing_reader_follows_over_segments_and_partitions() {
    let folder = tempfile::tempdir().unwrap();
    let settings = ReaderSettings { chunk_bytes: 64, ..ReaderSettings::new(["payments"]) };
    let mut reader = TopicReader::new(folder.path(), settings).unwrap();
    reader.open(&Positions::default()).unwrap();
    assert_eq!(reader.partitions().unwrap(), []);
    let mut writer = writer(folder.path());
    for n in 0..20 {
        append_numbered(&mut writer, "payments", n..n + 1);
        assert_eq!(reader.partitions().unwrap(), [partition("payments", 0)]);
        assert_eq!(read_on(&mut reader, &partition("payments", 0)).unwrap(), numbered(n..n + 1));
    }
    writer.append("payments", 1, 0, None, Some(b"0")).unwrap();
    writer.flush().unwrap();
    assert_eq!(reader.partitions().unwrap(), [partition("payments", 0), partition("payments", 1)]);
    assert_eq!(read_on(&mut reader, &partition("payments", 1)).unwrap(), numbered(0..1));
}

#[test]
fn a_bounded_reader_ends_where_the_topic_ended_when_it_was_opened() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = writer(folder.path());
    append_numbered(&mut writer, "payments", 0..5);
    let mut reader = TopicReader::new(folder.path(), ReaderSettings::new(["payments", "none"]).until_end()).unwrap();
    reader.open(&Positions::default()).unwrap();
    append_numbered(&mut writer, "payments", 5..30);
    writer.append("payments", 1, 0, None, Some(b"0")).unwrap();
    writer.flush().unwrap();
    assert_eq!(read_on(&mut reader, &partition("payments", 0)).unwrap(), numbered(0..5));
    assert_eq!(reader.partitions().unwrap(), [partition("payments", 0)]);
}

/// The lines of an unreadable record stay where they are: in front of a position that is not behind the record before
/// them.
#[test]
fn unreadable_lines_are_read_again_rather_than_lost() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("payments/0");
    fs::create_dir_all(&path).unwrap();
    let line = |n: i64| format!("{{\"value\":{n},\"offset\":{n},\"timestamp\":0}}\n");
    let text = [line(0), "garbage\n".to_owned(), line(1), line(5)].concat();
    fs::write(path.join("00000000000000000000.jsonl"), text).unwrap();
    let mut reader = TopicReader::new(folder.path(), ReaderSettings::new(["payments"]).until_end()).unwrap();
    for (position, expected) in [(0, 4), (1, 3), (2, 1), (5, 1), (6, 0)] {
        reader.open(&Positions::from(vec![(partition("payments", 0), position)])).unwrap();
        let mut chunk = Chunk::default();
        let read = reader.read(&partition("payments", 0), &mut chunk).unwrap();
        let lines =
            if read == Read::Records { chunk.records().split_inclusive(|byte| *byte == b'\n').count() } else { 0 };
        assert_eq!(lines, expected, "from {position}");
    }
}

/// It is refused as the broken record that its head is; what comes behind it is read.
#[test]
fn of_a_record_that_is_too_long_the_head_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = writer(folder.path());
    let long = format!("\"{}\"", "x".repeat(100_000));
    for value in ["1", &long, "2"] {
        writer.append("payments", 0, 0, None, Some(value.as_bytes())).unwrap();
    }
    writer.flush().unwrap();
    let settings = ReaderSettings { chunk_bytes: 100, ..ReaderSettings::new(["payments"]) };
    for (record_bytes_max, expected) in [(200_000, 100_000), (1_000, 16 << 10)] {
        let mut reader =
            TopicReader::new(folder.path(), ReaderSettings { record_bytes_max, ..settings.clone() }).unwrap();
        reader.open(&Positions::default()).unwrap();
        let mut lines = Vec::new();
        let mut chunk = Chunk::default();
        while reader.read(&partition("payments", 0), &mut chunk).unwrap() == Read::Records {
            lines.extend(chunk.records().split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec));
        }
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[1].len() / 1_000, expected / 1_000, "{record_bytes_max}");
        assert!(lines[1].starts_with(b"{\"offset\":1,"));
        assert!(lines[2].starts_with(b"{\"offset\":2,"));
    }
}

#[test]
fn a_reader_behind_a_cut_says_so() {
    let folder = tempfile::tempdir().unwrap();
    append_numbered(&mut writer(folder.path()), "payments", 0..2);
    let mut reader = TopicReader::new(folder.path(), ReaderSettings::new(["payments"])).unwrap();
    reader.open(&Positions::default()).unwrap();
    assert_eq!(read_on(&mut reader, &partition("payments", 0)).unwrap().len(), 2);
    let segment = segments(&folder.path().join("payments/0")).pop().unwrap();
    File::options().write(true).open(segment).unwrap().set_len(10).unwrap();
    assert_eq!(read_on(&mut reader, &partition("payments", 0)).unwrap_err().kind(), Kind::Corrupt);
}
