//! Aggregates: a row for each window of a key that is over.
//!
//! `#[aggregate]` makes a plugin of a function from a window and its tally to what a row says of it:
//!
//! ```
//! use tamis_sdk::prelude::*;
//!
//! #[derive(Row)]
//! #[row(topic = "payments")]
//! pub struct Payment<'a> {
//!     psp: Option<&'a str>,
//!     amount: Cents,
//!     method: &'a str,
//! }
//!
//! /// What is kept of the payments of a window.
//! #[derive(Default, State)]
//! pub struct Tally {
//!     count: i64,
//!     volume: Total,
//!     methods: Counts,
//! }
//!
//! impl Fold<Payment<'_>> for Tally {
//!     fn add(&mut self, payment: &Payment) {
//!         self.count += 1;
//!         self.volume += payment.amount;
//!         self.methods.add(payment.method);
//!     }
//! }
//!
//! /// What a row says of a window, behind its name, bounds and key.
//! #[derive(Debug, PartialEq, Output)]
//! pub struct Volume {
//!     volume: Option<Cents>,
//!     mean_amount: Option<f64>,
//!     count_per_method: Counts,
//! }
//!
//! #[aggregate(dataset = "payments_by_psp", key = "psp", windows("1m" = 60_000, "5m" = 300_000), title = "Payments by provider")]
//! pub fn payments_by_psp(payments: &Tumbling<Payment, Tally>) -> Volume {
//!     Volume {
//!         volume: payments.volume.cents(),
//!         mean_amount: payments.volume.mean(payments.count),
//!         count_per_method: payments.methods.clone(),
//!     }
//! }
//!
//! let tally = Tally { count: 4, volume: Cents(1001).into(), methods: Counts::default() };
//! let row = tamis_sdk::testing::tumbling(tally, 60_000, payments_by_psp);
//! assert_eq!((row.volume, row.mean_amount), (Some(Cents(1001)), Some(2.5025)));
//! ```
//!
//! - A row begins with the columns of [`Label`]: `name` (the dataset), `window` (`1m`), `window_start`, `window_end` and `key`.
//! - The windows of all lengths tile the time of a key from the epoch on; an event lies in one of each. All of them live in one state. What arrives
//!   behind the watermark is left out, a window without events gives no row, and neither do events without a key.
//! - A `&Config` may stand before the window. Lengths are no setting: they are what the rows are called by.
//! - The key may not be a column that tells who a person is: rows are stored as they are.
//! - A changed tally is treated as in tumbling rules: see [`mod@crate::state`].

use serde_json::{Value as Json, json};
use tamis_sdk_macros::Output;

use crate::bindings::types::{Batch, Keyed, RuleOutcome, Strings};
use crate::output::{Columns, Output};
use crate::row::Row;
use crate::rule::ByKey;
use crate::state::{Fold, State};
use crate::value::Timestamp;
use crate::window::open::{self, Lengths, Open};
use crate::window::tumbling::Tumbling;

pub use crate::window::open::NamedLength;

/// What `#[aggregate]` knows of the rows.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// Their dataset.
    pub dataset: &'static str,
    /// The lengths of the windows; all are different.
    pub windows: &'static [NamedLength],
    /// The version of the state.
    pub state_version: u8,
}

impl Terms {
    /// What windows of this length are called; nothing when there are none.
    fn name(&self, length: i64) -> Option<&'static str> {
        self.windows.iter().find(|named| named.ms == length).map(|named| named.name)
    }

    fn label<'a, T>(&self, group: usize, window: &Open<T>, key: &'a str) -> Result<Label<'a>, String> {
        let length = window.length();
        let name = self.name(length);
        let instant = |ms: i64| Timestamp(ms.saturating_mul(1000));
        Ok(Label {
            name: self.dataset,
            window: name
                .ok_or_else(|| format!("the state of key {group} has a window of {length} ms: none is so long"))?,
            window_start: instant(window.start()),
            window_end: instant(window.end()),
            key,
        })
    }
}

/// What every row begins with.
#[derive(Clone, Copy, Debug, Output)]
pub struct Label<'a> {
    /// The dataset.
    pub name: &'a str,
    /// What windows of this length are called.
    pub window: &'a str,
    /// The window's first instant.
    pub window_start: Timestamp,
    /// The first instant behind it.
    pub window_end: Timestamp,
    /// The key of its events.
    pub key: &'a str,
}

/// The manifest's `output`, for rows that end with the columns of `O`.
pub fn output<O: Output>(terms: &Terms) -> Json {
    let columns = [Label::columns(), O::columns()].concat();
    json!({ "dataset": terms.dataset, "columns": columns })
}

/// How the state is written: which lengths its windows have, and the tally that each keeps.
pub fn shape<T: State>(terms: &Terms) -> String {
    let lengths: Vec<_> = terms.windows.iter().map(|window| window.ms.to_string()).collect();
    format!("tumbling[{}]({})", lengths.join(","), T::shape())
}

/// Adds the rows of a batch to the windows they lie in.
pub fn apply<R: Row, T>(rows: &Keyed, terms: &Terms) -> Result<RuleOutcome, String>
where
    T: State + Default + for<'a> Fold<R::At<'a>>,
{
    open::add::<R, T>(rows, terms.state_version, Lengths::Each(terms.windows))
}

/// Emits a row for each window that the watermark has passed, and forgets the window. `write` writes what stands behind the label.
pub fn advance<R, T: State, C: Columns>(
    due: &Keyed,
    terms: &Terms,
    write: impl Fn(&Tumbling<'_, R, T>, &mut C),
) -> Result<RuleOutcome, String> {
    let by_key = ByKey::new(due)?;
    let mut labels = LabelColumns::with_capacity(by_key.keys());
    let mut columns = C::with_capacity(by_key.keys());
    let mut rows = 0;
    let outcome = open::close(&by_key, due.watermark, terms.state_version, |group, window: Open<T>| {
        terms.label(group, &window, by_key.key(group)?)?.write(&mut labels);
        write(&Tumbling::new(&window), &mut columns);
        rows += 1;
        Ok(())
    })?;
    let columns = labels.finish().0.into_iter().chain(columns.finish().0).collect();
    Ok(RuleOutcome { emitted: Some(Batch { rows, columns }), ..outcome })
}

/// States of the version `from` as the version of `terms` writes them, each tally converted. Windows of lengths that there are no more
/// are forgotten.
pub fn migrate<Old: State, New: State>(
    states: &Strings,
    from: u8,
    terms: &Terms,
    convert: impl Fn(Old) -> New,
) -> Result<Strings, String> {
    open::migrate(states, (from, terms.state_version), |length| terms.name(length).is_some(), convert)
}
