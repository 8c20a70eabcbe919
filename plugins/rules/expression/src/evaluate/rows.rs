//! The columns of a batch, each checked to be what the manifest declares.

use tamis_sdk::bindings::types::{Batch, Column as Wire, Values};
use tamis_sdk::row::TextColumn;

use super::bits::Bits;
use crate::columns::{Column, ColumnType};

/// The columns of a batch.
pub struct Rows<'a> {
    /// How many rows there are.
    pub len: usize,
    columns: Vec<(Cells<'a>, Option<Bits>)>,
}

/// The values of a column; arbitrary where it is null.
enum Cells<'a> {
    Text(TextColumn<'a>),
    /// Integers, and the hundredths of decimals.
    Integers(&'a [i64]),
    Doubles(&'a [f64]),
    Flags(&'a [u8]),
}

impl<'a> Rows<'a> {
    /// Checks the columns of a batch. The message names the one that is not as declared.
    pub fn of(batch: &'a Batch, declared: &[Column]) -> Result<Self, String> {
        let len = batch.rows as usize;
        if batch.columns.len() != declared.len() {
            return Err(format!("{} columns instead of {}", batch.columns.len(), declared.len()));
        }
        let column = |(column, declared): (&'a Wire, &Column)| {
            let wrong = || {
                format!(
                    "column `{}` is not {} of {len} rows",
                    declared.name,
                    declared.column_type.map_or("", ColumnType::name)
                )
            };
            let cells = cells(column, declared.column_type, len).ok_or_else(wrong)?;
            let valid = match &column.validity {
                Some(bitmap) if bitmap.len() * 8 < len => return Err(wrong()),
                bitmap => bitmap.as_ref().map(|bitmap| Bits::from_bitmap(bitmap, len)),
            };
            Ok((cells, valid))
        };
        let columns = batch.columns.iter().zip(declared).map(column).collect::<Result<_, _>>()?;
        Ok(Self { len, columns })
    }

    /// Where a column is not null; nothing when it is nowhere.
    pub fn valid(&self, column: usize) -> Option<&Bits> {
        self.columns[column].1.as_ref()
    }

    /// A column of integers or decimals.
    pub fn integers(&self, column: usize) -> &'a [i64] {
        match self.columns[column].0 {
            Cells::Integers(integers) => integers,
            _ => unreachable!("{TYPED}"),
        }
    }

    /// A column of doubles.
    pub fn doubles(&self, column: usize) -> &'a [f64] {
        match self.columns[column].0 {
            Cells::Doubles(doubles) => doubles,
            _ => unreachable!("{TYPED}"),
        }
    }

    /// A Boolean column.
    pub fn flags(&self, column: usize) -> &'a [u8] {
        match self.columns[column].0 {
            Cells::Flags(flags) => flags,
            _ => unreachable!("{TYPED}"),
        }
    }

    /// A text column.
    pub fn text(&self, column: usize) -> TextColumn<'a> {
        match self.columns[column].0 {
            Cells::Text(text) => text,
            _ => unreachable!("{TYPED}"),
        }
    }
}

const TYPED: &str = "a plan reads a column as what it is declared";

fn cells<'a>(column: &'a Wire, declared: Option<ColumnType>, len: usize) -> Option<Cells<'a>> {
    match (&column.values, declared?) {
        (Values::Text(_), ColumnType::Text) => TextColumn::of(column, len).map(Cells::Text),
        (Values::Int64(values), ColumnType::Int64) if values.len() == len => Some(Cells::Integers(values)),
        (Values::Decimal(values), ColumnType::Decimal) if values.len() == len => Some(Cells::Integers(values)),
        (Values::Float64(values), ColumnType::Float64) if values.len() == len => Some(Cells::Doubles(values)),
        (Values::Boolean(values), ColumnType::Boolean) if values.len() == len => Some(Cells::Flags(values)),
        _ => None,
    }
}
