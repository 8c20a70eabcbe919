//! The events of a key, by time: the state behind [`Sliding`](super::Sliding) and [`Distinct`](super::Distinct).
//!
//! Which events matter, with watermark W and window length L: an event that is still to come has a time ≥ W. It looks
//! back no further than W − L, so events up to there are forgotten. It makes only events judged again that are not
//! older than itself, so an event before W is settled: it can no longer fire, and needs neither its identity nor
//! the mark that it has fired. Both are decided when a batch is done, because its own rows may be older than W.
//!
//! Encoding: version, the first event's time, then for each event `time since the last << 2 | fired << 1 | identity follows`,
//! its identity (id, order, customer), and what is kept of it.

use crate::bindings::types::{Identities, Keyed, Remembered, RuleOutcome, Subject, Value, Values};
use crate::encoding::{self, Reader};
use crate::row::{BytesColumn, Validity};
use crate::rule::{ByKey, NEVER, Terms, empty_outcome, end_state};

/// Bytes of the arena.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Span {
    start: u32,
    end: u32,
}

impl Span {
    fn of(self, arena: &[u8]) -> &[u8] {
        &arena[self.start as usize..self.end as usize]
    }
}

/// No row of this batch.
const EARLIER: u32 = u32::MAX;

/// An event of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its event time.
    time: i64,
    /// Its row, or [`EARLIER`].
    row: u32,
    /// Whether it has fired.
    fired: bool,
    /// Its encoded identity, when it is from an earlier batch and can still fire.
    identity: Span,
    /// What is kept of it.
    kept: Span,
}

impl Event {
    /// Its event time, milliseconds since the Unix epoch.
    pub fn time(&self) -> i64 {
        self.time
    }

    /// What is kept of it.
    pub(super) fn kept<'a>(&self, arena: &'a [u8]) -> &'a [u8] {
        self.kept.of(arena)
    }

    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn for_test(time: i64, kept: std::ops::Range<usize>) -> Self {
        let kept = Span { start: kept.start as u32, end: kept.end as u32 };
        Self { time, row: EARLIER, fired: false, identity: Span::default(), kept }
    }

    /// Whether it can still fire.
    fn can_fire(&self) -> bool {
        !self.fired && (self.row != EARLIER || self.identity.start < self.identity.end)
    }
}

/// The window that ends at the event judged: the events of its key in (time − length, time].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window<'w> {
    pub events: &'w [Event],
    pub arena: &'w [u8],
    pub time: i64,
    pub length: i64,
}

impl Window<'_> {
    /// The bounds as context values.
    pub fn bounds(&self) -> [Value; 2] {
        [Value::Timestamp(self.time.saturating_sub(self.length)), Value::Timestamp(self.time)]
    }
}

/// How events of a window are kept and judged; one implementation for each shape of window.
pub(super) trait Shape {
    /// Whether anything is kept of an event beside its time.
    const KEEPS: bool;
    /// Whether of settled events that keep the same bytes only the last is needed.
    const LAST_OF_EQUALS: bool;

