//! Output rows: the fields of a struct, written straight into the columns that go back to the host.
//!
//! `#[derive(Output)]` makes a struct an [`Output`], and with `#[output(dataset = "…")]` the [`DatasetRow`] that a transform
//! returns. Its fields are of the types below; an `Option` of them may be null; and a [`Cell`] of them is what a reader gives:
//! null, and counted, where it could not read.

use serde_json::json;

use crate::bindings::types::{Column, Values};
use crate::read::{Cell, Unreadable};
use crate::row::ColumnType;

mod list;
mod value;

pub use list::{Fields, List, Lists, Struct};
pub use value::{
    Booleans, Coarse, CoarseTexts, Dates, Decimals, EmailPseudo, Floats, Integers, JsonTexts, Pseudo, Pseudonyms,
    Texts, Timestamps, Written,
};

/// A row, or the columns at the end of one.
pub trait Output {
    /// The columns that its fields are written to.
    type Columns: Columns;

    /// The manifest entries of its columns.
    fn columns() -> Vec<serde_json::Value>;

    /// Writes every field behind its column.
    fn write(self, columns: &mut Self::Columns);
}

/// A row of a dataset.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say which dataset it is a row of",
    note = "put `#[output(dataset = \"…\")]` on it, and derive `Output`"
)]
pub trait DatasetRow: Output {
    /// The manifest's `output`.
    fn describe() -> serde_json::Value;
}

/// The columns of an [`Output`] under construction.
pub trait Columns {
    /// No rows yet, but room for `rows`.
    fn with_capacity(rows: usize) -> Self;

    /// The columns and, for each, how many cells could not be read. Asks the host for the pseudonyms, once per column.
    fn finish(self) -> (Vec<Column>, Vec<u64>);
}

/// A field of an [`Output`].
pub trait Field {
    /// Where its values are stored.
    type Store: Store;
    /// Its type.
    const TYPE: ColumnType;
    /// Whether it is never null.
    const REQUIRED: bool;

    /// Writes the field behind the column.
    fn write(self, column: &mut Builder<Self::Store>);
}

/// The manifest entry of a column.
pub fn describe_column<F: Field>(name: &str) -> serde_json::Value {
    let mut column = json!({ "name": name, "type": F::TYPE.name() });
    if F::REQUIRED {
        column["required"] = true.into();
    }
    for (member, holds) in [("pseudonym", F::Store::PSEUDONYM), ("json", F::Store::JSON)] {
        if holds {
            column[member] = true.into();
        }
    }
    if !F::Store::FIELDS.is_empty() {
        let fields = F::Store::FIELDS.iter().map(|(name, field)| json!({ "name": name, "type": field.name() }));
        column["fields"] = fields.collect();
    }
    column
}

/// A value of an output column.
pub trait Value {
    /// Where values of this type are stored.
    type Store: Store;
    /// Its type.
    const TYPE: ColumnType;

    /// Adds the value at the end.
    fn push(self, store: &mut Self::Store);
}

impl<T: Value> Field for T {
    type Store = T::Store;
    const TYPE: ColumnType = T::TYPE;
    const REQUIRED: bool = true;

    fn write(self, column: &mut Builder<Self::Store>) {
        column.value(self);
    }
}

impl<T: Value> Field for Option<T> {
    type Store = T::Store;
    const TYPE: ColumnType = T::TYPE;
    const REQUIRED: bool = false;

    fn write(self, column: &mut Builder<Self::Store>) {
        match self {
            Some(value) => column.value(value),
            None => column.null(),
        }
    }
}

impl<T: Value> Field for Cell<T> {
    type Store = T::Store;
    const TYPE: ColumnType = T::TYPE;
    const REQUIRED: bool = false;

    fn write(self, column: &mut Builder<Self::Store>) {
        match self {
            Ok(value) => value.write(column),
            Err(Unreadable) => column.unreadable(),
        }
    }
}

/// The values of a column, without their validity.
pub trait Store {
    /// Whether the column holds pseudonyms of what is written to it.
    const PSEUDONYM: bool = false;
    /// Whether the column holds texts that are JSON.
    const JSON: bool = false;
    /// Of a column of lists of structs the fields of these.
    const FIELDS: &'static [(&'static str, ColumnType)] = &[];

    /// No values, but room for `rows`.
    fn with_capacity(rows: usize) -> Self;
    /// Adds an arbitrary value that stands for null.
    fn push_null(&mut self);
    /// How many cells within the values could not be read.
    fn unreadable(&self) -> u64 {
        0
    }
    /// The values as they cross the boundary.
    fn finish(self) -> Values;
}

/// A column under construction.
pub struct Builder<S> {
    store: S,
    validity: Validity,
    nullified: u64,
}

