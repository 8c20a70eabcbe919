//! Unit tests of plugins, natively and without a host.
//!
//! The functions here call the function of a rule with a window made by hand; [`Run`] drives a whole plugin through
//! batches as a host does: keys, states, watermarks, late events, timers; [`damaged`] breaks lines for those who read files.

use crate::encoding::Reader;
use crate::row::Row;
use crate::window::Event;
use crate::window::crossed::Crossed;
use crate::window::distinct::Distinct;
use crate::window::joined::Joined;
use crate::window::open::Open;
use crate::window::sliding::{Counted, Kept, Sliding};
use crate::window::tumbling::Tumbling;

mod columns;
mod damage;
mod run;

pub use damage::damaged;
pub use run::{Fired, Record, Run};

/// Calls `judge` with the window of `length` milliseconds that ends at the last of `times` and holds all of them.
/// Panics without a time.
pub fn sliding<R: Row, V>(times: &[i64], length: i64, judge: impl FnOnce(&Sliding<'_, R, Counted>) -> V) -> V {
    let events: Vec<_> = times.iter().map(|time| Event::earlier(*time, 0..0)).collect();
    judge(&Sliding::of(&events, &[], length))
}

/// Calls `judge` with the window of `length` milliseconds that ends at the last of `rows` and holds all of them.
/// Panics without a row.
pub fn sliding_rows<R: Row, V>(
    rows: &[(i64, R::At<'_>)],
    length: i64,
    judge: impl FnOnce(&Sliding<'_, R, Kept>) -> V,
) -> V {
    let mut arena = Vec::new();
    let mut events = Vec::new();
    for (time, row) in rows {
        let start = arena.len();
        R::encode(row, &mut arena);
        events.push(Event::earlier(*time, start..arena.len()));
    }
    judge(&Sliding::of(&events, &arena, length))
}

/// Calls `judge` with a window (0, length] in which a column has `count` different values.
pub fn distinct<R: Row, V>(count: u64, length: i64, judge: impl FnOnce(&Distinct<'_, R>) -> V) -> V {
    judge(&Distinct::new(count, length, length))
}

/// Calls `judge` with a window (0, length] that holds so many events of the first topic and of the second.
pub fn crossed<A: Row, B: Row, V>(counts: [u64; 2], length: i64, judge: impl FnOnce(&Crossed<A, B>) -> V) -> V {
    judge(&Crossed::new(counts, length, length))
}

/// Calls `judge` with the window [0, length) and its tally.
pub fn tumbling<R: Row, T, V>(tally: T, length: i64, judge: impl FnOnce(&Tumbling<'_, R, T>) -> V) -> V {
    judge(&Tumbling::new(&Open::new(0, length, tally)))
}

/// Calls `judge` with a pair of events, each with its time.
pub fn joined<A: Row, B: Row, V>(
    left: (i64, A::At<'_>),
    right: (i64, B::At<'_>),
    judge: impl FnOnce(&Joined<'_, A, B>) -> V,
) -> V {
    // Rows of two lifetimes meet in one that both outlive: that of their encoded forms.
    let (mut a, mut b) = (Vec::new(), Vec::new());
    A::encode(&left.1, &mut a);
    B::encode(&right.1, &mut b);
    let decoded = |bytes| Reader::new(bytes);
    let a = A::decode(&mut decoded(&a)).expect("what was encoded decodes");
    let b = B::decode(&mut decoded(&b)).expect("what was encoded decodes");
    judge(&Joined::new((left.0, a), (right.0, b)))
}
