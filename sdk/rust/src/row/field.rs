//! The types that the fields of a row can have.

use super::{ColumnType, TextColumn, Validity};
use crate::bindings::types::{Column, Value, Values};
use crate::encoding::{self, Reader};
use crate::value::{Cents, Date, Timestamp};

/// A field of a row: how it is read from a column, written into a state and shown in a context.
///
/// `Option<T>` is a column with nulls; any other type is a column that the host guarantees to have none.
pub trait Field<'a>: Copy {
    /// Its column, checked.
    type Source: Copy;
    /// The type of its column.
    const TYPE: ColumnType;
    /// Whether it can be null.
    const NULLABLE: bool = false;

    /// Checks that `column` is of the type and has `rows` rows.
    fn source(column: &'a Column, rows: usize) -> Option<Self::Source>;
    /// The value of `row`.
    fn get(source: Self::Source, row: usize) -> Self;
    /// The value for a finding's context.
    fn value(self) -> Value;
    /// Writes it into a state.
    fn encode(self, out: &mut Vec<u8>);
    /// Reads back what [`Field::encode`] wrote.
    fn decode(reader: &mut Reader<'a>) -> Option<Self>;
}

impl<'a, T: Field<'a>> Field<'a> for Option<T> {
    type Source = (T::Source, Validity<'a>);
    const TYPE: ColumnType = T::TYPE;
    const NULLABLE: bool = true;

    fn source(column: &'a Column, rows: usize) -> Option<Self::Source> {
        Some((T::source(column, rows)?, Validity::of(column, rows)?))
    }

    #[inline]
    fn get((source, validity): Self::Source, row: usize) -> Self {
        if validity.is_null(row) { None } else { Some(T::get(source, row)) }
    }

    fn value(self) -> Value {
        self.map_or(Value::Null, T::value)
    }

    fn encode(self, out: &mut Vec<u8>) {
        out.push(u8::from(self.is_some()));
        if let Some(value) = self {
            value.encode(out);
        }
    }

    fn decode(reader: &mut Reader<'a>) -> Option<Self> {
        match reader.byte()? {
            0 => Some(None),
            1 => T::decode(reader).map(Some),
            _ => None,
        }
    }
}

impl<'a> Field<'a> for &'a str {
    type Source = TextColumn<'a>;
    const TYPE: ColumnType = ColumnType::Text;

    fn source(column: &'a Column, rows: usize) -> Option<Self::Source> {
        TextColumn::of(column, rows)
    }

    #[inline]
    fn get(source: Self::Source, row: usize) -> Self {
        source.get(row)
    }

    fn value(self) -> Value {
        Value::Text(self.to_owned())
    }

    fn encode(self, out: &mut Vec<u8>) {
        encoding::bytes(out, self.as_bytes());
    }

    fn decode(reader: &mut Reader<'a>) -> Option<Self> {
        std::str::from_utf8(reader.bytes()?).ok()
    }
}

/// Fields whose column is a slice of numbers.
macro_rules! number {
    ($type:ty, $column_type:ident, $values:ident as $wire:ty, $get:expr, $value:expr, $to_wire:expr, $from_wire:expr) => {
        impl<'a> Field<'a> for $type {
            type Source = &'a [$wire];
            const TYPE: ColumnType = ColumnType::$column_type;

            fn source(column: &'a Column, rows: usize) -> Option<Self::Source> {
                match &column.values {
                    Values::$values(values) if values.len() == rows => Some(values),
                    _ => None,
                }
            }

            #[inline]
            fn get(source: Self::Source, row: usize) -> Self {
                $get(source[row])
            }

            fn value(self) -> Value {
                $value(self)
            }

            fn encode(self, out: &mut Vec<u8>) {
                encoding::signed(out, $to_wire(self));
            }

            fn decode(reader: &mut Reader<'a>) -> Option<Self> {
                reader.signed().and_then($from_wire)
            }
        }
    };
}

number!(i64, Int64, Int64 as i64, |v| v, Value::Int64, |v| v, Some);
// The host sends no 32-bit column a value that 32 bits cannot hold.
number!(i32, Int32, Int64 as i64, |v| v as i32, |v| Value::Int64(i64::from(v)), i64::from, |v: i64| v.try_into().ok());
number!(f64, Float64, Float64 as f64, |v| v, Value::Float64, |v: f64| v.to_bits() as i64, |v: i64| Some(
    f64::from_bits(v as u64)
));
number!(bool, Boolean, Boolean as u8, |v| v != 0, Value::Boolean, i64::from, |v| (v & !1 == 0).then_some(v == 1));
number!(Cents, Decimal, Decimal as i64, Cents, |v: Cents| Value::Decimal(v.0), |v: Cents| v.0, |v| Some(Cents(v)));
number!(
    Timestamp,
    Timestamp,
    Timestamp as i64,
    Timestamp,
    |v: Timestamp| Value::Timestamp(v.0.div_euclid(1000)),
    |v: Timestamp| v.0,
    |v| Some(Timestamp(v))
);
number!(Date, Date, Date as i32, Date, iso_date, |v: Date| i64::from(v.0), |v: i64| v.try_into().ok().map(Date));

/// The context has no dates of its own: they are texts, `YYYY-MM-DD`.
fn iso_date(date: Date) -> Value {
    let (year, month, day) = date.ymd();
    Value::Text(format!("{year:04}-{month:02}-{day:02}"))
}

/// A text field that `#[row(only = "…")]` can be put on.
pub trait Only {
    /// Whether it is this text; null is not.
    fn is(&self, text: &str) -> bool;
}

impl Only for &str {
    fn is(&self, text: &str) -> bool {
        *self == text
    }
}

impl Only for Option<&str> {
    fn is(&self, text: &str) -> bool {
        *self == Some(text)
    }
}