impl<S: Store> Builder<S> {
    /// No rows yet, but room for `rows`.
    pub fn with_capacity(rows: usize) -> Self {
        Self { store: S::with_capacity(rows), validity: Validity::default(), nullified: 0 }
    }

    fn value(&mut self, value: impl Value<Store = S>) {
        value.push(&mut self.store);
        self.validity.push(true);
    }

    fn null(&mut self) {
        self.store.push_null();
        self.validity.push(false);
    }

    fn unreadable(&mut self) {
        self.nullified += 1;
        self.null();
    }

    /// The column, and how many of its cells could not be read.
    pub fn finish(self) -> (Column, u64) {
        let nullified = self.nullified + self.store.unreadable();
        (Column { values: self.store.finish(), validity: self.validity.bitmap }, nullified)
    }
}

/// Which rows are not null; a bitmap exists from the first null on.
#[derive(Default)]
struct Validity {
    rows: usize,
    bitmap: Option<Vec<u8>>,
}

impl Validity {
    fn push(&mut self, valid: bool) {
        let (byte, bit) = (self.rows / 8, 1 << (self.rows % 8));
        self.rows += 1;
        if valid && self.bitmap.is_none() {
            return;
        }
        let bitmap = self.bitmap.get_or_insert_with(|| {
            let mut bitmap = vec![0xff; byte];
            bitmap.push(bit - 1);
            bitmap
        });
        if byte == bitmap.len() {
            bitmap.push(0);
        }
        if valid {
            bitmap[byte] |= bit;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::bindings::types::Strings;
    use crate::counts::Counts;
    use crate::value::{Cents, Date};

    fn build<F: Field>(fields: impl IntoIterator<Item = F>) -> (Column, u64) {
        let mut column = Builder::with_capacity(0);
        fields.into_iter().for_each(|field| field.write(&mut column));
        column.finish()
    }

    #[test]
    fn text_is_written_one_behind_the_other() {
        let (column, nullified) = build([Some("a"), None, Some("bc"), Some("")]);
        assert_eq!(column.values, Values::Text(Strings { offsets: vec![0, 1, 1, 3, 3], data: b"abc".to_vec() }));
        assert_eq!((column.validity, nullified), (Some(vec![0b1101]), 0));
    }

    #[test]
    fn what_cannot_be_read_is_null_and_counted_and_null_is_not_counted() {
        let (column, nullified) = build([Ok(Some(5)), Err(Unreadable), Ok(None), Err(Unreadable)]);
        let _: &Cell<i32> = &Ok(Some(5));
        assert_eq!(column.values, Values::Int64(vec![5, 0, 0, 0]));
        assert_eq!((column.validity, nullified), (Some(vec![0b0001]), 2));
    }

    #[test]
    fn a_column_without_nulls_has_no_bitmap() {
        assert_eq!(build([Cents(1), Cents(2)]).0, Column { values: Values::Decimal(vec![1, 2]), validity: None });
    }

    #[test]
    fn what_writes_itself_needs_no_string() {
        let (column, _) = build([Written(format_args!("{}.{}", 1, 2)), Written(format_args!("x"))]);
        assert_eq!(column.values, Values::Text(Strings { offsets: vec![0, 3, 4], data: b"1.2x".to_vec() }));
    }

    #[test]
    fn the_manifest_tells_types_nullability_and_pseudonyms() {
        assert_eq!(describe_column::<i32>("a"), json!({ "name": "a", "type": "int32", "required": true }));
        assert_eq!(describe_column::<Cell<Date>>("b"), json!({ "name": "b", "type": "date" }));
        assert_eq!(
            describe_column::<Option<Pseudo<'_>>>("c"),
            json!({ "name": "c", "type": "text", "pseudonym": true })
        );
        assert_eq!(
            describe_column::<Counts>("d"),
            json!({ "name": "d", "type": "text", "required": true, "json": true })
        );
    }

    proptest! {
        #[test]
        fn the_bitmap_says_which_rows_are_null(fields: Vec<Option<bool>>) {
            let (column, _) = build(fields.iter().copied());
            let is_valid = |row: usize| column.validity.as_ref().is_none_or(|bits| bits[row / 8] >> (row % 8) & 1 == 1);
            for (row, field) in fields.iter().enumerate() {
                prop_assert_eq!(is_valid(row), field.is_some());
            }
            if let Some(bits) = &column.validity {
                prop_assert_eq!(bits.len(), fields.len().div_ceil(8));
                // Bits beyond the last row stay 0.
                prop_assert!(fields.len() % 8 == 0 || bits[fields.len() / 8] >> (fields.len() % 8) == 0);
            }
        }
    }
}
