//! Sliding windows over the events of a key.

use std::marker::PhantomData;

use super::events::{self, Shape, Window};
use super::history::Event;
use crate::bindings::types::{Keyed, RuleOutcome, Value};
use crate::encoding::Reader;
use crate::row::{InputSpec, Membership, Row};
use crate::rule::{ContextColumn, Terms, Verdict};

/// The events of a key in the `window_ms` that end at the event judged: (time − length, time], itself and events of
/// the same time included. Only events that count are in it: their `#[row(only = …)]` holds.
///
/// `Sliding<Payment>` knows how many they are; `Sliding<Payment, Kept>` keeps their columns and gives them back as rows.
#[derive(Debug)]
pub struct Sliding<'w, R, K = Counted> {
    events: &'w [Event],
    arena: &'w [u8],
    time: i64,
    length: i64,
    row: PhantomData<(fn() -> R, K)>,
}

/// Only the times of events are kept.
#[derive(Clone, Copy, Debug)]
pub struct Counted;

/// The columns of events are kept as well.
#[derive(Clone, Copy, Debug)]
pub struct Kept;

/// What a sliding window keeps of its events: [`Counted`] or [`Kept`].
pub trait Keeping {
    /// Whether it keeps their columns.
    const ROWS: bool;
}

impl Keeping for Counted {
    const ROWS: bool = false;
}

impl Keeping for Kept {
    const ROWS: bool = true;
}

impl<'w, R: Row, K: Keeping> Sliding<'w, R, K> {
    fn new(window: Window<'w>) -> Self {
        let Window { events, arena, time, length, .. } = window;
        Self { events, arena, time, length, row: PhantomData }
    }

    /// The window that ends at the last of `events`. Panics when there is none.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn of(events: &'w [Event], arena: &'w [u8], length: i64) -> Self {
        let time = events.last().expect("a window holds the event judged").time;
        Self::new(Window { events, all: events, low: 0, arena, time, length })
    }

    /// How many events there are, the one judged included.
    pub fn count(&self) -> u64 {
        self.events.len() as u64
    }

    /// Their times, ascending, in milliseconds since the Unix epoch.
    pub fn times(&self) -> impl Iterator<Item = i64> {
        self.events.iter().map(|event| event.time)
    }

    /// The time of the event judged: the last moment of the window.
    pub fn end(&self) -> i64 {
        self.time
    }

    /// The moment before the window's first.
    pub fn start(&self) -> i64 {
        self.time.saturating_sub(self.length)
    }
}

impl<'w, R: Row> Sliding<'w, R, Kept> {
    /// The events, ascending by time, of equal times in arrival order.
    pub fn rows(&self) -> impl Iterator<Item = R::At<'w>> {
        let arena = self.arena;
        self.events.iter().filter_map(move |event| R::decode(&mut Reader::new(event.kept.of(arena))))
    }
}

/// The context columns of a sliding rule, the settings apart.
pub fn context() -> Vec<ContextColumn> {
    events::context(["count"])
}

/// How the state is written: an event keeps its time, and its columns where they are kept.
pub fn shape<R: Row, K: Keeping>() -> String {
    format!("sliding({})", if K::ROWS { R::INPUT.shape() } else { String::new() })
}

/// What is declared: the columns of the row, or none when only events are counted.
pub fn input<R: Row, K: Keeping>() -> InputSpec {
    InputSpec { columns: if needs_columns::<R, K>() { R::INPUT.columns } else { &[] }, ..R::INPUT }
}

const fn needs_columns<R: Row, K: Keeping>() -> bool {
    R::FILTERED || K::ROWS
}

/// Judges the rows of a batch, each by the window that ends at it, and again the events that they touch.
pub fn apply<R: Row, K: Keeping, V: Verdict>(
    rows: &Keyed,
    terms: &Terms,
    length: i64,
    judge: impl Fn(&Sliding<'_, R, K>) -> V,
) -> Result<RuleOutcome, String> {
    let columns = match needs_columns::<R, K>() {
        true => Some(R::columns(&rows.batch.columns, Membership::all(rows.batch.rows as usize))?),
        false => None,
    };
    events::apply(rows, terms, length, SlidingShape::<R, K, _> { columns, judge, keeping: PhantomData })
}

/// Forgets what the watermark has passed.
pub fn advance<K: Keeping>(due: &Keyed, terms: &Terms, length: i64) -> Result<RuleOutcome, String> {
    events::advance(due, terms, length, K::ROWS)
}

struct SlidingShape<'a, R: Row, K, J> {
    columns: Option<R::Columns<'a>>,
    judge: J,
    keeping: PhantomData<K>,
}

impl<R: Row, K: Keeping, V: Verdict, J: Fn(&Sliding<'_, R, K>) -> V> Shape for SlidingShape<'_, R, K, J> {
    const KEEPS: bool = K::ROWS;
    const LAST_OF_EQUALS: bool = false;

    fn keep(&self, row: usize, arena: &mut Vec<u8>) -> bool {
        let Some(columns) = &self.columns else { return true };
        let view = R::at(columns, row);
        let counted = R::counted(&view);
        if counted && K::ROWS {
            R::encode(&view, arena);
        }
        counted
    }

    fn accepts(kept: &[u8]) -> bool {
        !K::ROWS || R::decode(&mut Reader::new(kept)).is_some()
    }

    fn judge(&mut self, window: Window<'_>) -> Option<(u32, Vec<Value>)> {
        let criteria = (self.judge)(&Sliding::new(window)).criteria();
        (criteria != 0).then(|| (criteria, window.context([window.events.len() as u64])))
    }
}
