//! The events of one key, and what of them is still needed.
//!
//! With watermark W and window length L, an event that is still to come has a time ≥ W. It looks back no further than
//! W − L, so events up to there are forgotten. It makes only events judged again that are not older than itself, so an
//! event before W is settled: it can no longer fire, and needs neither its identity nor the mark that it has fired.
//! Both are decided when a batch is done, because its own rows may be older than its watermark.

use std::collections::HashSet;

use super::identity::{self, IdentityColumns};
use crate::bindings::types::Subject;
use crate::encoding::{self, Reader};
use crate::rule::NEVER;

/// A stretch of the arena.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// The bytes that `read` gives, which end where the reader stands behind them.
    fn read<'a>(reader: &mut Reader<'a>, read: fn(&mut Reader<'a>) -> Option<&'a [u8]>) -> Option<Self> {
        let len = read(reader)?.len();
        Some(Self::new(reader.position() - len, reader.position()))
    }

    fn new(start: usize, end: usize) -> Self {
        // A batch and its states are below 4 GiB, and so is the part of them that belongs to one key.
        Self { start: start as u32, end: end as u32 }
    }

    /// Its bytes.
    pub fn of(self, arena: &[u8]) -> &[u8] {
        &arena[self.start as usize..self.end as usize]
    }

    /// Its first `len` bytes, if it has as many.
    #[must_use]
    pub fn first(self, len: u32) -> Self {
        Self { end: self.end.min(self.start.saturating_add(len)), ..self }
    }
}

/// An event of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its event time.
    pub time: i64,
    /// Its row in this batch; none when it is from an earlier one.
    pub row: Option<u32>,
    /// Whether it has fired.
    pub fired: bool,
    /// Its encoded identity, when it is from an earlier batch and can still fire.
    pub(super) identity: Span,
    /// What the shape of the window keeps of it.
    pub kept: Span,
}

impl Event {
    /// An event of an earlier batch that cannot fire any more.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn earlier(time: i64, kept: std::ops::Range<usize>) -> Self {
        let kept = Span::new(kept.start, kept.end);
        Self { time, row: None, fired: false, identity: Span::default(), kept }
    }

    /// Whether it can still fire.
    pub fn can_fire(&self) -> bool {
        !self.fired && (self.row.is_some() || self.identity.start < self.identity.end)
    }

    /// It, from the declared input `input`, as the subject of a finding on the key `group`; an error when its state holds no id of it.
    pub fn subject(&self, input: u8, arena: &[u8], group: usize) -> Result<Subject, String> {
        match self.row {
            Some(row) => Ok(Subject::Row(row)),
            None => identity::remembered(self.identity.of(arena), input, group as u32, self.time)
                .map(Subject::Remembered)
                .ok_or_else(|| format!("the state of key {group} remembers an event without an id")),
        }
    }
}

const FIRED: u8 = 1;
const NAMED: u8 = 2;

/// The events of one key while a batch is applied; reused for the next key.
#[derive(Debug, Default)]
pub struct History<'a> {
    /// Ascending by time; of equal times in arrival order.
    pub events: Vec<Event>,
    /// Where bytes are kept: first those of the state, then those of the batch. Empty when nothing is kept but times.
    pub arena: Vec<u8>,
    state: &'a [u8],
}

/// A state is copied into the arena only where the arena is needed.
fn kept_bytes<'b>(arena: &'b [u8], state: &'b [u8]) -> &'b [u8] {
    if arena.is_empty() { state } else { arena }
}

/// What so many events keep is compared with each other, which is faster than hashing it.
pub(super) const FEW: usize = 16;

/// Takes out of the first `settled` events all of which a later one of them keeps the same bytes.
fn keep_last_of_equals(events: &mut Vec<Event>, settled: usize, bytes: &[u8]) {
    let kept = |event: &Event| event.kept.of(bytes);
    if settled > FEW {
        let mut seen = HashSet::with_capacity(settled);
        let mut needed: Vec<bool> = events[..settled].iter().rev().map(|event| seen.insert(kept(event))).collect();
        events.retain(|_| needed.pop().unwrap_or(true));
        return;
    }
    let mut needed = 0;
    for i in 0..settled {
        if !events[i + 1..settled].iter().any(|later| kept(later) == kept(&events[i])) {
            events[needed] = events[i];
            needed += 1;
        }
    }
    events.drain(needed..settled);
}

