//! One value of a table in the form in which the warehouse keeps it.

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Decimal128Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, TimeUnit};
use chrono::{DateTime, NaiveDate, SecondsFormat};
use tamis_model::schema::DECIMAL_SCALE;
use tamis_model::{Error, Result};

/// Amounts of more cents have no double of their own: 15 decimal digits always come back, 16 may not.
const CENTS_END: i128 = 10_i128.pow(15);

/// A value of a warehouse table; the module's table says which column type becomes which.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// No value.
    Null,
    /// Integers and Booleans.
    Integer(i64),
    /// Floating point numbers and amounts.
    Real(f64),
    /// Text, dates and timestamps.
    Text(String),
}

/// The type that a column is declared with; none for types that tables do not have.
pub(super) fn declared_type(column: &DataType) -> Option<&'static str> {
    match column {
        DataType::Utf8 | DataType::Date32 | DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => Some("TEXT"),
        DataType::Int32 | DataType::Int64 | DataType::Boolean => Some("INTEGER"),
        DataType::Float64 => Some("REAL"),
        DataType::Decimal128(_, DECIMAL_SCALE) => Some("REAL"),
        _ => None,
    }
}

/// The rows of a batch. An error names the column and the value's row.
pub(super) fn rows_of(batch: &RecordBatch, table: &str) -> Result<Vec<Vec<Cell>>> {
    let mut rows: Vec<Vec<Cell>> = (0..batch.num_rows()).map(|_| Vec::with_capacity(batch.num_columns())).collect();
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        for (i, row) in rows.iter_mut().enumerate() {
            let cell = cell(column, i).map_err(|reason| {
                Error::invalid("load column", format!("{table}.{} row {i} of a batch", field.name()), reason)
            })?;
            row.push(cell);
        }
    }
    Ok(rows)
}

fn cell(column: &dyn Array, i: usize) -> Result<Cell, &'static str> {
    if column.is_null(i) {
        return Ok(Cell::Null);
    }
    let unwritable = "the year cannot be written";
    Ok(match column.data_type() {
        DataType::Utf8 => Cell::Text(column.as_string::<i32>().value(i).to_owned()),
        DataType::Int32 => Cell::Integer(column.as_primitive::<Int32Type>().value(i).into()),
        DataType::Int64 => Cell::Integer(column.as_primitive::<Int64Type>().value(i)),
        DataType::Boolean => Cell::Integer(column.as_boolean().value(i).into()),
        DataType::Float64 => real(column.as_primitive::<Float64Type>().value(i))?,
        DataType::Decimal128(_, DECIMAL_SCALE) => amount(column.as_primitive::<Decimal128Type>().value(i))?,
        DataType::Date32 => Cell::Text(date(column.as_primitive::<Date32Type>().value(i)).ok_or(unwritable)?),
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => {
            Cell::Text(timestamp(column.as_primitive::<TimestampMicrosecondType>().value(i)).ok_or(unwritable)?)
        }
        _ => return Err("tables do not have its type"),
    })
}

fn real(value: f64) -> Result<Cell, &'static str> {
    if value.is_finite() { Ok(Cell::Real(value)) } else { Err("it is not a finite number") }
}

/// The division of two exact doubles gives the double nearest to the amount.
fn amount(cents: i128) -> Result<Cell, &'static str> {
    if cents.abs() < CENTS_END {
        Ok(Cell::Real(cents as f64 / 100.0))
    } else {
        Err("the amount has more than 15 digits")
    }
}

fn date(days: i32) -> Option<String> {
    let date = NaiveDate::from_epoch_days(days)?;
    (0..=9999).contains(&chrono::Datelike::year(&date)).then(|| date.to_string())
}

fn timestamp(micros: i64) -> Option<String> {
    let time = DateTime::from_timestamp_micros(micros)?;
    let written = time.to_rfc3339_opts(SecondsFormat::Millis, true);
    (0..=9999).contains(&chrono::Datelike::year(&time)).then_some(written)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{
        ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array, StringArray,
        TimestampMicrosecondArray,
    };
    use proptest::prelude::*;

    use super::*;

    fn only_cell(column: ArrayRef) -> Result<Cell> {
        let rows = rows_of(&RecordBatch::try_from_iter([("c", column)]).unwrap(), "t")?;
        Ok(rows[0][0].clone())
    }

    fn decimal(cents: i128) -> ArrayRef {
        Arc::new(Decimal128Array::from(vec![cents]).with_precision_and_scale(18, 2).unwrap())
    }

    #[test]
    fn every_type_has_its_form() {
        let time = TimestampMicrosecondArray::from(vec![1_773_842_400_123_456]).with_timezone("UTC");
        let cases: Vec<(ArrayRef, Cell)> = vec![
            (Arc::new(StringArray::from(vec!["é"])), Cell::Text("é".to_owned())),
            (Arc::new(Int32Array::from(vec![None])), Cell::Null),
            (Arc::new(Int32Array::from(vec![20_260_318])), Cell::Integer(20_260_318)),
            (Arc::new(BooleanArray::from(vec![true])), Cell::Integer(1)),
            (Arc::new(Float64Array::from(vec![99.5])), Cell::Real(99.5)),
            (decimal(-123_456), Cell::Real(-1234.56)),
            (Arc::new(Date32Array::from(vec![-1])), Cell::Text("1969-12-31".to_owned())),
            (Arc::new(time), Cell::Text("2026-03-18T14:00:00.123Z".to_owned())),
        ];
        for (column, expected) in cases {
            assert!(declared_type(column.data_type()).is_some());
            assert_eq!(only_cell(column).unwrap(), expected);
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let refused: Vec<ArrayRef> = vec![
            Arc::new(Float64Array::from(vec![f64::NAN])),
            Arc::new(Float64Array::from(vec![f64::INFINITY])),
            Arc::new(Date32Array::from(vec![i32::MAX])),
            decimal(CENTS_END),
            decimal(-CENTS_END),
        ];
        for column in refused {
            assert!(only_cell(column).is_err());
        }
    }

    proptest! {
        /// Whatever amount is taken reads back to the cent.
        #[test]
        fn amounts_come_back(cents in -(CENTS_END - 1)..CENTS_END) {
            let Cell::Real(value) = only_cell(decimal(cents)).unwrap() else { panic!("an amount is a number") };
            let text = format!("{}{}.{:02}", if cents < 0 { "-" } else { "" }, cents.abs() / 100, cents.abs() % 100);
            prop_assert_eq!(format!("{value:.2}"), text);
        }
    }
}
