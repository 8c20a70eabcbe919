//! The contracts of [`Source`], [`Sink`] and [`CheckpointStore`] as suites that every implementation passes.
//!
//! A suite takes a function that makes a fresh, empty harness, and panics at the first breach with
//! words that name it. A harness's `open` stands for a new process over the same stored content:
//! whatever was opened before is dropped, nothing is told to close.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use serde_json::json;
use tamis_model::position::{Partition, Positions};
use tamis_model::time::Millis;

use crate::checkpoint::{Checkpoint, CheckpointStore};
use crate::sink::{Settle, Sink};
use crate::source::{Chunk, PADDING, Read, Source};

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
}

fn partition(number: u32) -> Partition {
    Partition { topic: "payments".to_owned(), number }
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

/// What a sink is tested over.
pub trait SinkHarness<T> {
    /// A new sink over what is stored.
    fn open(&mut self) -> Box<dyn Sink<T>>;
    /// The `n`-th output; all are different.
    fn item(&self, n: usize) -> T;
    /// The numbers of the outputs that are visible, in any order. Only asked directly after everything is settled.
    fn committed(&mut self) -> Vec<usize>;
}

/// Tests a [`Sink`].
pub fn sink_contract<T, H: SinkHarness<T>>(mut make: impl FnMut() -> H) {
    committed_output_is_visible(&mut make());
    uncommitted_output_is_undone(&mut make());
    a_crash_between_stage_and_commit_loses_nothing(&mut make());
    nothing_written_is_fine(&mut make());
    what_is_gathered_survives(&mut make());
}

fn write<T, H: SinkHarness<T>>(harness: &H, sink: &mut dyn Sink<T>, range: std::ops::Range<usize>) {
    let items: Vec<T> = range.map(|n| harness.item(n)).collect();
    sink.write(&items).expect("a healthy sink takes output");
}

fn assert_committed<T, H: SinkHarness<T>>(harness: &mut H, sink: &mut dyn Sink<T>, n: usize, when: &str) {
    sink.settle(Settle::All).expect("a healthy sink settles");
    let mut committed = harness.committed();
    committed.sort_unstable();
    assert_eq!(committed, (0..n).collect::<Vec<_>>(), "{when}");
}

fn committed_output_is_visible<T, H: SinkHarness<T>>(harness: &mut H) {
    let mut sink = harness.open();
    write(harness, &mut *sink, 0..2);
    write(harness, &mut *sink, 2..3);
    let staged = sink.stage().expect("a healthy sink stages");
    sink.commit(&staged).expect("what was staged is committed");
    assert_committed(harness, &mut *sink, 3, "everything staged is visible after the commit");
    write(harness, &mut *sink, 3..5);
    let staged = sink.stage().expect("a healthy sink stages again");
    for _ in 0..2 {
        sink.commit(&staged).expect("a commit can be repeated");
        assert_committed(harness, &mut *sink, 5, "a repeated commit changes nothing");
    }
}

fn uncommitted_output_is_undone<T, H: SinkHarness<T>>(harness: &mut H) {
    let mut sink = harness.open();
    let nothing = sink.stage().expect("an empty sink stages");
    sink.commit(&nothing).expect("nothing is committed");
    write(harness, &mut *sink, 0..3);
    drop(sink);
    let mut sink = harness.open();
    sink.commit(&nothing).expect("the first commit is repeated in a new process");
    assert_committed(harness, &mut *sink, 0, "what was never staged is gone after the first commit");
    write(harness, &mut *sink, 0..3);
    let staged = sink.stage().expect("a healthy sink stages");
    sink.commit(&staged).expect("what was staged is committed");
    write(harness, &mut *sink, 3..6);
    drop(sink);
    let mut sink = harness.open();
    sink.commit(&staged).expect("a commit is repeated in a new process");
    assert_committed(harness, &mut *sink, 3, "what was written after the stage is gone");
    write(harness, &mut *sink, 3..4);
    sink.stage().expect("a stage whose checkpoint is never saved");
    drop(sink);
    let mut sink = harness.open();
    sink.commit(&staged).expect("the last saved commit is repeated");
    assert_committed(harness, &mut *sink, 3, "what was staged without a checkpoint is gone");
    write(harness, &mut *sink, 3..6);
    let staged = sink.stage().expect("a healthy sink stages");
    sink.commit(&staged).expect("what was staged is committed");
    assert_committed(harness, &mut *sink, 6, "writing goes on after a recovery");
}

fn a_crash_between_stage_and_commit_loses_nothing<T, H: SinkHarness<T>>(harness: &mut H) {
    let mut sink = harness.open();
    write(harness, &mut *sink, 0..4);
    let staged = sink.stage().expect("a healthy sink stages");
    drop(sink);
    let mut sink = harness.open();
    sink.commit(&staged).expect("a new process commits what another one staged");
    assert_committed(harness, &mut *sink, 4, "what was staged survives the crash");
    write(harness, &mut *sink, 4..5);
    let staged = sink.stage().expect("a healthy sink stages");
    sink.commit(&staged).expect("what was staged is committed");
    assert_committed(harness, &mut *sink, 5, "writing goes on after the crash");
}

fn nothing_written_is_fine<T, H: SinkHarness<T>>(harness: &mut H) {
    let mut sink = harness.open();
    sink.write(&[]).expect("nothing can be written");
    let mut staged = sink.stage().expect("nothing can be staged");
    sink.commit(&staged).expect("nothing can be committed");
    write(harness, &mut *sink, 0..1);
    for _ in 0..3 {
        staged = sink.stage().expect("a stage without new output");
        sink.commit(&staged).expect("a commit without new output");
        assert_committed(harness, &mut *sink, 1, "ticks without output change nothing");
    }
    drop(sink);
    let mut sink = harness.open();
    sink.commit(&staged).expect("a commit is repeated in a new process");
    assert_committed(harness, &mut *sink, 1, "nor does a restart");
}

/// A sink settles rarely, and a crash may come at any time between.
fn what_is_gathered_survives<T, H: SinkHarness<T>>(harness: &mut H) {
    let mut sink = harness.open();
    for n in 0..6 {
        write(harness, &mut *sink, n..n + 1);
        let staged = sink.stage().expect("a healthy sink stages");
        sink.commit(&staged).expect("what was staged is committed");
        match n {
            1 | 4 => {
                drop(sink);
                sink = harness.open();
                sink.commit(&staged).expect("a commit is repeated in a new process");
            }
            2 => sink.settle(Settle::Due).expect("a healthy sink settles"),
            _ => {}
        }
    }
    assert_committed(harness, &mut *sink, 6, "what was gathered over crashes is visible in the end, once");
}

/// What a checkpoint store is tested over.
pub trait CheckpointHarness {
    /// A new store over what was saved.
    fn open(&mut self) -> Box<dyn CheckpointStore>;

    /// Damages the last checkpoint. False when the medium cannot be damaged.
    fn damage_latest(&mut self) -> bool {
        false
    }
}

/// Tests a [`CheckpointStore`].
pub fn checkpoint_contract<H: CheckpointHarness>(mut make: impl FnMut() -> H) {
    let mut harness = make();
    assert_eq!(harness.open().latest().expect("an empty store can be asked"), None, "no checkpoint at first");
    for number in 0..4 {
        let saved = checkpoint(number);
        let mut store = harness.open();
        store.save(&saved).expect("a healthy store saves");
        assert_eq!(store.latest().expect("it reads back"), Some(saved.clone()), "in the same process");
        assert_eq!(harness.open().latest().expect("it reads back"), Some(saved), "in a new process");
    }
    if harness.damage_latest() {
        harness.open().latest().expect_err("a damaged checkpoint is an error, never an older one");
    }
}

fn checkpoint(number: u64) -> Checkpoint {
    let mut positions = Positions::default();
    positions.set(&partition(0), 7 + number as i64);
    positions.set(&partition(1), i64::MAX);
    let every_byte = (0..=u8::MAX).cycle().take(3000).collect();
    Checkpoint {
        number,
        positions,
        staged: BTreeMap::from([("records".to_owned(), json!({"end": [number, null, "é\n"]}))]),
        state: BTreeMap::from([("rule/é".to_owned(), every_byte), ("empty".to_owned(), Vec::new())]),
    }
}
