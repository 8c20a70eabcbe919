//! Transforms: trusted rows out of raw ones.
//!
//! `#[transform]` makes a plugin of a function from one raw row to an [`Outcome`]:
//!
//! ```
//! use tamis_sdk::prelude::*;
//!
//! #[derive(Row)]
//! #[row(source = "orders", format = "csv")]
//! pub struct Raw<'a> {
//!     #[row(name = "CUSTOMER_ID", personal)]
//!     customer_id: Option<&'a str>,
//!     #[row(name = "TOTAL")]
//!     total: Option<&'a str>,
//! }
//!
//! #[derive(Debug, PartialEq, Output)]
//! #[output(dataset = "silver.orders", key = "client_id")]
//! pub struct Order<'a> {
//!     client_id: Pseudo<'a>,
//!     total: Cell<Cents>,
//! }
//!
//! #[transform(title = "Orders", owner = "data")]
//! pub fn orders<'a>(raw: &Raw<'a>) -> Outcome<Order<'a>> {
//!     let Some(customer) = read::text(raw.customer_id) else { return Outcome::Reject("no CUSTOMER_ID") };
//!     Outcome::Keep(Order { client_id: Pseudo(customer), total: read::amount(raw.total) })
//! }
//!
//! let order = Order { client_id: Pseudo("c1"), total: Ok(Some(Cents(123_456))) };
//! assert_eq!(orders(&Raw { customer_id: Some("c1 "), total: Some("1 234,56 €") }), Outcome::Keep(order));
//! ```
//!
//! - A `&Config` may stand before the row. A setting `as_of` of type `Option<Date>` is filled in by the host.
//! - The output's field types are in [`crate::output`]: a [`Cell`](crate::read::Cell) that could not be read becomes null
//!   and is counted under the name of its field, and only where the row is kept.
//! - `#[output(…)]` has `dataset`, and perhaps `partition_by` and `key` (a name, or `["a", "b"]`) and `keep_latest`.
//! - `#[transform(remove = "\0")]` takes characters out of every text cell before the function sees it.

use crate::bindings::types::{Batch, Rejection, TransformOutcome, Values};
use crate::config::Config;
use crate::manifest::{self, About};
use crate::output::{Columns, DatasetRow, Output};
use crate::row::Row;

/// What becomes of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome<T> {
    /// It is trusted.
    Keep(T),
    /// It goes to quarantine: it has no key, or cannot be read. The reason is for people and holds no data.
    Reject(&'static str),
    /// It is left out on purpose.
    Filter,
}

/// The code of a transform; `#[transform]` implements it for a type `Plugin`.
pub trait TransformPlugin: Sized {
    /// The manifest, JSON by `schemas/manifest.schema.json`.
    fn manifest() -> String;

    /// The plugin with a configuration, JSON by the manifest's schema.
    fn configure(config: &str) -> Result<Self, String>;

    /// Makes rows of a batch whose columns are those that the manifest declares.
    fn apply(&self, rows: Batch) -> Result<TransformOutcome, String>;
}

/// The manifest of a transform, by its types.
pub fn manifest<C: Config, R: Row, O: DatasetRow>(about: About) -> String {
    let mut manifest = manifest::begin::<C>(about, "transform");
    manifest["inputs"] = [manifest::input(&R::INPUT)].into_iter().collect();
    manifest["output"] = O::describe();
    manifest.to_string()
}

/// The outcome of a batch under construction; `C` are the columns of its output.
pub struct Outcomes<C> {
    columns: C,
    kept: Vec<u32>,
    rejected: Vec<Rejection>,
    filtered: Vec<u32>,
}

impl<C: Columns> Outcomes<C> {
    /// Nothing yet, but room for `rows` kept ones.
    pub fn with_capacity(rows: usize) -> Self {
        let columns = C::with_capacity(rows);
        Self { columns, kept: Vec::with_capacity(rows), rejected: Vec::new(), filtered: Vec::new() }
    }

    /// Takes what the function made of input row `row`.
    pub fn push<T: Output<Columns = C>>(&mut self, row: u32, outcome: Outcome<T>) {
        match outcome {
            Outcome::Keep(output) => {
                output.write(&mut self.columns);
                self.kept.push(row);
            }
            Outcome::Reject(reason) => self.rejected.push(Rejection { row, reason: reason.to_owned() }),
            Outcome::Filter => self.filtered.push(row),
        }
    }

    /// The outcome of the batch.
    pub fn finish(self) -> TransformOutcome {
        let (columns, nullified) = self.columns.finish();
        // There are at most as many kept rows as input rows, which are counted in 32 bits.
        let rows = Batch { rows: self.kept.len() as u32, columns };
        TransformOutcome { rows, kept: self.kept, rejected: self.rejected, filtered: self.filtered, nullified }
    }
}

/// Takes an ASCII character out of all text cells.
pub fn remove_character(rows: &mut Batch, character: u8) {
    for column in &mut rows.columns {
        let Values::Text(strings) = &mut column.values else { continue };
        if !strings.data.contains(&character) {
            continue;
        }
        let (mut start, mut kept) = (0, 0);
        for end in strings.offsets.iter_mut().skip(1) {
            for i in start..*end as usize {
                let byte = strings.data[i];
                strings.data[kept] = byte;
                kept += usize::from(byte != character);
            }
            start = *end as usize;
            *end = kept as u32;
        }
        strings.data.truncate(kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bindings::types::{Column, Strings};

    #[test]
    fn a_character_is_taken_out_of_every_cell() {
        let strings = |offsets: &[u32], data: &[u8]| {
            let values = Values::Text(Strings { offsets: offsets.to_vec(), data: data.to_vec() });
            Batch { rows: 4, columns: vec![Column { values, validity: None }] }
        };
        let mut rows = strings(&[0, 3, 3, 6, 8], b"a\0b\0\0\0cd");
        remove_character(&mut rows, 0);
        assert_eq!(rows, strings(&[0, 2, 2, 2, 4], b"abcd"));
        remove_character(&mut rows, 0);
        assert_eq!(rows, strings(&[0, 2, 2, 2, 4], b"abcd"));
    }
}
