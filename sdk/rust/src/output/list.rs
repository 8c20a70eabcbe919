//! Columns of lists of structs. They cross the boundary as JSON: an array of rows, each the array of its fields.

use std::marker::PhantomData;

use serde_json::Value as Json;

use super::{Store, Texts, Value};
use crate::bindings::types::Values;
use crate::read::{Cell, Unreadable};
use crate::row::ColumnType;
use crate::value::Cents;

/// A struct in a list.
pub trait Struct {
    /// Its fields.
    const FIELDS: &'static [(&'static str, ColumnType)];

    /// Writes each of its fields.
    fn write(self, fields: &mut Fields<'_>);
}

/// A list of structs; an element that is none cannot be read.
#[derive(Clone, Debug, PartialEq)]
pub struct List<T>(pub Vec<Result<T, Unreadable>>);

/// The fields of a struct under construction.
pub struct Fields<'a> {
    values: Vec<Json>,
    /// Whether something in the list could not be read.
    unreadable: &'a mut bool,
}

impl Fields<'_> {
    /// Adds a text.
    pub fn text(&mut self, cell: Cell<impl Into<String>>) {
        self.add(cell.map(|text| text.map(|text| Json::from(text.into()))));
    }

    /// Adds an integer.
    pub fn int32(&mut self, cell: Cell<i32>) {
        self.add(cell.map(|number| number.map(Json::from)));
    }

    /// Adds an amount, in hundredths as everywhere at the boundary.
    pub fn amount(&mut self, cell: Cell<Cents>) {
        self.add(cell.map(|amount| amount.map(|amount| Json::from(amount.0))));
    }

    fn add(&mut self, cell: Cell<Json>) {
        *self.unreadable |= cell.is_err();
        self.values.push(cell.ok().flatten().unwrap_or(Json::Null));
    }
}

/// Lists of structs. A list in which something could not be read counts as one cell.
pub struct Lists<T> {
    texts: Texts,
    unreadable: u64,
    of: PhantomData<T>,
}

impl<T: Struct> Store for Lists<T> {
    const FIELDS: &'static [(&'static str, ColumnType)] = T::FIELDS;

    fn with_capacity(rows: usize) -> Self {
        Self { texts: Texts::with_capacity(rows), unreadable: 0, of: PhantomData }
    }

    fn push_null(&mut self) {
        self.texts.push_null();
    }

    fn unreadable(&self) -> u64 {
        self.unreadable
    }

    fn finish(self) -> Values {
        self.texts.finish()
    }
}

impl<T: Struct> Value for List<T> {
    type Store = Lists<T>;
    const TYPE: ColumnType = ColumnType::Text;

    fn push(self, store: &mut Lists<T>) {
        let (mut rows, mut unreadable) = (Vec::with_capacity(self.0.len()), false);
        for element in self.0 {
            let mut fields = Fields { values: Vec::with_capacity(T::FIELDS.len()), unreadable: &mut unreadable };
            match element {
                Ok(element) => element.write(&mut fields),
                Err(Unreadable) => *fields.unreadable = true,
            }
            // A struct that could not be read has no fields: it is null.
            let is_null = fields.values.is_empty();
            rows.push(if is_null { Json::Null } else { Json::Array(fields.values) });
        }
        store.unreadable += u64::from(unreadable);
        Value::push(Json::Array(rows).to_string().as_str(), &mut store.texts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bindings::types::Strings;
    use crate::output::{Builder, Field};

    struct Item(Cell<i32>);

    impl Struct for Item {
        const FIELDS: &'static [(&'static str, ColumnType)] = &[("name", ColumnType::Text), ("n", ColumnType::Int32)];

        fn write(self, fields: &mut Fields<'_>) {
            fields.text(Ok(Some("a")));
            fields.int32(self.0);
        }
    }

    #[test]
    fn lists_are_arrays_of_arrays_and_what_cannot_be_read_is_null_and_counted() {
        let mut column = Builder::with_capacity(0);
        Ok(Some(List(vec![Ok(Item(Ok(Some(1)))), Ok(Item(Err(Unreadable))), Err(Unreadable)]))).write(&mut column);
        Field::write(Cell::<List<Item>>::Err(Unreadable), &mut column);
        Field::write(Cell::<List<Item>>::Ok(None), &mut column);
        let (column, nullified) = column.finish();
        let text = br#"[["a",1],["a",null],null]"#.to_vec();
        let length = text.len() as u32;
        assert_eq!(column.values, Values::Text(Strings { offsets: vec![0, length, length, length], data: text }));
        assert_eq!((column.validity, nullified), (Some(vec![0b001]), 2));
    }
}
