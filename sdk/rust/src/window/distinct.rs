//! How many different values a column has in a sliding window.

use std::collections::HashMap;
use std::marker::PhantomData;

use super::events::{self, Shape, Window};
use super::history::FEW;
use crate::bindings::types::{Column, Keyed, RuleOutcome, Value, Values};
use crate::encoding;
use crate::row::{BytesColumn, ColumnSpec, InputSpec, Membership, Row, Validity};
use crate::rule::{ContextColumn, Terms, Verdict};

/// The different values of a column (`#[rule(distinct = "column")]`) among the events of a key in the `window_ms` that end
/// at the event judged: (time − length, time], itself and events of the same time included. Only events that count are
/// in it: the column is not null, and their `#[row(only = …)]` holds.
#[derive(Debug)]
pub struct Distinct<'w, R> {
    count: u64,
    time: i64,
    length: i64,
    row: PhantomData<&'w R>,
}

impl<R> Distinct<'_, R> {
    /// How many different values there are, that of the event judged included.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The time of the event judged: the last moment of the window.
    pub fn end(&self) -> i64 {
        self.time
    }

    /// The moment before the window's first.
    pub fn start(&self) -> i64 {
        self.time.saturating_sub(self.length)
    }

    pub(crate) fn new(count: u64, time: i64, length: i64) -> Self {
        Self { count, time, length, row: PhantomData }
    }
}

/// The context columns of a distinct rule, the settings apart.
pub fn context() -> Vec<ContextColumn> {
    events::context(["distinct"])
}

/// How the state is written: an event keeps its time and the value of the column, which is not null.
pub fn shape<R: Row>(column: &str) -> String {
    let kept = R::INPUT.column(column).map(|column| ColumnSpec { required: true, ..*column }.shape());
    format!("distinct({})", kept.unwrap_or_default())
}

/// Judges the rows of a batch, each by the window that ends at it, and again the events that they touch.
pub fn apply<R: Row, V: Verdict>(
    rows: &Keyed,
    terms: &Terms,
    length: i64,
    column: &str,
    judge: impl Fn(&Distinct<'_, R>) -> V,
) -> Result<RuleOutcome, String> {
    let count = rows.batch.rows as usize;
    let members = Membership::all(count);
    let columns = if R::FILTERED { Some(R::columns(&rows.batch.columns, members)?) } else { None };
    let values = ValueColumn::of(&rows.batch.columns, &R::INPUT, column, count)?;
    events::apply(rows, terms, length, DistinctShape::<R, _> { columns, values, judge, last: Tallied::default() })
}

/// Forgets what the watermark has passed.
pub fn advance(due: &Keyed, terms: &Terms, length: i64) -> Result<RuleOutcome, String> {
    events::advance(due, terms, length, true)
}

struct DistinctShape<'a, R: Row, J> {
    columns: Option<R::Columns<'a>>,
    values: ValueColumn<'a>,
    judge: J,
    /// The last window that was counted in full.
    last: Tallied,
}

impl<R: Row, V: Verdict, J: Fn(&Distinct<'_, R>) -> V> Shape for DistinctShape<'_, R, J> {
    const KEEPS: bool = true;
    const LAST_OF_EQUALS: bool = true;

    fn keep(&self, row: usize, arena: &mut Vec<u8>) -> bool {
        let counted = self.columns.as_ref().is_none_or(|columns| R::counted(&R::at(columns, row)));
        counted && self.values.append(row, arena)
    }

    fn accepts(_: &[u8]) -> bool {
        true
    }

    fn forget_windows(&mut self) {
        self.last.clear();
    }

    fn judge(&mut self, window: Window<'_>) -> Option<(u32, Vec<Value>)> {
        let count = if window.events.len() <= FEW { count_few(&window) } else { self.last.go_on_to(&window) };
        let view = Distinct::new(count, window.time, window.length);
        let criteria = (self.judge)(&view).criteria();
        (criteria != 0).then(|| (criteria, window.context([count])))
    }
}

fn count_few(window: &Window<'_>) -> u64 {
    let value = |i: usize| window.events[i].kept.of(window.arena);
    let is_first = |i: &usize| !(0..*i).any(|earlier| value(earlier) == value(*i));
    (0..window.events.len()).filter(is_first).count() as u64
}

/// How often each value occurs in a window. The next one shares most of its events, so only those are looked at that it has not, or
/// has beside them.
#[derive(Default)]
struct Tallied {
    /// The stretch of the key's events that is counted.
    low: usize,
    high: usize,
    counts: HashMap<Vec<u8>, u32>,
}

impl Tallied {
    fn clear(&mut self) {
        self.counts.clear();
        (self.low, self.high) = (0, 0);
    }

    /// How many different values a window has that begins and ends no earlier than the last one.
    fn go_on_to(&mut self, window: &Window<'_>) -> u64 {
        let high = window.low + window.events.len();
        if window.low >= self.high {
            self.clear();
            (self.low, self.high) = (window.low, window.low);
        }
        for event in &window.all[self.high..high] {
            let value = event.kept.of(window.arena);
            match self.counts.get_mut(value) {
                Some(count) => *count += 1,
                None => _ = self.counts.insert(value.to_vec(), 1),
            }
        }
        for event in &window.all[self.low..window.low] {
            let value = event.kept.of(window.arena);
            if let Some(count) = self.counts.get_mut(value) {
                *count -= 1;
                if *count == 0 {
                    self.counts.remove(value);
                }
            }
        }
        (self.low, self.high) = (window.low, high);
        self.counts.len() as u64
    }
}

/// A column of any type, as bytes that are equal when its values are.
struct ValueColumn<'a> {
    values: &'a Values,
    text: Option<BytesColumn<'a>>,
    validity: Validity<'a>,
}

impl<'a> ValueColumn<'a> {
    fn of(columns: &'a [Column], input: &InputSpec, name: &str, rows: usize) -> Result<Self, String> {
        let index = input.position(name).ok_or_else(|| format!("the rows have no column `{name}`"))?;
        let column = columns.get(index).ok_or_else(|| format!("column `{name}` is missing"))?;
        let found = match &column.values {
            Values::Text(text) => text.offsets.len().saturating_sub(1),
            Values::Int64(v) | Values::Timestamp(v) | Values::Decimal(v) => v.len(),
            Values::Float64(v) => v.len(),
            Values::Boolean(v) => v.len(),
            Values::Date(v) => v.len(),
        };
        let text = match &column.values {
            Values::Text(text) => BytesColumn::of(text, rows),
            _ => None,
        };
        match Validity::of(column, rows) {
            Some(validity) if found == rows => Ok(Self { values: &column.values, text, validity }),
            _ => Err(format!("column `{name}` has not {rows} rows")),
        }
    }

    /// Appends the value of `row`, unless it is null.
    fn append(&self, row: usize, out: &mut Vec<u8>) -> bool {
        if self.validity.is_null(row) {
            return false;
        }
        match (self.values, self.text) {
            (Values::Text(_), text) => encoding::append(out, text.map_or(&[], |text| text.get(row))),
            (Values::Int64(v) | Values::Timestamp(v) | Values::Decimal(v), _) => encoding::signed(out, v[row]),
            (Values::Float64(v), _) => out.extend_from_slice(&v[row].to_le_bytes()),
            (Values::Boolean(v), _) => out.push(v[row]),
            (Values::Date(v), _) => encoding::signed(out, i64::from(v[row])),
        }
        true
    }
}
