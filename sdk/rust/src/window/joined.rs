//! Pairs of events of one key from two topics.
//!
//! Which events matter, with watermark W: events that are still to come have a time ≥ W − 24 h, because joins judge
//! late ones up to that age ([`LATE_MS_MAX`]). They pair with events at most 24 h away, so everything before W − 48 h is forgotten.
//!
//! Encoding: version, then for each event its side and time, its identity (left ones), and its columns. Right events
//! are in the order of their arrival, for the first one counts.

use std::ops::ControlFlow;

use super::identity::{self, IdentityColumns};
use super::sides::{Side, Sides};
use crate::bindings::types::{Keyed, RuleOutcome, Subject, Value};
use crate::encoding::{self, Reader};
use crate::row::{ColumnSpec, InputSpec, Row};
use crate::rule::{ByKey, ContextColumn, NEVER, Terms, Verdict, empty_outcome, end_state, foreign_state};

/// How far apart the events of a pair can be, in milliseconds: 24 hours.
pub const DISTANCE_MS: i64 = 24 * 60 * 60 * 1000;
/// How far behind its partition's watermark an event can lie to be judged, in milliseconds: 24 hours.
pub const LATE_MS_MAX: u64 = 24 * 60 * 60 * 1000;

/// An event of the left topic, which is the trigger, and one of the right topic with the same key, at most 24 h apart. Which
/// of them arrived first makes no difference.
#[derive(Debug)]
pub struct Joined<'w, A: Row, B: Row> {
    left: A::At<'w>,
    right: B::At<'w>,
    left_time: i64,
    right_time: i64,
}

impl<'w, A: Row, B: Row> Joined<'w, A, B> {
    pub(crate) fn new((left_time, left): (i64, A::At<'w>), (right_time, right): (i64, B::At<'w>)) -> Self {
        Self { left, right, left_time, right_time }
    }

    /// The trigger.
    pub fn left(&self) -> &A::At<'w> {
        &self.left
    }

    /// What it is compared with.
    pub fn right(&self) -> &B::At<'w> {
        &self.right
    }

    /// The event time of the trigger, milliseconds since the Unix epoch.
    pub fn left_time(&self) -> i64 {
        self.left_time
    }

    /// The event time of the other event.
    pub fn right_time(&self) -> i64 {
        self.right_time
    }
}

/// Which right events a left one is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pairing {
    /// The first to arrive of those in reach.
    First,
    /// Each in reach, until one makes it fire.
    Any,
}

/// The context columns of a join, the settings apart: the columns of both sides and the time of the right one. Where both
/// have a column of the same name, the right one's is `topic.name`. The key is left out, for the alert names it, and so are
/// columns of which only one text counts.
pub fn context<A: Row, B: Row>(key: &str) -> Vec<ContextColumn> {
    let left = A::INPUT.columns.iter().filter(|column| is_told(column, key));
    let left = left.map(|column| ContextColumn::carried(column.name, column.personal));
    let right = B::INPUT.columns.iter().filter(|column| is_told(column, key));
    let right = right.map(|column| match (A::INPUT.declares(column.name), B::INPUT.topic) {
        (true, Some(topic)) => ContextColumn::carried(format!("{topic}.{}", column.name), column.personal),
        _ => ContextColumn::carried(column.name, column.personal),
    });
    left.chain(right).chain([ContextColumn::carried("joined_time", false)]).collect()
}

fn is_told(column: &ColumnSpec, key: &str) -> bool {
    column.name != key && column.only.is_none()
}

/// How the state is written: what is remembered depends on the pairing, and an event keeps its columns.
pub fn shape<A: Row, B: Row>(pairing: Pairing) -> String {
    let pairing = match pairing {
        Pairing::First => "first",
        Pairing::Any => "any",
    };
    let side = |input: InputSpec| format!("{}({})", input.topic.unwrap_or_default(), input.shape());
    format!("joined({pairing};{};{})", side(A::INPUT), side(B::INPUT))
}

