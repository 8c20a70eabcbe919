//! The contract of [`Source`].

use std::thread;
use std::time::Duration;

use tamis_model::position::{Partition, Positions};
use tamis_model::time::Millis;

use super::partition;
use crate::chunk::{Chunk, PADDING};
use crate::clock::{Clock, SystemClock, Waker};
use crate::source::{Read, Source};

/// How often a suite looks for records that are on their way, and the pause between two looks.
const ARRIVAL_TRIES: u32 = 10_000;
const PAUSE: Duration = Duration::from_millis(2);

/// What a source is tested over.
pub trait SourceHarness {
    /// Appends a record that is whole. Offsets of a partition count from 0.
    fn append(&mut self, partition: &Partition, timestamp: Millis, value: &str);
    /// A new source over what was appended.
    fn open(&mut self) -> Box<dyn Source>;
    /// Whether the sources end where the records end when they are opened, or wait for more.
    fn bounded(&self) -> bool;

    /// Whether the sources wake who waits for records.
    fn wakes(&self) -> bool {
        false
    }

    /// Appends the beginning of a record. False when the medium cannot hold half a record.
    fn append_torn(&mut self, _partition: &Partition, _timestamp: Millis, _value: &str) -> bool {
        false
    }

    /// Appends the rest of the record that was torn.
    fn mend(&mut self, _partition: &Partition) {}

    /// The values of the records in a chunk. By default those of record lines (contracts 1) and frames.
    fn values(&self, chunk: &Chunk) -> Vec<String> {
        let values = chunk.origins().filter_map(|origin| chunk.record(origin).value);
        values.map(|value| String::from_utf8(value).expect("the values are text")).collect()
    }
}

/// Tests a [`Source`].
pub fn source_contract<H: SourceHarness>(mut make: impl FnMut() -> H) {
    records_arrive_once_and_in_order(&mut make());
    reading_goes_on_at_positions(&mut make());
    more_records_arrive_later(&mut make());
    a_torn_record_is_not_there(&mut make());
    reading_ahead_changes_nothing(&mut make());
    who_waits_is_woken(&mut make());
}