    /// Appends what is kept of `row`; false = the row does not count.
    fn keep(&self, row: usize, arena: &mut Vec<u8>) -> bool;
    /// Judges a window: the criteria that hold, and the context when any does.
    fn judge(&mut self, window: Window<'_>) -> Option<(u32, Vec<Value>)>;
}

/// Judges the rows of a batch, and again the events that they touch.
pub(super) fn apply(rows: &Keyed, terms: &Terms<'_>, length: i64, mut shape: impl Shape) -> Result<RuleOutcome, String> {
    let by_key = ByKey::new(rows)?;
    let identities = rows.identities.as_ref().ok_or("the host sent no identities")?;
    let identities = IdentityColumns::of(identities, rows.batch.rows as usize)?;
    let mut outcome = empty_outcome(by_key.keys(), by_key.state_bytes() + 64 * rows.times.len());
    let mut history = History::default();
    for group in 0..by_key.keys() {
        let state = by_key.state(group);
        history.decode(state, terms.state_version, shape_keeps(&shape)).ok_or_else(|| terms.foreign_state(group, state))?;
        for &row in by_key.rows(group) {
            let Some(at) = history.insert(&shape, row, rows.times[row as usize]) else { continue };
            history.judge(&mut shape, length, at, |event, arena, criteria, context| {
                let subject = subject(event, arena, group)?;
                outcome.findings.push(terms.finding(subject, criteria, context));
                Ok(())
            })?;
        }
        let wake = history.encode(&shape, length, rows.watermark, terms.state_version, &identities, &mut outcome.states.data);
        end_state(&mut outcome, wake)?;
    }
    Ok(outcome)
}

fn shape_keeps<S: Shape>(_: &S) -> bool {
    S::KEEPS
}

/// Forgets what the watermark has passed. `keeps`: whether the state holds more than times.
pub fn advance(due: &Keyed, terms: &Terms<'_>, length: i64, keeps: bool) -> Result<RuleOutcome, String> {
    let by_key = ByKey::new(due)?;
    let mut outcome = empty_outcome(by_key.keys(), by_key.state_bytes());
    let mut history = History::default();
    for group in 0..by_key.keys() {
        let state = by_key.state(group);
        history.decode(state, terms.state_version, keeps).ok_or_else(|| terms.foreign_state(group, state))?;
        let version = terms.state_version;
        let wake = history.encode_events(keeps, length, due.watermark, version, None, &mut outcome.states.data);
        end_state(&mut outcome, wake)?;
    }
    Ok(outcome)
}

fn subject(event: &Event, arena: &[u8], group: usize) -> Result<Subject, String> {
    if event.row != EARLIER {
        return Ok(Subject::Row(event.row));
    }
    let identity = decode_identity(event.identity.of(arena)).ok_or_else(|| format!("key {group} remembers an event without a name"))?;
    let [id, order_id, customer_id] = identity;
    let id = id.ok_or_else(|| format!("key {group} remembers an event without an id"))?;
    Ok(Subject::Remembered(Remembered { group: group as u32, input: 0, time: event.time, id, order_id, customer_id }))
}

fn decode_identity(bytes: &[u8]) -> Option<[Option<String>; 3]> {
    let mut reader = Reader::new(bytes);
    let mut part = || match reader.unsigned()? {
        0 => Some(None),
        len => Some(Some(String::from_utf8(reader.take(usize::try_from(len - 1).ok()?)?.to_vec()).ok()?)),
    };
    Some([part()?, part()?, part()?])
}

/// The columns by which alerts name their trigger.
pub(super) struct IdentityColumns<'a>([(BytesColumn<'a>, Validity<'a>); 3]);

impl<'a> IdentityColumns<'a> {
    pub fn of(identities: &'a Identities, rows: usize) -> Result<Self, String> {
        let column = |column: &'a crate::bindings::types::Column| match &column.values {
            Values::Text(text) => Some((BytesColumn::of(text, rows)?, Validity::of(column, rows)?)),
            _ => None,
        };
        let columns = || Some([column(&identities.id)?, column(&identities.order_id)?, column(&identities.customer_id)?]);
        columns().map(Self).ok_or_else(|| format!("the identities are not three text columns of {rows} rows"))
    }

    /// Three times a length + 1 and the bytes; 0 for null.
    pub fn encode(&self, row: usize, out: &mut Vec<u8>) {
        for (values, validity) in self.0 {
            if validity.is_null(row) {
                out.push(0);
            } else {
                let value = values.get(row);
                encoding::unsigned(out, value.len() as u64 + 1);
                out.extend_from_slice(value);
            }
        }
    }
}

/// The events of one key while a batch is applied; reused for the next key.
#[derive(Default)]
struct History {
    /// Ascending by time; of equal times in arrival order.
    events: Vec<Event>,
    arena: Vec<u8>,
}

impl History {
    /// Reads a state; nothing when it is none of this version.
    fn decode(&mut self, state: &[u8], version: u8, keeps: bool) -> Option<()> {
        self.events.clear();
        self.arena.clear();
        if state.is_empty() {
            return Some(());
        }
        self.arena.extend_from_slice(state);
        let mut reader = Reader::new(state);
        if reader.byte()? != version {
            return None;
        }
        let mut time = reader.signed()?;
        while !reader.is_at_end() {
            let head = reader.unsigned()?;
            time = time.checked_add_unsigned(head >> 2)?;
            let identity = if head & 1 == 0 { Span::default() } else { reader.identity_span()? };
            let kept = if keeps { reader.bytes_span()? } else { Span::default() };
            self.events.push(Event { time, row: EARLIER, fired: head & 2 != 0, identity, kept });
        }
        Some(())
    }