impl<'a> History<'a> {
    /// The events, and the bytes that their spans are stretches of.
    pub fn parts(&mut self) -> (&mut Vec<Event>, &[u8]) {
        (&mut self.events, kept_bytes(&self.arena, self.state))
    }

    /// Takes in an event that keeps the arena from `kept` on; where it stands.
    pub fn insert(&mut self, row: u32, time: i64, kept: usize) -> usize {
        let kept = Span::new(kept, self.arena.len());
        let event = Event { time, row: Some(row), fired: false, identity: Span::default(), kept };
        // Most events arrive in order.
        let at = match self.events.last() {
            Some(last) if last.time > time => self.events.partition_point(|e| e.time <= time),
            _ => self.events.len(),
        };
        self.events.insert(at, event);
        at
    }

    /// Forgets what no event to come can look back to. `last_of_equals`: of settled events that keep the same bytes, all
    /// but the last as well: whatever window to come another is in, the last is in it too.
    pub fn forget(&mut self, watermark: i64, length: i64, last_of_equals: bool) {
        let forgotten = watermark.saturating_sub(length);
        match self.events.first() {
            Some(first) if first.time <= forgotten => {
                drop(self.events.drain(..self.events.partition_point(|e| e.time <= forgotten)))
            }
            _ => {}
        }
        let settled = self.events.partition_point(|e| e.time < watermark);
        if last_of_equals && settled > 1 {
            let (events, bytes) = self.parts();
            keep_last_of_equals(events, settled, bytes);
        }
    }

    /// The watermark at which nothing will be left.
    pub fn wake(&self, length: i64) -> i64 {
        self.events.last().map_or(NEVER, |last| last.time.saturating_add(length))
    }

    /// Appends the state: nothing without events, else the version, the first event's time, and for each event the time
    /// since the last, marks, its identity if it can still fire, and what is kept of it.
    pub fn encode(
        &self,
        watermark: i64,
        version: u8,
        keeps: bool,
        identities: Option<&IdentityColumns<'_>>,
        out: &mut Vec<u8>,
    ) {
        let Some(first) = self.events.first() else { return };
        let bytes = kept_bytes(&self.arena, self.state);
        out.push(version);
        encoding::signed(out, first.time);
        let mut last = first.time;
        for event in &self.events {
            let settled = event.time < watermark;
            let named = !settled && event.can_fire();
            encoding::unsigned(out, event.time.abs_diff(last));
            out.push(if settled { 0 } else { (u8::from(event.fired) * FIRED) | (u8::from(named) * NAMED) });
            last = event.time;
            match (event.row, identities) {
                (Some(row), Some(identities)) if named => identities.encode(row as usize, out),
                _ if named => encoding::append(out, event.identity.of(bytes)),
                _ => {}
            }
            if keeps {
                encoding::bytes(out, event.kept.of(bytes));
            }
        }
    }

    /// Reads a state; nothing when the bytes are none of this version.
    pub fn decode(&mut self, state: &'a [u8], version: u8, keeps: bool) -> Option<()> {
        self.events.clear();
        self.arena.clear();
        self.state = state;
        if state.is_empty() {
            return Some(());
        }
        if keeps {
            self.arena.extend_from_slice(state);
        }
        let mut reader = Reader::new(state);
        if reader.byte()? != version {
            return None;
        }
        let mut time = reader.signed()?;
        while !reader.is_at_end() {
            time = time.checked_add_unsigned(reader.unsigned()?)?;
            let marks = reader.byte().filter(|marks| *marks < 3)?;
            let identity = match marks & NAMED {
                0 => Span::default(),
                _ => Span::read(&mut reader, identity::skip)?,
            };
            let kept = if keeps { Span::read(&mut reader, Reader::bytes)? } else { Span::default() };
            self.events.push(Event { time, row: None, fired: marks & FIRED != 0, identity, kept });
        }
        Some(())
    }
}
