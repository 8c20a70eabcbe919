//! Stretches of real files, against a look at every line.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use proptest::prelude::*;
use tamis_engine::conformance::{SourceHarness, source_contract};

use super::*;
use crate::topics::{TopicWriter, WriterSettings, segment_path};

const PARTITION: &str = "payments/0";

fn partition(number: u32) -> Partition {
    Partition { topic: "payments".to_owned(), number }
}

/// Writes one record for each time, in segments of at most `segment_bytes_max`.
fn write(folder: &Path, times: &[Millis], segment_bytes_max: u64) {
    let settings = WriterSettings { segment_bytes_max, ..WriterSettings::default() };
    let mut writer = TopicWriter::open(folder, "test", settings).unwrap();
    for (n, time) in times.iter().enumerate() {
        // Values of many lengths, so that lines lie in all ways over blocks.
        let value = format!("\"{}\"", "x".repeat(n * 7 % 90));
        writer.append("payments", 0, *time, None, Some(value.as_bytes())).unwrap();
    }
    writer.flush().unwrap();
}

/// Blocks so small that few records have many, each of which tells something.
const FINE: Grain = Grain { block_bytes: 64, lines_min: 1 };

/// A window found by that, with chunks of a line or two.
fn small(folder: &Path, range: TimeRange) -> TimeWindow {
    by(FINE, folder, range)
}

fn by(grain: Grain, folder: &Path, range: TimeRange) -> TimeWindow {
    TimeWindow::find_by(folder.to_owned(), &["payments".to_owned()], range, grain, 150).unwrap()
}

/// The offsets that a source gives.
fn offsets(source: &mut TimeWindow) -> Vec<i64> {
    source.open(&Positions::default()).unwrap();
    let (mut chunk, mut offsets) = (Chunk::default(), Vec::new());
    while source.partitions().unwrap().contains(&partition(0))
        && source.read(&partition(0), &mut chunk).unwrap() == Read::Records
    {
        let lines = chunk.records().split_inclusive(|byte| *byte == b'\n');
        offsets.extend(lines.map(|line| Stamp::of(line).map_or(-1, |stamp| stamp.offset)));
    }
    offsets
}

/// What is to be given, by the words of [`TimeWindow`].
fn expected(times: &[Millis], range: &TimeRange) -> Vec<i64> {
    let Some(last) = times.iter().rposition(|time| range.has(*time)) else { return Vec::new() };
    let near = |(_, time): &(usize, &Millis)| **time >= range.from && **time < range.to + range.disorder_ms;
    times[..=last].iter().enumerate().filter(near).map(|(offset, _)| offset as i64).collect()
}

#[track_caller]
fn check(times: &[Millis], range: TimeRange, offsets_expected: &[i64], records: u64) {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), times, 300);
    let mut window = small(folder.path(), range);
    assert_eq!((offsets(&mut window).as_slice(), window.records()), (offsets_expected, records), "{times:?}");
}

#[test]
fn a_partition_is_given_up_to_its_last_record_of_the_range() {
    let range = TimeRange { from: 100, to: 200, disorder_ms: 50 };
    check(&[], range, &[], 0);
    check(&[10, 90, 99, 200, 300], range, &[], 0);
    check(&[10, 99, 100, 199, 200, 201], range, &[2, 3], 2);
    // Those behind the range count for time as long as one of the range stands behind them; those before it never.
    check(&[10, 100, 201, 90, 249, 199, 205], range, &[1, 2, 4, 5], 5);
    check(&[10, 249, 100, 205], range, &[1, 2], 2);
    // Nobody can be that far ahead: left out.
    check(&[10, 100, 9_999, 180, 205], range, &[1, 3], 3);
}