/// Any value will do; numbers as JSON texts are values on every medium.
fn values(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

fn append<H: SourceHarness>(harness: &mut H, partition: &Partition, range: std::ops::Range<u32>) {
    for n in range {
        harness.append(partition, 1_773_842_400_000 + Millis::from(n), &n.to_string());
    }
}

/// Reads a partition until it has nothing more, and has given as many records as are expected of it: what was just appended may need a
/// moment to arrive.
fn read_expected<H: SourceHarness>(
    harness: &H,
    source: &mut dyn Source,
    partition: &Partition,
    expected: &[String],
    when: &str,
) {
    let mut read = read_all(harness, source, partition);
    for _ in 0..ARRIVAL_TRIES {
        if read.len() >= expected.len() {
            break;
        }
        thread::sleep(PAUSE);
        read.extend(read_all(harness, source, partition));
    }
    assert_eq!(read, expected, "{when}");
}

/// Reads a partition until it has nothing more.
fn read_all<H: SourceHarness>(harness: &H, source: &mut dyn Source, partition: &Partition) -> Vec<String> {
    let mut read = Vec::new();
    let mut chunk = Chunk::default();
    let mut waits = 0;
    loop {
        match source.read(partition, &mut chunk).expect("a healthy source can be read") {
            Read::Records => {
                let (records, padded) = (chunk.records(), chunk.padded());
                assert_eq!(padded.len(), records.len() + PADDING, "a chunk ends in its padding");
                assert!(padded[records.len()..].iter().all(|byte| *byte == 0), "the padding is zero");
                let values = harness.values(&chunk);
                assert!(!values.is_empty(), "Read::Records means that there is at least one record");
                read.extend(values);
            }
            Read::Waiting => {
                waits += 1;
                assert!(waits < ARRIVAL_TRIES, "what a source waits for arrives");
                thread::sleep(PAUSE);
            }
            Read::Passed(_) => panic!("a source of whole partitions shows records, not times"),
            Read::CaughtUp => {
                assert!(!harness.bounded(), "a bounded source never catches up, it ends");
                return read;
            }
            Read::Ended => {
                assert!(harness.bounded(), "only a bounded source ends");
                return read;
            }
        }
    }
}

fn records_arrive_once_and_in_order<H: SourceHarness>(harness: &mut H) {
    append(harness, &partition(0), 0..100);
    append(harness, &partition(1), 100..110);
    let mut source = harness.open();
    source.open(&Positions::default()).expect("a source opens at the beginning");
    let partitions = source.partitions().expect("partitions are known");
    assert_eq!(partitions, [partition(0), partition(1)], "every partition is named once, in a stable order");
    assert_eq!(read_all(harness, &mut *source, &partition(1)), values(100..110), "partitions are independent");
    assert_eq!(read_all(harness, &mut *source, &partition(0)), values(0..100), "records arrive once and in order");
    assert_eq!(read_all(harness, &mut *source, &partition(0)), values(0..0), "and not again");
}

fn reading_goes_on_at_positions<H: SourceHarness>(harness: &mut H) {
    append(harness, &partition(0), 0..20);
    append(harness, &partition(1), 20..30);
    for next in [0, 1, 7, 19, 20] {
        let mut positions = Positions::default();
        positions.set(&partition(0), i64::from(next));
        let mut source = harness.open();
        source.open(&positions).expect("a source opens at a position");
        assert_eq!(read_all(harness, &mut *source, &partition(0)), values(next..20), "opened at {next}");
        assert_eq!(read_all(harness, &mut *source, &partition(1)), values(20..30), "opened at its beginning");
    }
    let mut source = harness.open();
    source.open(&Positions::default()).expect("a source opens at the beginning");
    read_all(harness, &mut *source, &partition(0));
    let mut positions = Positions::default();
    positions.set(&partition(0), 10);
    source.release(&positions).expect("a source can be released");
    positions.set(&partition(0), 12);
    source.open(&positions).expect("a source can be opened again, backwards");
    assert_eq!(read_all(harness, &mut *source, &partition(0)), values(12..20), "opened again");
}

fn more_records_arrive_later<H: SourceHarness>(harness: &mut H) {
    append(harness, &partition(0), 0..3);
    let mut source = harness.open();
    source.open(&Positions::default()).expect("a source opens at the beginning");
    assert_eq!(read_all(harness, &mut *source, &partition(0)), values(0..3), "what was there");
    append(harness, &partition(0), 3..8);
    append(harness, &partition(1), 8..9);
    if harness.bounded() {
        source = harness.open();
        let mut positions = Positions::default();
        positions.set(&partition(0), 3);
        source.open(&positions).expect("a source opens at a position");
    }
    read_expected(harness, &mut *source, &partition(0), &values(3..8), "what came later");
    for _ in 0..ARRIVAL_TRIES {
        if source.partitions().expect("partitions are known").len() == 2 {
            break;
        }
        thread::sleep(PAUSE);
    }
    assert_eq!(source.partitions().expect("partitions are known"), [partition(0), partition(1)], "a new partition");
    read_expected(harness, &mut *source, &partition(1), &values(8..9), "of a new partition");
}

fn a_torn_record_is_not_there<H: SourceHarness>(harness: &mut H) {
    append(harness, &partition(0), 0..2);
    if !harness.append_torn(&partition(0), 1_773_842_400_002, "2") {
        return;
    }
    let mut source = harness.open();
    source.open(&Positions::default()).expect("a source opens at the beginning");
    assert_eq!(read_all(harness, &mut *source, &partition(0)), values(0..2), "a record is whole or not there");
    harness.mend(&partition(0));
    if harness.bounded() {
        source = harness.open();
        let mut positions = Positions::default();
        positions.set(&partition(0), 2);
        source.open(&positions).expect("a source opens at a position");
    }
    assert_eq!(read_all(harness, &mut *source, &partition(0)), values(2..3), "once it is whole it arrives");
}

fn reading_ahead_changes_nothing<H: SourceHarness>(harness: &mut H) {
    append(harness, &partition(0), 0..20);
    append(harness, &partition(1), 20..40);
    let mut source = harness.open();
    source.open(&Positions::default()).expect("a source opens at the beginning");
    let (mut chunk, mut read) = (Chunk::default(), [Vec::new(), Vec::new()]);
    for round in 0..ARRIVAL_TRIES {
        // Of the partition that is read next, and of the other one.
        let (ahead, next) = (round / 2 % 2, round % 2);
        source.read_ahead(&partition(ahead));
        match source.read(&partition(next), &mut chunk).expect("a healthy source can be read") {
            Read::Records => read[next as usize].extend(harness.values(&chunk)),
            _ if read.iter().all(|read| read.len() >= 20) => break,
            _ => thread::sleep(PAUSE),
        }
    }
    assert_eq!(read, [values(0..20), values(20..40)]);
}

fn who_waits_is_woken<H: SourceHarness>(harness: &mut H) {
    if !harness.wakes() {
        return;
    }
    append(harness, &partition(0), 0..2);
    append(harness, &partition(1), 2..3);
    let (mut source, waker) = (harness.open(), Waker::default());
    source.wake(&waker);
    source.open(&Positions::default()).expect("a source opens at the beginning");
    for appended in [3..4, 4..6] {
        for number in [0, 1] {
            read_all(harness, &mut *source, &partition(number));
        }
        waker.take();
        assert!(!SystemClock.wait(20, &waker), "nothing has come");
        append(harness, &partition(1), appended.clone());
        assert!(SystemClock.wait(60_000, &waker), "something has come");
        read_expected(harness, &mut *source, &partition(1), &values(appended), "whoever was woken finds it");
    }
}
