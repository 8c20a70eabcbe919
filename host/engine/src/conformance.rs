//! The contracts of [`Source`](crate::Source), [`Sink`] and [`CheckpointStore`](crate::CheckpointStore) as suites that every implementation passes.
//!
//! A suite takes a function that makes a fresh, empty harness, and panics at the first breach with
//! words that name it. A harness's `open` stands for a new process over the same stored content:
//! whatever was opened before is dropped, nothing is told to close.

mod checkpoints;
mod source;

use tamis_model::position::Partition;

pub use self::checkpoints::{CheckpointHarness, checkpoint_contract};
pub use self::source::{SourceHarness, source_contract};
use crate::sink::{Settle, Sink};

fn partition(number: u32) -> Partition {
    Partition { topic: "payments".to_owned(), number }
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
