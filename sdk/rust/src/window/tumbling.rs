//! Windows that tile the time of a key.

use std::marker::PhantomData;
use std::ops::Deref;

use crate::bindings::types::{self, Keyed, RuleOutcome, Subject, Value};
use crate::encoding::{self, Reader};
use crate::row::{Membership, Row};
use crate::rule::{ByKey, ContextColumn, NEVER, Terms, Verdict, empty_outcome, end_state};
use crate::state::{Fold, State};

/// A window [start, end) of a key, aligned to the epoch, that the watermark has passed, with the tally of its events. It
/// reads as its tally.
#[derive(Debug)]
pub struct Tumbling<'w, R, T> {
    window: &'w Open<T>,
    row: PhantomData<fn() -> R>,
}

impl<R, T> Tumbling<'_, R, T> {
    /// What was made of its events.
    pub fn tally(&self) -> &T {
        &self.window.tally
    }

    /// Its first millisecond.
    pub fn start(&self) -> i64 {
        self.window.start
    }

    /// The first millisecond behind it.
    pub fn end(&self) -> i64 {
        self.window.end
    }
}

impl<R, T> Deref for Tumbling<'_, R, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.tally()
    }
}

/// A window that the watermark has not passed.
#[derive(Debug)]
pub struct Open<T> {
    start: i64,
    end: i64,
    tally: T,
}

impl<T> Open<T> {
    pub(crate) fn new(start: i64, end: i64, tally: T) -> Self {
        Self { start, end, tally }
    }

    /// As the function of a rule sees it.
    pub(crate) fn view<R>(&self) -> Tumbling<'_, R, T> {
        Tumbling { window: self, row: PhantomData }
    }
}

/// The context columns of a tumbling rule, the settings apart.
pub fn context<T: State>() -> Vec<ContextColumn> {
    T::FIELDS
        .iter()
        .copied()
        .chain(["window_start", "window_end"])
        .map(|name| ContextColumn::carried(name, false))
        .collect()
}

/// Adds the rows of a batch to the windows they lie in. Nothing fires before the watermark has passed a window.
///
/// A changed length applies to windows that are not open yet: an event that lies in an open window of its key is added
/// to that.
pub fn apply<R: Row, T>(rows: &Keyed, terms: &Terms, length: i64) -> Result<RuleOutcome, String>
where
    T: State + Default + for<'a> Fold<R::At<'a>>,
{
    let by_key = ByKey::new(rows)?;
    let columns = R::columns(&rows.batch.columns, Membership::all(rows.batch.rows as usize))?;
    let mut outcome = empty_outcome(by_key.keys(), 2 * by_key.state_bytes() + 32 * by_key.keys());
    let mut open = Vec::<Open<T>>::new();
    for group in 0..by_key.keys() {
        let state = by_key.state(group);
        decode(&mut open, state, terms.state_version).ok_or_else(|| terms.foreign_state(group, state))?;
        for &row in by_key.rows(group) {
            let view = R::at(&columns, row as usize);
            if R::counted(&view) {
                window_of(&mut open, rows.times[row as usize], length).tally.add(&view);
            }
        }
        encode(&open, terms.state_version, &mut outcome.states.data);
        end_state(&mut outcome, wake(&open))?;
    }
    Ok(outcome)
}

/// Judges and forgets the windows that the watermark has passed.
pub fn advance<R, T: State + Default, V: Verdict>(
    due: &Keyed,
    terms: &Terms,
    judge: impl Fn(&Tumbling<'_, R, T>) -> V,
) -> Result<RuleOutcome, String> {
    let by_key = ByKey::new(due)?;
    let mut outcome = empty_outcome(by_key.keys(), by_key.state_bytes());
    let mut open = Vec::<Open<T>>::new();
    for group in 0..by_key.keys() {
        let state = by_key.state(group);
        decode(&mut open, state, terms.state_version).ok_or_else(|| terms.foreign_state(group, state))?;
        for window in open.extract_if(.., |window| window.end <= due.watermark) {
            let criteria = judge(&window.view()).criteria();
            if criteria != 0 {
                outcome.findings.push(terms.finding(subject(group, &window), criteria, values(&window)));
            }
        }
        encode(&open, terms.state_version, &mut outcome.states.data);
        end_state(&mut outcome, wake(&open))?;
    }
    Ok(outcome)
}

fn subject<T>(group: usize, window: &Open<T>) -> Subject {
    Subject::Window(types::Window { group: group as u32, start: window.start, end: window.end })
}

fn values<T: State>(window: &Open<T>) -> Vec<Value> {
    let mut values = Vec::with_capacity(T::FIELDS.len() + 2);
    window.tally.values(&mut values);
    values.extend([Value::Timestamp(window.start), Value::Timestamp(window.end)]);
    values
}

/// The earliest end of an open window.
fn wake<T>(open: &[Open<T>]) -> i64 {
    open.iter().map(|window| window.end).min().unwrap_or(NEVER)
}

/// The open window that `time` lies in, opened if there is none. Of two that overlap, because the length was changed, the one
/// that was opened first: only the other one's event can have come in the other order.
fn window_of<T: Default>(open: &mut Vec<Open<T>>, time: i64, length: i64) -> &mut Open<T> {
    let at = open.iter().position(|window| window.start <= time && time < window.end).unwrap_or_else(|| {
        let start = time.saturating_sub(time.rem_euclid(length));
        open.push(Open::new(start, start.saturating_add(length), T::default()));
        open.len() - 1
    });
    &mut open[at]
}

/// Nothing without windows, else the version and for each window its start, its length and its tally.
fn encode<T: State>(open: &[Open<T>], version: u8, out: &mut Vec<u8>) {
    if open.is_empty() {
        return;
    }
    out.push(version);
    for window in open {
        encoding::signed(out, window.start);
        encoding::unsigned(out, window.end.abs_diff(window.start));
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
        let end = start.checked_add_unsigned(reader.unsigned()?)?;
        open.push(Open::new(start, end, T::decode(&mut reader)?));
    }
    Some(())
}
