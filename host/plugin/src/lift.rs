//! Columns that come out of a guest, checked and made Arrow arrays without a copy where the layouts agree.
//!
//! Nothing here is trusted: lengths, offsets, UTF-8, bitmaps and ranges are checked, and a breach says which
//! column it was and what was wrong.

mod lists;

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array, StringArray,
    TimestampMicrosecondArray,
};
use arrow_buffer::{ArrowNativeType, BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use tamis_model::schema::{Column, ColumnType, DECIMAL_PRECISION, DECIMAL_SCALE};

use crate::host::check_offsets;
use crate::wire::{BatchBuf, ColumnBuf, StringsBuf, ValuesBuf};

/// The first integer of more digits than a decimal column has.
const DECIMAL_BOUND: u64 = 10u64.pow(DECIMAL_PRECISION as u32);

/// `batch` as arrays of the declared columns, or what is wrong with it.
pub(crate) fn lift(batch: BatchBuf, columns: &[Column]) -> Result<Vec<ArrayRef>, String> {
    if batch.columns.len() != columns.len() {
        return Err(format!("{} output columns, {} are declared", batch.columns.len(), columns.len()));
    }
    let rows = batch.rows as usize;
    let lift = |(buf, column): (ColumnBuf, &Column)| {
        lift_column(buf, column, rows).map_err(|why| format!("output column `{}`: {why}", column.name))
    };
    batch.columns.into_iter().zip(columns).map(lift).collect()
}

fn lift_column(buf: ColumnBuf, column: &Column, rows: usize) -> Result<ArrayRef, String> {
    let nulls = buf.validity.map(|bitmap| lift_validity(bitmap, rows)).transpose()?.filter(|n| n.null_count() > 0);
    if let Some(nulls) = nulls.as_ref().filter(|_| column.required) {
        return Err(format!("{} nulls, but it is required", nulls.null_count()));
    }
    Ok(match (column.column_type, buf.values) {
        (ColumnType::Text, ValuesBuf::Text(strings)) if !column.fields.is_empty() => {
            lists::lift(&lift_text(strings, nulls, rows)?, column)?
        }
        (ColumnType::Text, ValuesBuf::Text(strings)) => Arc::new(lift_text(strings, nulls, rows)?),
        (ColumnType::Int64, ValuesBuf::Int64(values)) => Arc::new(Int64Array::new(whole(values, rows)?, nulls)),
        (ColumnType::Float64, ValuesBuf::Float64(values)) => Arc::new(Float64Array::new(whole(values, rows)?, nulls)),
        (ColumnType::Date, ValuesBuf::Date(values)) => Arc::new(Date32Array::new(whole(values, rows)?, nulls)),
        (ColumnType::Timestamp, ValuesBuf::Timestamp(values)) => {
            Arc::new(TimestampMicrosecondArray::new(whole(values, rows)?, nulls).with_timezone("UTC"))
        }
        (ColumnType::Int32, ValuesBuf::Int64(values)) => {
            let values: ScalarBuffer<i64> = whole(values, rows)?;
            let narrow = |value: i64| i32::try_from(value).ok();
            Arc::new(Int32Array::new(each(&values, nulls.as_ref(), "beyond 32 bits", narrow)?, nulls))
        }
        (ColumnType::Decimal, ValuesBuf::Decimal(values)) => {
            let values: ScalarBuffer<i64> = whole(values, rows)?;
            let bounded = |value: i64| (value.unsigned_abs() < DECIMAL_BOUND).then_some(i128::from(value));
            let values = each(&values, nulls.as_ref(), "of more than 18 digits", bounded)?;
            let array = Decimal128Array::new(values, nulls).with_precision_and_scale(DECIMAL_PRECISION, DECIMAL_SCALE);
            Arc::new(array.expect("18 digits, 2 of them behind the point, is a valid decimal type"))
        }
        (ColumnType::Boolean, ValuesBuf::Boolean(values)) => Arc::new(lift_booleans(&values, nulls, rows)?),
        (declared, values) => return Err(format!("declared {declared:?}, but it holds {}", name(&values))),
    })
}

fn name(values: &ValuesBuf) -> &'static str {
    match values {
        ValuesBuf::Text(_) => "text",
        ValuesBuf::Int64(_) => "int64",
        ValuesBuf::Float64(_) => "float64",
        ValuesBuf::Boolean(_) => "boolean",
        ValuesBuf::Timestamp(_) => "timestamp",
        ValuesBuf::Date(_) => "date",
        ValuesBuf::Decimal(_) => "decimal",
    }
}

/// One value for each row, or how many there are instead.
fn whole<T: ArrowNativeType>(values: Vec<T>, rows: usize) -> Result<ScalarBuffer<T>, String> {
    if values.len() != rows {
        return Err(format!("{} values for {rows} rows", values.len()));
    }
    Ok(values.into())
}

/// Converts every value that is not null; null rows get a zero, whatever stood there.
fn each<T: ArrowNativeType>(
    values: &[i64],
    nulls: Option<&NullBuffer>,
    wrong: &str,
    convert: impl Fn(i64) -> Option<T>,
) -> Result<ScalarBuffer<T>, String> {
    let mut converted = Vec::with_capacity(values.len());
    for (row, value) in values.iter().enumerate() {
        converted.push(match convert(*value) {
            Some(value) => value,
            None if nulls.is_some_and(|nulls| nulls.is_null(row)) => T::default(),
            None => return Err(format!("{value} in row {row} is {wrong}")),
        });
    }
    Ok(converted.into())
}

fn lift_validity(bitmap: Vec<u8>, rows: usize) -> Result<NullBuffer, String> {
    if bitmap.len() < rows.div_ceil(8) {
        return Err(format!("a validity bitmap of {} bytes for {rows} rows", bitmap.len()));
    }
    Ok(NullBuffer::new(BooleanBuffer::new(Buffer::from_vec(bitmap), 0, rows)))
}

fn lift_text(strings: StringsBuf, nulls: Option<NullBuffer>, rows: usize) -> Result<StringArray, String> {
    if strings.offsets.len() != rows + 1 {
        return Err(format!("{} offsets for {rows} rows", strings.offsets.len()));
    }
    check_offsets(&strings.offsets, strings.data.len())?;
    if i32::try_from(strings.data.len()).is_err() {
        return Err(format!("{} bytes of text", strings.data.len()));
    }
    // The same bits: all offsets are below 2^31.
    let offsets = ScalarBuffer::<i32>::new(Buffer::from_vec(strings.offsets), 0, rows + 1);
    StringArray::try_new(OffsetBuffer::new(offsets), Buffer::from_vec(strings.data), nulls).map_err(|e| e.to_string())
}

fn lift_booleans(values: &[u8], nulls: Option<NullBuffer>, rows: usize) -> Result<BooleanArray, String> {
    if values.len() != rows {
        return Err(format!("{} values for {rows} rows", values.len()));
    }
    if let Some(row) = values.iter().position(|value| *value > 1) {
        return Err(format!("{} in row {row} is neither 0 nor 1", values[row]));
    }
    Ok(BooleanArray::new(BooleanBuffer::collect_bool(rows, |row| values[row] == 1), nulls))
}