/// Pairs the rows of a batch with each other and with what is remembered.
pub fn apply<A: Row, B: Row, V: Verdict>(
    rows: &Keyed,
    terms: &Terms,
    pairing: Pairing,
    key: &str,
    judge: impl Fn(&Joined<'_, A, B>) -> V,
) -> Result<RuleOutcome, String> {
    let by_key = ByKey::new(rows)?;
    let arrivals = Arrivals::<A, B>::of(rows)?;
    let mut outcome = empty_outcome(by_key.keys(), 2 * by_key.state_bytes() + 64 * rows.times.len());
    let mut pairs = Pairs { pairing, ..Pairs::default() };
    let version = terms.state_version;
    for group in 0..by_key.keys() {
        let state = by_key.state(group);
        pairs.decode::<A, B>(state, version).ok_or_else(|| foreign_state(version, group, state))?;
        for &row in by_key.rows(group) {
            let Some((side, event)) = arrivals.event(row) else { continue };
            pairs.add(side, event, |left, right| {
                let Some(joined) = join::<A, B>(left, right) else { return ControlFlow::Continue(()) };
                let criteria = judge(&joined).criteria();
                let subject = if criteria == 0 { None } else { left.subject(group as u32) };
                let Some(subject) = subject else { return ControlFlow::Continue(()) };
                outcome.findings.push(terms.finding(subject, criteria, values(&joined, key)));
                ControlFlow::Break(())
            });
        }
        pairs.forget(rows.watermark);
        pairs.encode(version, &mut outcome.states.data);
        end_state(&mut outcome, pairs.wake())?;
    }
    Ok(outcome)
}

/// Forgets what the watermark has passed.
pub fn advance<A: Row, B: Row>(due: &Keyed, terms: &Terms) -> Result<RuleOutcome, String> {
    let by_key = ByKey::new(due)?;
    let mut outcome = empty_outcome(by_key.keys(), by_key.state_bytes());
    let mut pairs = Pairs::default();
    let version = terms.state_version;
    for group in 0..by_key.keys() {
        let state = by_key.state(group);
        pairs.decode::<A, B>(state, version).ok_or_else(|| foreign_state(version, group, state))?;
        pairs.forget(due.watermark);
        pairs.encode(version, &mut outcome.states.data);
        end_state(&mut outcome, pairs.wake())?;
    }
    Ok(outcome)
}

/// The rows of a batch.
struct Arrivals<'a, A: Row, B: Row> {
    sides: Sides<'a, A, B>,
    identities: IdentityColumns<'a>,
    times: &'a [i64],
}

impl<'a, A: Row, B: Row> Arrivals<'a, A, B> {
    fn of(keyed: &'a Keyed) -> Result<Self, String> {
        let identities = IdentityColumns::of(keyed.identities.as_ref(), keyed.batch.rows as usize)?;
        Ok(Self { sides: Sides::of(keyed)?, identities, times: &keyed.times })
    }

    /// The event of a row, if it counts.
    fn event(&self, row: u32) -> Option<(Side, Event)> {
        let at = row as usize;
        let mut event = Event { time: self.times[at], row: Some(row), identity: Vec::new(), bytes: Vec::new() };
        let side = self.sides.of_row(at);
        if side == Side::Left {
            let view = A::at(&self.sides.left, at);
            A::encode(&view, &mut event.bytes);
            self.identities.encode(at, &mut event.identity);
            A::counted(&view).then_some((side, event))
        } else {
            let view = B::at(&self.sides.right, at);
            B::encode(&view, &mut event.bytes);
            B::counted(&view).then_some((side, event))
        }
    }
}

fn join<'w, A: Row, B: Row>(left: &'w Event, right: &'w Event) -> Option<Joined<'w, A, B>> {
    let (a, b) = (A::decode(&mut Reader::new(&left.bytes))?, B::decode(&mut Reader::new(&right.bytes))?);
    Some(Joined::new((left.time, a), (right.time, b)))
}

/// The values of the context columns.
fn values<A: Row, B: Row>(joined: &Joined<'_, A, B>, key: &str) -> Vec<Value> {
    let mut values = Vec::with_capacity(A::INPUT.columns.len() + B::INPUT.columns.len() + 1);
    A::values(&joined.left, &mut values);
    B::values(&joined.right, &mut values);
    let mut columns = A::INPUT.columns.iter().chain(B::INPUT.columns);
    values.retain(|_| columns.next().is_some_and(|column| is_told(column, key)));
    values.push(Value::Timestamp(joined.right_time));
    values
}