/// Times that ascend but for some disorder.
fn disordered() -> impl Strategy<Value = Vec<Millis>> {
    prop::collection::vec((0_i64..40, 0_i64..100), 0..120).prop_map(|steps| {
        let mut now = 0;
        let time = |(step, back): (i64, i64)| {
            now += step;
            now - back
        };
        steps.into_iter().map(time).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn what_is_found_is_what_a_look_at_every_line_finds(
        times in disordered(), from in -100_i64..2_500, length in 1_i64..1_500, segment_bytes in 150_u64..2_000,
    ) {
        let range = TimeRange { from, to: from + length, disorder_ms: 100 };
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &times, segment_bytes);
        let mut window = small(folder.path(), range);
        let found = offsets(&mut window);
        prop_assert_eq!(&found, &expected(&times, &range));
        prop_assert_eq!(offsets(&mut window.again()), found);
    }
}

#[test]
fn single_records_that_are_far_off_mislead_nobody() {
    // An hour in steps of a second, in which every tenth record is an age too early or too late.
    let ages = [0, 9_999_999_999];
    let off = |n: i64| (n % 10 == 9).then(|| ages[(n / 10 % 2) as usize]);
    let times: Vec<Millis> = (0..3_600).map(|n| off(n).unwrap_or(1_000_000 + n * 1_000)).collect();
    let folder = tempfile::tempdir().unwrap();
    for segment_bytes in [2_000, 50_000] {
        let folder = folder.path().join(segment_bytes.to_string());
        write(&folder, &times, segment_bytes);
        for minute in [0, 1, 7, 30, 59] {
            let from = 1_000_000 + minute * 60_000;
            let range = TimeRange { from, to: from + 60_000, disorder_ms: 5_000 };
            let mut window = by(Grain { block_bytes: 500, lines_min: 4 }, &folder, range);
            assert_eq!(offsets(&mut window), expected(&times, &range), "minute {minute}");
        }
    }
}

#[test]
fn what_is_appended_later_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[100, 110], 300);
    let mut window = small(folder.path(), TimeRange { from: 0, to: 200, disorder_ms: 10 });
    write(folder.path(), &[120], 300);
    assert_eq!(offsets(&mut window), [0, 1]);
    assert_eq!(offsets(&mut small(folder.path(), window.range)), [0, 1, 2]);
}

#[test]
fn a_line_that_cannot_be_read_goes_with_the_one_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let topic = folder.path().join(PARTITION);
    fs::create_dir_all(&topic).unwrap();
    let line =
        |offset: i64, time: Millis| format!("{{\"offset\":{offset},\"timestamp\":{time},\"key\":null,\"value\":1}}\n");
    let first = [
        line(0, 10),
        "before\n".into(),
        line(1, 100),
        "within\n".into(),
        line(2, 20),
        "left out\n".into(),
        "torn".into(),
    ];
    fs::write(segment_path(&topic, 0), first.concat()).unwrap();
    fs::write(segment_path(&topic, 3), [line(3, 110), line(4, 300), "behind\n".into()].concat()).unwrap();
    let mut window = small(folder.path(), TimeRange { from: 100, to: 200, disorder_ms: 100 });
    assert_eq!((offsets(&mut window), window.records()), (vec![1, -1, 3], 3));
}

#[test]
fn a_segment_that_was_cut_back_is_corrupt() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[100, 110, 120], 1 << 20);
    let mut window = small(folder.path(), TimeRange { from: 0, to: 200, disorder_ms: 10 });
    let path = segment_path(&folder.path().join(PARTITION), 0);
    File::options().write(true).open(path).unwrap().set_len(60).unwrap();
    window.open(&Positions::default()).unwrap();
    let error = window.read(&partition(0), &mut Chunk::default()).unwrap_err();
    assert_eq!(error.kind(), Kind::Corrupt, "{}", error.chain());
}

struct Topics(tempfile::TempDir, Option<String>);

impl SourceHarness for Topics {
    fn append(&mut self, partition: &Partition, timestamp: Millis, value: &str) {
        let settings = WriterSettings { segment_bytes_max: 300, ..WriterSettings::default() };
        let mut writer = TopicWriter::open(self.0.path(), "test", settings).unwrap();
        writer.append(&partition.topic, partition.number, timestamp, None, Some(value.as_bytes())).unwrap();
        writer.flush().unwrap();
    }

    fn open(&mut self) -> Box<dyn Source> {
        Box::new(small(self.0.path(), TimeRange { from: Millis::MIN, to: Millis::MAX, disorder_ms: 310_000 }))
    }

    fn bounded(&self) -> bool {
        true
    }

    fn append_torn(&mut self, partition: &Partition, timestamp: Millis, value: &str) -> bool {
        let line = format!("{{\"offset\":2,\"timestamp\":{timestamp},\"key\":null,\"value\":{value}}}\n");
        let (begun, rest) = line.split_at(line.len() / 2);
        self.raw(partition, begun);
        self.1 = Some(rest.to_owned());
        true
    }

    fn mend(&mut self, partition: &Partition) {
        let rest = self.1.take().unwrap();
        self.raw(partition, &rest);
    }
}

impl Topics {
    fn raw(&self, partition: &Partition, text: &str) {
        let path = segment_path(&self.0.path().join(partition.to_string()), 0);
        File::options().append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
    }
}

#[test]
fn windows_keep_the_contract_of_sources() {
    source_contract(|| Topics(tempfile::tempdir().unwrap(), None));
}