    /// Takes in a row; where it stands now, or nothing when it does not count.
    fn insert(&mut self, shape: &impl Shape, row: u32, time: i64) -> Option<usize> {
        let start = self.arena.len() as u32;
        if !shape.keep(row as usize, &mut self.arena) {
            self.arena.truncate(start as usize);
            return None;
        }
        let kept = Span { start, end: self.arena.len() as u32 };
        let event = Event { time, row, fired: false, identity: Span::default(), kept };
        // Most events arrive in order.
        let at = match self.events.last() {
            Some(last) if last.time > time => self.events.partition_point(|e| e.time <= time),
            _ => self.events.len(),
        };
        self.events.insert(at, event);
        Some(at)
    }

    /// Judges every event that the event at `at` is in the window of.
    fn judge(
        &mut self,
        shape: &mut impl Shape,
        length: i64,
        at: usize,
        mut fire: impl FnMut(&Event, &[u8], u32, Vec<Value>) -> Result<(), String>,
    ) -> Result<(), String> {
        let time = self.events[at].time;
        let mut next = at - self.events[..at].iter().rev().take_while(|e| e.time == time).count();
        let mut low = self.events[..next].partition_point(|e| e.time <= time.saturating_sub(length));
        while let Some(judged) = self.events.get(next).copied().filter(|e| e.time.saturating_sub(time) < length) {
            if judged.can_fire() {
                while self.events[low].time <= judged.time.saturating_sub(length) {
                    low += 1;
                }
                let high = next + self.events[next..].iter().take_while(|e| e.time == judged.time).count();
                let window = Window { events: &self.events[low..high], arena: &self.arena, time: judged.time, length };
                if let Some((criteria, context)) = shape.judge(window) {
                    fire(&judged, &self.arena, criteria, context)?;
                    self.events[next].fired = true;
                }
            }
            next += 1;
        }
        Ok(())
    }

    /// Writes the state; the watermark at which nothing of it will matter any more.
    fn encode<S: Shape>(
        &mut self,
        _: &S,
        length: i64,
        watermark: i64,
        version: u8,
        identities: &IdentityColumns<'_>,
        out: &mut Vec<u8>,
    ) -> i64 {
        if S::LAST_OF_EQUALS {
            self.forget_repeated(watermark);
        }
        self.encode_events(S::KEEPS, length, watermark, version, Some(identities), out)
    }

    fn encode_events(
        &self,
        keeps: bool,
        length: i64,
        watermark: i64,
        version: u8,
        identities: Option<&IdentityColumns<'_>>,
        out: &mut Vec<u8>,
    ) -> i64 {
        let forgotten = watermark.saturating_sub(length);
        let first = self.events.partition_point(|e| e.time <= forgotten);
        let [oldest, .., newest] = (match &self.events[first..] {
            [] => return NEVER,
            [one] => [*one, *one, *one],
            [oldest, .., newest] => [*oldest, *newest, *newest],
        });
        out.push(version);
        encoding::signed(out, oldest.time);
        let mut last = oldest.time;
        for event in &self.events[first..] {
            let settled = event.time < watermark;
            let names = !settled && event.can_fire();
            let fired = !settled && event.fired;
            // The difference of two times of a batch is far below 2^62.
            encoding::unsigned(out, (event.time.abs_diff(last) << 2) | u64::from(fired) << 1 | u64::from(names));
            last = event.time;
            match identities {
                Some(identities) if names && event.row != EARLIER => identities.encode(event.row as usize, out),
                _ if names => out.extend_from_slice(event.identity.of(&self.arena)),
                _ => {}
            }
            if keeps {
                encoding::bytes(out, event.kept.of(&self.arena));
            }
        }
        newest.time.saturating_add(length)
    }

    /// Of settled events that keep the same bytes only the last matters: whatever window another is in, the last is in it too.
    fn forget_repeated(&mut self, watermark: i64) {
        let settled = self.events.partition_point(|e| e.time < watermark);
        if settled < 2 {
            return;
        }
        let (events, arena) = (&mut self.events, &self.arena);
        let mut seen = std::collections::HashSet::with_capacity(settled);
        let mut repeated: Vec<bool> = events[..settled].iter().rev().map(|e| !seen.insert(e.kept.of(arena))).collect();
        repeated.reverse();
        let mut repeated = repeated.into_iter();
        events.retain(|_| !repeated.next().unwrap_or(false));
    }
}