/// An event that waits for its counterpart.
#[derive(Debug)]
struct Event {
    time: i64,
    /// Its row in this batch; none when it is from an earlier one.
    row: Option<u32>,
    /// Its encoded identity; empty for right events, which never are the trigger.
    identity: Vec<u8>,
    /// Its encoded columns.
    bytes: Vec<u8>,
}

impl Event {
    fn reaches(&self, other: &Self) -> bool {
        self.time.abs_diff(other.time) <= DISTANCE_MS.unsigned_abs()
    }

    fn subject(&self, group: u32) -> Option<Subject> {
        match self.row {
            Some(row) => Some(Subject::Row(row)),
            None => identity::remembered(&self.identity, Side::Left as u8, group, self.time).map(Subject::Remembered),
        }
    }
}

/// The events of one key while a batch is applied; reused for the next key.
#[derive(Debug)]
struct Pairs {
    pairing: Pairing,
    /// Left events that may still fire.
    waiting: Vec<Event>,
    /// Right events, in the order of their arrival.
    offered: Vec<Event>,
}

impl Default for Pairs {
    fn default() -> Self {
        Self { pairing: Pairing::First, waiting: Vec::new(), offered: Vec::new() }
    }
}

impl Pairs {
    /// Takes in an event and judges the pairs that it makes; `judge` breaks when the left one has fired.
    fn add(&mut self, side: Side, event: Event, mut judge: impl FnMut(&Event, &Event) -> ControlFlow<()>) {
        // Whether a left event that was just judged can be settled by nothing else any more.
        let settles = |judged: ControlFlow<()>| self.pairing == Pairing::First || judged.is_break();
        if side == Side::Left {
            let mut in_reach = self.offered.iter().filter(|right| right.reaches(&event));
            if !in_reach.any(|right| settles(judge(&event, right))) {
                self.waiting.push(event);
            }
        } else {
            self.waiting.retain(|left| !left.reaches(&event) || !settles(judge(left, &event)));
            self.offered.push(event);
        }
    }

    fn forget(&mut self, watermark: i64) {
        let oldest = watermark.saturating_sub(2 * DISTANCE_MS);
        for events in [&mut self.waiting, &mut self.offered] {
            events.retain(|event| event.time >= oldest);
        }
    }

    /// The watermark at which nothing will be left.
    fn wake(&self) -> i64 {
        let newest = self.waiting.iter().chain(&self.offered).map(|event| event.time).max();
        newest.map_or(NEVER, |newest| newest.saturating_add(2 * DISTANCE_MS + 1))
    }

    fn encode(&self, version: u8, out: &mut Vec<u8>) {
        if self.waiting.is_empty() && self.offered.is_empty() {
            return;
        }
        out.push(version);
        for (side, events) in [(Side::Left, &self.waiting), (Side::Right, &self.offered)] {
            for event in events {
                out.push(side as u8);
                encoding::signed(out, event.time);
                encoding::append(out, &event.identity);
                encoding::bytes(out, &event.bytes);
            }
        }
    }

    /// Reads a state; nothing when the bytes are none of this version or not of these rows.
    fn decode<A: Row, B: Row>(&mut self, state: &[u8], version: u8) -> Option<()> {
        self.waiting.clear();
        self.offered.clear();
        let mut reader = Reader::new(state);
        if !state.is_empty() && reader.byte()? != version {
            return None;
        }
        while !reader.is_at_end() {
            let side = reader.byte()?;
            let time = reader.signed()?;
            let is_left = side == Side::Left as u8;
            let identity = if is_left { identity::skip(&mut reader)? } else { &[] };
            let bytes = reader.bytes()?;
            let event = Event { time, row: None, identity: identity.to_vec(), bytes: bytes.to_vec() };
            if is_left {
                A::decode(&mut Reader::new(bytes))?;
                event.subject(0)?;
                self.waiting.push(event);
            } else if side == Side::Right as u8 {
                B::decode(&mut Reader::new(bytes))?;
                self.offered.push(event);
            } else {
                return None;
            }
        }
        Some(())
    }
}
