//! The windows of a key that the watermark has not passed: what rules with tumbling windows and aggregates have in common.
//!
//! Encoding: nothing without windows, else the version and for each window its start, its length and its tally.

use crate::bindings::types::{Keyed, RuleOutcome, Strings};
use crate::encoding::{self, Reader};
use crate::row::{BytesColumn, Membership, Row};
use crate::rule::{ByKey, NEVER, empty_outcome, end_bytes, end_state, foreign_state, no_states};
use crate::state::{Fold, State};

/// A window [start, start + length) of a key, aligned to the epoch.
#[derive(Debug)]
pub struct Open<T> {
    start: i64,
    length: i64,
    tally: T,
}

impl<T> Open<T> {
    pub(crate) fn new(start: i64, length: i64, tally: T) -> Self {
        Self { start, length, tally }
    }

    /// The window of `length` that `time` lies in.
    fn at(time: i64, length: i64) -> Self
    where
        T: Default,
    {
        Self::new(time.saturating_sub(time.rem_euclid(length)), length, T::default())
    }

    pub(crate) fn start(&self) -> i64 {
        self.start
    }

    /// The first millisecond behind it.
    pub(crate) fn end(&self) -> i64 {
        self.start.saturating_add(self.length)
    }

    pub(crate) fn length(&self) -> i64 {
        self.length
    }

    pub(crate) fn tally(&self) -> &T {
        &self.tally
    }

    fn contains(&self, time: i64) -> bool {
        // Of two moments in order, the difference without its sign is exact.
        self.start <= time && time.wrapping_sub(self.start).cast_unsigned() < self.length.cast_unsigned()
    }
}

/// A length of windows with its name: `1m`, 60 000 ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamedLength {
    /// Its name in rows.
    pub name: &'static str,
    /// Milliseconds.
    pub ms: i64,
}

/// Which windows an event lies in.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Lengths<'a> {
    /// One, of a length that an admin can change. That applies to windows which are not open yet: an event that lies in an
    /// open window of its key is added to that, whatever its length. Of two that overlap, to the one that was
    /// opened first: only the other one's event can have come in the other order.
    Changing(i64),
    /// One of each length.
    Each(&'a [NamedLength]),
}

/// Adds the rows of a batch to the windows they lie in.
pub(crate) fn add<R: Row, T>(rows: &Keyed, version: u8, lengths: Lengths<'_>) -> Result<RuleOutcome, String>
where
    T: State + Default + for<'a> Fold<R::At<'a>>,
{
    let by_key = ByKey::new(rows)?;
    let columns = R::columns(&rows.batch.columns, Membership::all(rows.batch.rows as usize))?;
    rewrite::<T>(&by_key, version, |group, open| {
        for &row in by_key.rows(group) {
            let view = R::at(&columns, row as usize);
            if !R::counted(&view) {
                continue;
            }
            let time = rows.times[row as usize];
            match lengths {
                Lengths::Changing(length) => find_or_open(open, time, length, |_| true).tally.add(&view),
                Lengths::Each(lengths) => lengths.iter().for_each(|each| {
                    find_or_open(open, time, each.ms, |window| window.length == each.ms).tally.add(&view);
                }),
            }
        }
        Ok(())
    })
}

/// Takes the windows that the watermark has passed out of the states and gives them to `closed`, with the index of their key.
pub(crate) fn close<T: State>(
    due: &ByKey<'_>,
    watermark: i64,
    version: u8,
    mut closed: impl FnMut(usize, Open<T>) -> Result<(), String>,
) -> Result<RuleOutcome, String> {
    rewrite(due, version, |group, open| {
        open.extract_if(.., |window| window.end() <= watermark).try_for_each(|window| closed(group, window))
    })
}

/// States of version `from` as version `to` writes them, each tally converted. Windows of lengths that are not kept are
/// forgotten.
pub(crate) fn migrate<Old: State, New: State>(
    states: &Strings,
    (from, to): (u8, u8),
    keeps: impl Fn(i64) -> bool,
    convert: impl Fn(Old) -> New,
) -> Result<Strings, String> {
    let keys = states.offsets.len().saturating_sub(1);
    let former = BytesColumn::of(states, keys).ok_or("there are no states")?;
    let mut migrated = no_states(keys, 2 * states.data.len());
    let mut open = Vec::<Open<Old>>::new();
    for group in 0..keys {
        let state = former.get(group);
        decode(&mut open, state, from).ok_or_else(|| foreign_state(from, group, state))?;
        let kept = open.drain(..).filter(|window| keeps(window.length));
        let converted: Vec<_> = kept.map(|w| Open::new(w.start, w.length, convert(w.tally))).collect();
        encode(&converted, to, &mut migrated.data);
        end_bytes(&mut migrated)?;
    }
    Ok(migrated)
}

/// Lets `change` see the open windows of each key, and writes down what it leaves of them.
fn rewrite<T: State>(
    by_key: &ByKey<'_>,
    version: u8,
    mut change: impl FnMut(usize, &mut Vec<Open<T>>) -> Result<(), String>,
) -> Result<RuleOutcome, String> {
    let mut outcome = empty_outcome(by_key.keys(), 2 * by_key.state_bytes() + 32 * by_key.keys());
    let mut open = Vec::<Open<T>>::new();
    for group in 0..by_key.keys() {
        let state = by_key.state(group);
        decode(&mut open, state, version).ok_or_else(|| foreign_state(version, group, state))?;
        change(group, &mut open)?;
        encode(&open, version, &mut outcome.states.data);
        end_state(&mut outcome, open.iter().map(Open::end).min().unwrap_or(NEVER))?;
    }
    Ok(outcome)
}

/// The first open window that `time` lies in and that will do; if there is none, the one of `length` is opened.
fn find_or_open<T: Default>(
    open: &mut Vec<Open<T>>,
    time: i64,
    length: i64,
    will_do: impl Fn(&Open<T>) -> bool,
) -> &mut Open<T> {
    let at = open.iter().position(|window| window.contains(time) && will_do(window)).unwrap_or_else(|| {
        open.push(Open::at(time, length));
        open.len() - 1
    });
    &mut open[at]
}

fn encode<T: State>(open: &[Open<T>], version: u8, out: &mut Vec<u8>) {
    if open.is_empty() {
        return;
    }
    out.push(version);
    for window in open {
        encoding::signed(out, window.start);
        encoding::unsigned(out, window.length.cast_unsigned());
        window.tally.encode(out);
    }
}

/// Reads a state; nothing when the bytes are none of this version.
fn decode<T: State>(open: &mut Vec<Open<T>>, state: &[u8], version: u8) -> Option<()> {
    open.clear();
    let mut reader = Reader::new(state);
    if !state.is_empty() && reader.byte()? != version {
        return None;
    }
    while !reader.is_at_end() {
        let start = reader.signed()?;
        let length = i64::try_from(reader.unsigned()?).ok().filter(|length| *length > 0)?;
        open.push(Open::new(start, length, T::decode(&mut reader)?));
    }
    Some(())
}
