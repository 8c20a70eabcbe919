//! Cells as cases write them: dates `YYYY-MM-DD`, timestamps RFC 3339, decimals as text ("12.34").

use std::sync::Arc;

use arrow_array::builder::{
    BooleanBuilder, Date32Builder, Decimal128Builder, Float64Builder, Int32Builder, Int64Builder, StringBuilder,
    TimestampMicrosecondBuilder,
};
use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Decimal128Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::DataType;
use chrono::{DateTime, Days, NaiveDate, SecondsFormat};
use serde_json::{Map, Value};
use tamis_model::schema::{ColumnType, DECIMAL_PRECISION, DECIMAL_SCALE};

/// The rows of a batch as JSON objects.
pub(super) fn rows(batch: &RecordBatch, types: &[ColumnType]) -> Vec<Value> {
    let schema = batch.schema();
    let row = |row: usize| {
        let columns = schema.fields().iter().zip(batch.columns()).zip(types);
        let members = columns.map(|((field, column), kind)| (field.name().clone(), cell(column, *kind, row)));
        Value::Object(members.collect::<Map<_, _>>())
    };
    (0..batch.num_rows()).map(row).collect()
}

fn cell(column: &ArrayRef, kind: ColumnType, row: usize) -> Value {
    if column.is_null(row) {
        return Value::Null;
    }
    if let Some(lists) = column.as_list_opt::<i32>() {
        return structs(&lists.value(row));
    }
    match kind {
        ColumnType::Text => column.as_string::<i32>().value(row).into(),
        ColumnType::Int32 => column.as_primitive::<Int32Type>().value(row).into(),
        ColumnType::Int64 => column.as_primitive::<Int64Type>().value(row).into(),
        ColumnType::Float64 => column.as_primitive::<Float64Type>().value(row).into(),
        ColumnType::Boolean => column.as_boolean().value(row).into(),
        ColumnType::Timestamp => timestamp(column.as_primitive::<TimestampMicrosecondType>().value(row)).into(),
        ColumnType::Date => date(column.as_primitive::<Date32Type>().value(row)).into(),
        ColumnType::Decimal => column.as_primitive::<Decimal128Type>().value_as_string(row).into(),
    }
}

/// The structs of a list as JSON objects; null where one is.
fn structs(list: &ArrayRef) -> Value {
    let structs = list.as_struct();
    let kind_of = |data_type: &DataType| match data_type {
        DataType::Int32 => ColumnType::Int32,
        DataType::Decimal128(..) => ColumnType::Decimal,
        _ => ColumnType::Text,
    };
    let object = |row: usize| {
        let fields = structs.fields().iter().zip(structs.columns());
        let members = fields.map(|(field, cells)| (field.name().clone(), cell(cells, kind_of(field.data_type()), row)));
        if structs.is_null(row) { Value::Null } else { Value::Object(members.collect()) }
    };
    (0..structs.len()).map(object).collect()
}

