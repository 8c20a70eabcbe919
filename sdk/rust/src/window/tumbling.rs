//! Windows that tile the time of a key, and the rules that judge them.

use std::marker::PhantomData;
use std::ops::Deref;

use super::open::{self, Lengths, Open};
use crate::bindings::types::{self, Keyed, RuleOutcome, Strings, Subject, Value};
use crate::row::Row;
use crate::rule::{ByKey, ContextColumn, Terms, Verdict};
use crate::state::{Fold, State};

/// A window [start, end) of a key, aligned to the epoch, that the watermark has passed, with the tally of its events. It
/// reads as its tally.
#[derive(Debug)]
pub struct Tumbling<'w, R, T> {
    window: &'w Open<T>,
    row: PhantomData<fn() -> R>,
}

impl<'w, R, T> Tumbling<'w, R, T> {
    pub(crate) fn new(window: &'w Open<T>) -> Self {
        Self { window, row: PhantomData }
    }

    /// What was made of its events.
    pub fn tally(&self) -> &T {
        self.window.tally()
    }

    /// Its first millisecond.
    pub fn start(&self) -> i64 {
        self.window.start()
    }

    /// The first millisecond behind it.
    pub fn end(&self) -> i64 {
        self.window.end()
    }
}

impl<R, T> Deref for Tumbling<'_, R, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.tally()
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

/// How the state is written: a window keeps its tally.
pub fn shape<T: State>() -> String {
    format!("tumbling({})", T::shape())
}

/// Adds the rows of a batch to the windows they lie in. Nothing fires before the watermark has passed a window.
///
/// A changed length applies to windows that are not open yet: an event that lies in an open window of its key is added
/// to that.
pub fn apply<R: Row, T>(rows: &Keyed, terms: &Terms, length: i64) -> Result<RuleOutcome, String>
where
    T: State + Default + for<'a> Fold<R::At<'a>>,
{
    open::add::<R, T>(rows, terms.state_version, Lengths::Changing(length))
}

/// Judges and forgets the windows that the watermark has passed.
pub fn advance<R, T: State, V: Verdict>(
    due: &Keyed,
    terms: &Terms,
    judge: impl Fn(&Tumbling<'_, R, T>) -> V,
) -> Result<RuleOutcome, String> {
    let by_key = ByKey::new(due)?;
    let mut findings = Vec::new();
    let outcome = open::close(&by_key, due.watermark, terms.state_version, |group, window: Open<T>| {
        let criteria = judge(&Tumbling::new(&window)).criteria();
        if criteria != 0 {
            findings.push(terms.finding(subject(group, &window), criteria, values(&window)));
        }
        Ok(())
    })?;
    Ok(RuleOutcome { findings, ..outcome })
}

/// States of the version `from` as the version of `terms` writes them, each tally converted.
pub fn migrate<Old: State, New: State>(
    states: &Strings,
    from: u8,
    terms: &Terms,
    convert: impl Fn(Old) -> New,
) -> Result<Strings, String> {
    open::migrate(states, (from, terms.state_version), |_| true, convert)
}

fn subject<T>(group: usize, window: &Open<T>) -> Subject {
    Subject::Window(types::Window { group: group as u32, start: window.start(), end: window.end() })
}

fn values<T: State>(window: &Open<T>) -> Vec<Value> {
    let mut values = Vec::with_capacity(T::FIELDS.len() + 2);
    window.tally().values(&mut values);
    values.extend([Value::Timestamp(window.start()), Value::Timestamp(window.end())]);
    values
}
