//! Sliding windows over the events of a key from two topics.

use std::marker::PhantomData;

use super::events::{self, Shape, Window};
use super::sides::{Side, Sides};
use crate::bindings::types::{Keyed, RuleOutcome, Value};
use crate::row::Row;
use crate::rule::{ContextColumn, Terms, Verdict};

/// The events of a key from two topics in the `window_ms` that end at the event judged, which is from either: (time − length,
/// time], itself and events of the same time included. Only events that count are in it: their `#[row(only = …)]` holds.
#[derive(Debug)]
pub struct Crossed<A, B> {
    counts: [u64; 2],
    time: i64,
    length: i64,
    rows: PhantomData<fn() -> (A, B)>,
}

impl<A, B> Crossed<A, B> {
    pub(crate) fn new(counts: [u64; 2], time: i64, length: i64) -> Self {
        Self { counts, time, length, rows: PhantomData }
    }

    /// How many events of the first topic there are.
    pub fn left_count(&self) -> u64 {
        self.counts[0]
    }

    /// How many events of the second topic there are.
    pub fn right_count(&self) -> u64 {
        self.counts[1]
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

/// The context columns of a crossed rule, the settings apart: how many events there are of each topic, by its name, and the
/// bounds.
pub fn context<A: Row, B: Row>() -> Vec<ContextColumn> {
    events::context(topics::<A, B>())
}

/// How the state is written: an event keeps its time and which of the two topics it is from.
pub fn shape<A: Row, B: Row>() -> String {
    format!("crossed({})", topics::<A, B>().join(","))
}

fn topics<A: Row, B: Row>() -> [&'static str; 2] {
    [A::INPUT, B::INPUT].map(|input| input.topic.unwrap_or_default())
}

/// Judges the rows of a batch, each by the window that ends at it, and again the events that they touch.
pub fn apply<A: Row, B: Row, V: Verdict>(
    rows: &Keyed,
    terms: &Terms,
    length: i64,
    judge: impl Fn(&Crossed<A, B>) -> V,
) -> Result<RuleOutcome, String> {
    events::apply(rows, terms, length, CrossedShape { sides: Sides::of(rows)?, judge })
}

/// Forgets what the watermark has passed.
pub fn advance(due: &Keyed, terms: &Terms, length: i64) -> Result<RuleOutcome, String> {
    events::advance(due, terms, length, true)
}

struct CrossedShape<'a, A: Row, B: Row, J> {
    sides: Sides<'a, A, B>,
    judge: J,
}

const LEFT: &[u8] = &[Side::Left as u8];
const RIGHT: &[u8] = &[Side::Right as u8];

impl<A: Row, B: Row, V: Verdict, J: Fn(&Crossed<A, B>) -> V> Shape for CrossedShape<'_, A, B, J> {
    const KEEPS: bool = true;
    const LAST_OF_EQUALS: bool = false;

    fn keep(&self, row: usize, arena: &mut Vec<u8>) -> bool {
        let side = self.sides.of_row(row);
        arena.push(side as u8);
        match side {
            Side::Left => A::counted(&A::at(&self.sides.left, row)),
            Side::Right => B::counted(&B::at(&self.sides.right, row)),
        }
    }

    fn accepts(kept: &[u8]) -> bool {
        kept == LEFT || kept == RIGHT
    }

    fn input(kept: &[u8]) -> u8 {
        if kept == LEFT { Side::Left as u8 } else { Side::Right as u8 }
    }

    fn judge(&mut self, window: Window<'_>) -> Option<(u32, Vec<Value>)> {
        let left = window.events.iter().filter(|event| event.kept.of(window.arena) == LEFT).count();
        let counts = [left as u64, (window.events.len() - left) as u64];
        let criteria = (self.judge)(&Crossed::new(counts, window.time, window.length)).criteria();
        (criteria != 0).then(|| (criteria, window.context(counts)))
    }
}