/// The shortest RFC 3339 form, with Z; a value outside of the calendar is shown as its number.
fn timestamp(micros: i64) -> String {
    let time = DateTime::from_timestamp_micros(micros);
    time.map_or_else(|| format!("{micros} µs"), |time| time.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}

fn date(days: i32) -> String {
    let distance = Days::new(u64::from(days.unsigned_abs()));
    let epoch = NaiveDate::default();
    let date = if days < 0 { epoch.checked_sub_days(distance) } else { epoch.checked_add_days(distance) };
    date.map_or_else(|| format!("day {days}"), |date| date.to_string())
}

/// Brings the timestamps that a case expects into the form that [`rows`] gives them.
pub(super) fn normalise(expected: &mut Value, names: &[String], types: &[ColumnType]) {
    let timestamps = names.iter().zip(types).filter(|(_, kind)| **kind == ColumnType::Timestamp);
    for (name, _) in timestamps {
        let Some(Value::String(text)) = expected.get_mut(name) else { continue };
        if let Ok(time) = DateTime::parse_from_rfc3339(text) {
            *text = timestamp(time.timestamp_micros());
        }
    }
}

/// A column of the cells that a case gives, or the first cell that does not fit its type.
pub(super) fn column(kind: ColumnType, cells: &[&Value]) -> Result<ArrayRef, String> {
    macro_rules! build {
        ($builder:expr, $read:expr) => {{
            let mut builder = $builder;
            for cell in cells {
                match cell {
                    Value::Null => builder.append_null(),
                    cell => builder.append_value($read(cell).ok_or_else(|| format!("{cell} is no {kind:?}"))?),
                }
            }
            Arc::new(builder.finish())
        }};
    }
    Ok(match kind {
        ColumnType::Text => build!(StringBuilder::new(), |cell: &Value| cell.as_str().map(str::to_owned)),
        ColumnType::Int32 => {
            build!(Int32Builder::new(), |cell: &Value| cell.as_i64().and_then(|n| i32::try_from(n).ok()))
        }
        ColumnType::Int64 => build!(Int64Builder::new(), Value::as_i64),
        ColumnType::Float64 => build!(Float64Builder::new(), read_float),
        ColumnType::Boolean => build!(BooleanBuilder::new(), Value::as_bool),
        ColumnType::Timestamp => {
            build!(TimestampMicrosecondBuilder::new().with_timezone("UTC"), |cell: &Value| {
                Some(DateTime::parse_from_rfc3339(cell.as_str()?).ok()?.timestamp_micros())
            })
        }
        ColumnType::Date => build!(Date32Builder::new(), read_date),
        ColumnType::Decimal => {
            let builder = Decimal128Builder::new().with_precision_and_scale(DECIMAL_PRECISION, DECIMAL_SCALE);
            build!(builder.map_err(|error| error.to_string())?, read_decimal)
        }
    })
}

/// A number, or one of the texts for what JSON has no number for.
fn read_float(cell: &Value) -> Option<f64> {
    match cell.as_str() {
        None => cell.as_f64(),
        Some("NaN") => Some(f64::NAN),
        Some("Infinity") => Some(f64::INFINITY),
        Some("-Infinity") => Some(f64::NEG_INFINITY),
        Some(_) => None,
    }
}

fn read_date(cell: &Value) -> Option<i32> {
    let date: NaiveDate = cell.as_str()?.parse().ok()?;
    i32::try_from(date.signed_duration_since(NaiveDate::default()).num_days()).ok()
}

/// Digits with exactly two behind the point.
fn read_decimal(cell: &Value) -> Option<i128> {
    let text = cell.as_str()?;
    let (whole, cents) = text.rsplit_once('.')?;
    let is_written_out = cents.len() == 2 && cents.bytes().all(|byte| byte.is_ascii_digit());
    is_written_out.then(|| format!("{whole}{cents}").parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tamis_model::schema::{Column, arrow_schema};

    use super::*;

    #[test]
    fn cells_read_back_as_they_were_written() {
        let check = |kind: ColumnType, cells: Value| {
            let cells = cells.as_array().unwrap();
            let array = column(kind, &cells.iter().collect::<Vec<_>>()).unwrap();
            let declared = Column {
                name: "x".to_owned(),
                column_type: kind,
                required: false,
                personal: false,
                pseudonym: false,
                json: false,
                fields: Vec::new(),
            };
            let batch = RecordBatch::try_new(arrow_schema(&[declared]), vec![array]).unwrap();
            let read: Vec<_> = rows(&batch, &[kind]).into_iter().map(|row| row["x"].clone()).collect();
            assert_eq!(&read, cells, "{kind:?}");
        };
        check(ColumnType::Text, json!(["a", "", null]));
        check(ColumnType::Int32, json!([-7, null]));
        check(ColumnType::Int64, json!([9_007_199_254_740_993_i64, null]));
        check(ColumnType::Float64, json!([1.5, null]));
        check(ColumnType::Boolean, json!([true, false, null]));
        check(ColumnType::Timestamp, json!(["2026-03-18T12:48:08Z", "1969-12-31T23:59:59.500Z", null]));
        check(ColumnType::Date, json!(["2026-03-18", "1969-12-31", null]));
        check(ColumnType::Decimal, json!(["12.34", "-0.05", null]));
    }

    #[test]
    fn cells_that_do_not_fit_are_named() {
        for (kind, cell) in [
            (ColumnType::Text, json!(1)),
            (ColumnType::Int32, json!(3_000_000_000_i64)),
            (ColumnType::Decimal, json!("1.5")),
            (ColumnType::Decimal, json!("1.+5")),
            (ColumnType::Date, json!("18/03/2026")),
            (ColumnType::Timestamp, json!("2026-03-18")),
        ] {
            assert_eq!(column(kind, &[&cell]).unwrap_err(), format!("{cell} is no {kind:?}"));
        }
    }

    #[test]
    fn expected_timestamps_may_be_written_in_any_zone() {
        let mut expected = json!({"ts": "2026-03-18T13:48:08.000+01:00", "day": "2026-03-18"});
        normalise(&mut expected, &["ts".to_owned(), "day".to_owned()], &[ColumnType::Timestamp, ColumnType::Date]);
        assert_eq!(expected, json!({"ts": "2026-03-18T12:48:08Z", "day": "2026-03-18"}));
    }
}
