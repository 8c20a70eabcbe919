//! Rows: views over the columns of a batch. No copy, no parsing; what a column is gets checked once per batch.

use crate::bindings::types::{Column, Value};
use crate::encoding::Reader;

mod field;
mod text;

pub use field::{Field, Only};
pub use text::{BytesColumn, TextColumn, Validity};

/// The types that columns can have, by their names in the manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// UTF-8.
    Text,
    /// 32-bit; crosses the boundary as 64-bit.
    Int32,
    /// 64-bit.
    Int64,
    /// IEEE 754 double.
    Float64,
    /// True or false.
    Boolean,
    /// Microseconds since the Unix epoch, UTC.
    Timestamp,
    /// Days since the Unix epoch.
    Date,
    /// Hundredths.
    Decimal,
}

impl ColumnType {
    /// Its name in the manifest.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Float64 => "float64",
            Self::Boolean => "boolean",
            Self::Timestamp => "timestamp",
            Self::Date => "date",
            Self::Decimal => "decimal",
        }
    }
}

/// A column that a row declares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColumnSpec {
    /// Its name at the source.
    pub name: &'static str,
    /// The type of its values.
    pub column_type: ColumnType,
    /// Whether no row may be null: the field is no `Option`.
    pub required: bool,
    /// Whether it tells who a person is.
    pub personal: bool,
    /// The one text with which a row counts.
    pub only: Option<&'static str>,
}

/// What a row struct reads: where its rows come from, and their columns in the order of its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InputSpec {
    /// Rules: the topic.
    pub topic: Option<&'static str>,
    /// Transforms: the Bronze source.
    pub source: Option<&'static str>,
    /// Transforms: `csv` or `lines`.
    pub format: Option<&'static str>,
    /// The columns.
    pub columns: &'static [ColumnSpec],
}

impl ColumnSpec {
    /// It and its type, as the shape of a state names it: `card:text?`.
    pub fn shape(&self) -> String {
        format!("{}:{}{}", self.name, self.column_type.name(), if self.required { "" } else { "?" })
    }
}

impl InputSpec {
    /// Its columns as the shape of a state that keeps rows names them: `card:text?,amount:decimal`.
    pub fn shape(&self) -> String {
        let columns: Vec<_> = self.columns.iter().map(ColumnSpec::shape).collect();
        columns.join(",")
    }

    /// The index of the column `name`.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// Whether there is a column `name`, for the compiler to check.
    pub const fn declares(&self, name: &str) -> bool {
        self.column(name).is_some()
    }

    /// Whether there is a column `name` that tells who a person is, for the compiler to check.
    pub const fn is_personal(&self, name: &str) -> bool {
        matches!(self.column(name), Some(ColumnSpec { personal: true, .. }))
    }

    /// The column `name`.
    pub const fn column(&self, name: &str) -> Option<&'static ColumnSpec> {
        let mut i = 0;
        while i < self.columns.len() {
            if equal(self.columns[i].name.as_bytes(), name.as_bytes()) {
                return Some(&self.columns[i]);
            }
            i += 1;
        }
        None
    }
}

const fn equal(a: &[u8], b: &[u8]) -> bool {
    let mut i = 0;
    while i < a.len() && i < b.len() && a[i] == b[i] {
        i += 1;
    }
    i == a.len() && i == b.len()
}

/// Which rows of a batch belong to an input.
#[derive(Clone, Copy, Debug)]
pub struct Membership<'a> {
    /// How many rows the batch has.
    pub rows: usize,
    /// For each row the input it is from; empty when there is only one.
    pub input: &'a [u8],
    /// The input in question.
    pub index: u8,
}

impl<'a> Membership<'a> {
    /// All rows.
    pub fn all(rows: usize) -> Self {
        Self { rows, input: &[], index: 0 }
    }

    /// Whether `row` belongs to it.
    pub fn contains(&self, row: usize) -> bool {
        self.input.get(row).is_none_or(|input| *input == self.index)
    }
}

/// A row of an input. `#[derive(Row)]` writes it; `Self` names the family, [`Row::At`] a row of one batch.
pub trait Row {
    /// A row that borrows from the columns of a batch.
    type At<'a>;
    /// The columns, each checked to be of its type and length.
    type Columns<'a>;
    /// What the row declares.
    const INPUT: InputSpec;
    /// Whether [`Row::counted`] can be false.
    const FILTERED: bool;

    /// Checks the columns of a batch. The message names the column that is not as declared.
    fn columns<'a>(columns: &'a [Column], members: Membership<'_>) -> Result<Self::Columns<'a>, String>;
    /// Row `row` of the columns. Panics behind the last one.
    fn at<'a>(columns: &Self::Columns<'a>, row: usize) -> Self::At<'a>;
    /// Whether the row is one that windows and joins count: every `#[row(only = …)]` holds.
    fn counted(row: &Self::At<'_>) -> bool;
    /// Its values, in the order of the columns.
    fn values(row: &Self::At<'_>, values: &mut Vec<Value>);
    /// Writes the row into a state.
    fn encode(row: &Self::At<'_>, out: &mut Vec<u8>);
    /// Reads back what [`Row::encode`] wrote.
    fn decode<'a>(reader: &mut Reader<'a>) -> Option<Self::At<'a>>;
}

/// Resolves the column of a field; for the code that `#[derive(Row)]` writes.
pub fn resolve<'a, F: Field<'a>>(
    columns: &'a [Column],
    spec: &InputSpec,
    index: usize,
    members: Membership<'_>,
) -> Result<F::Source, String> {
    let name = spec.columns[index].name;
    let column = columns.get(index).ok_or_else(|| format!("column `{name}` is missing"))?;
    if !F::NULLABLE && column.validity.is_some() {
        let validity =
            Validity::of(column, members.rows).ok_or_else(|| format!("column `{name}` has a short validity"))?;
        if let Some(row) = (0..members.rows).find(|&row| members.contains(row) && validity.is_null(row)) {
            return Err(format!("column `{name}` is required and null in row {row}"));
        }
    }
    F::source(column, members.rows)
        .ok_or_else(|| format!("column `{name}` is not {} of {} rows", F::TYPE.name(), members.rows))
}
