//! Judging the events of a key by the events before them: what [`Sliding`](super::sliding::Sliding),
//! [`Distinct`](super::distinct::Distinct) and [`Crossed`](super::crossed::Crossed) have in common.

use super::history::{Event, History};
use super::identity::IdentityColumns;
use crate::bindings::types::{Keyed, RuleOutcome, Value};
use crate::rule::{ByKey, ContextColumn, Terms, empty_outcome, end_state, foreign_state};

/// The window that ends at the event judged: the events of its key in (time − length, time].
#[derive(Clone, Copy, Debug)]
pub(super) struct Window<'w> {
    /// Ascending by time.
    pub events: &'w [Event],
    /// All events of the key, of which these are a stretch.
    pub all: &'w [Event],
    /// Where the stretch begins.
    pub low: usize,
    /// Holds what is kept of them.
    pub arena: &'w [u8],
    pub time: i64,
    pub length: i64,
}

impl Window<'_> {
    /// Tallies and the bounds, as context values.
    pub fn context<const N: usize>(&self, tallies: [u64; N]) -> Vec<Value> {
        let bounds = [self.time.saturating_sub(self.length), self.time].map(Value::Timestamp);
        tallies.into_iter().map(|tally| Value::Int64(tally as i64)).chain(bounds).collect()
    }
}

/// The context columns of [`Window::context`], with names for its tallies.
pub(super) fn context<const N: usize>(tallies: [&str; N]) -> Vec<ContextColumn> {
    let names = tallies.into_iter().chain(["window_start", "window_end"]);
    names.map(|name| ContextColumn::carried(name, false)).collect()
}

/// What is kept of events, and how a window of them is judged: one implementation for each shape of window.
pub(super) trait Shape {
    /// Whether anything is kept of an event beside its time.
    const KEEPS: bool;
    /// Whether of settled events that keep the same bytes only the last is needed.
    const LAST_OF_EQUALS: bool;

    /// Appends what is kept of `row`; false = the row does not count.
    fn keep(&self, row: usize, arena: &mut Vec<u8>) -> bool;
    /// Whether bytes of a state are something that [`Shape::keep`] writes.
    fn accepts(kept: &[u8]) -> bool;
    /// The declared input of the event that these bytes are kept of.
    fn input(_kept: &[u8]) -> u8 {
        0
    }
    /// The events that windows were of are others now, or stand elsewhere.
    fn forget_windows(&mut self) {}
    /// Judges a window: the criteria that hold, and the context when any does.
    fn judge(&mut self, window: Window<'_>) -> Option<(u32, Vec<Value>)>;
}

/// Judges the rows of a batch, and again the events that they touch.
pub(super) fn apply<S: Shape>(rows: &Keyed, terms: &Terms, length: i64, mut shape: S) -> Result<RuleOutcome, String> {
    let by_key = ByKey::new(rows)?;
    let identities = IdentityColumns::of(rows.identities.as_ref(), rows.batch.rows as usize)?;
    // An event that may still fire is remembered with its time and three ids.
    let mut outcome = empty_outcome(by_key.keys(), by_key.state_bytes() + 64 * rows.times.len());
    let version = terms.state_version;
    let mut history = History::default();
    for group in 0..by_key.keys() {
        let state = by_key.state(group);
        history.decode(state, version, S::KEEPS).ok_or_else(|| foreign_state(version, group, state))?;
        if S::KEEPS && !history.events.iter().all(|event| S::accepts(event.kept.of(&history.arena))) {
            return Err(foreign_state(version, group, state));
        }
        shape.forget_windows();
        for &row in by_key.rows(group) {
            let start = history.arena.len();
            if !shape.keep(row as usize, &mut history.arena) {
                history.arena.truncate(start);
                continue;
            }
            let at = history.insert(row, rows.times[row as usize], start);
            if at + 1 < history.events.len() {
                shape.forget_windows();
            }
            judge(&mut history, &mut shape, length, at, |event, arena, criteria, context| {
                let subject = event.subject(S::input(event.kept.of(arena)), arena, group)?;
                outcome.findings.push(terms.finding(subject, criteria, context));
                Ok(())
            })?;
        }
        history.forget(rows.watermark, length, S::LAST_OF_EQUALS);
        let identities = Some(&identities);
        history.encode(rows.watermark, version, S::KEEPS, identities, &mut outcome.states.data);
        end_state(&mut outcome, history.wake(length))?;
    }
    Ok(outcome)
}

/// Forgets what the watermark has passed.
pub(super) fn advance(due: &Keyed, terms: &Terms, length: i64, keeps: bool) -> Result<RuleOutcome, String> {
    let by_key = ByKey::new(due)?;
    let mut outcome = empty_outcome(by_key.keys(), by_key.state_bytes());
    let version = terms.state_version;
    let mut history = History::default();
    for group in 0..by_key.keys() {
        let state = by_key.state(group);
        history.decode(state, version, keeps).ok_or_else(|| foreign_state(version, group, state))?;
        history.forget(due.watermark, length, false);
        history.encode(due.watermark, version, keeps, None, &mut outcome.states.data);
        end_state(&mut outcome, history.wake(length))?;
    }
    Ok(outcome)
}

/// Judges every event whose window the event at `at` is in.
fn judge(
    history: &mut History<'_>,
    shape: &mut impl Shape,
    length: i64,
    at: usize,
    mut fire: impl FnMut(&Event, &[u8], u32, Vec<Value>) -> Result<(), String>,
) -> Result<(), String> {
    let (events, arena) = history.parts();
    let time = events[at].time;
    let equal_before = events[..at].iter().rev().take_while(|e| e.time == time).count();
    let mut low = 0;
    let mut next = at - equal_before;
    while let Some(judged) = events.get(next).copied().filter(|e| e.time.saturating_sub(time) < length) {
        if judged.can_fire() {
            let start = judged.time.saturating_sub(length);
            low += events[low..].partition_point(|e| e.time <= start);
            let high = next + events[next..].iter().take_while(|e| e.time == judged.time).count();
            let window = Window { events: &events[low..high], all: events, low, arena, time: judged.time, length };
            if let Some((criteria, context)) = shape.judge(window) {
                fire(&judged, arena, criteria, context)?;
                events[next].fired = true;
            }
        }
        next += 1;
    }
    Ok(())
}
