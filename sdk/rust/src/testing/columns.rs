//! Columns out of JSON values, and JSON values out of columns.

use serde_json::{Map, Value as Json};

use crate::bindings::types::{Batch, Column, Strings, Values};
use crate::row::{TextColumn, Validity};

/// Texts one behind the other.
pub fn strings<'a>(texts: impl IntoIterator<Item = &'a [u8]>) -> Strings {
    let mut strings = Strings { offsets: vec![0], data: Vec::new() };
    for text in texts {
        strings.data.extend_from_slice(text);
        strings.offsets.push(u32::try_from(strings.data.len()).expect("a test holds less than 4 GiB"));
    }
    strings
}

/// A text column.
pub fn text_column(values: &[Option<&str>]) -> Column {
    let texts = values.iter().map(|value| value.unwrap_or_default().as_bytes());
    Column { values: Values::Text(strings(texts)), validity: validity(values.iter().map(Option::is_some)) }
}

/// A column of the manifest's type `column_type`. Numbers stand for their wire form: cents, days, microseconds. Panics when a
/// value is not of the type.
pub fn column(column_type: &str, values: &[Option<&Json>]) -> Column {
    let integers = || values.iter().map(|value| value.map_or(0, |v| v.as_i64().expect("the value is an integer")));
    let values_of_type = match column_type {
        "text" => {
            return text_column(
                &values.iter().map(|v| v.map(|v| v.as_str().expect("the value is a text"))).collect::<Vec<_>>(),
            );
        }
        "int32" | "int64" => Values::Int64(integers().collect()),
        "timestamp" => Values::Timestamp(integers().collect()),
        "decimal" => Values::Decimal(integers().collect()),
        "date" => Values::Date(integers().map(|v| i32::try_from(v).expect("the value is a day")).collect()),
        "float64" => Values::Float64(
            values.iter().map(|v| v.map_or(0.0, |v| v.as_f64().expect("the value is a number"))).collect(),
        ),
        "boolean" => Values::Boolean(
            values
                .iter()
                .map(|v| u8::from(v.is_some_and(|v| v.as_bool().expect("the value is true or false"))))
                .collect(),
        ),
        other => panic!("the manifest names no column type `{other}`"),
    };
    Column { values: values_of_type, validity: validity(values.iter().map(Option::is_some)) }
}

/// A bitmap, least significant bit first; none when nothing is null.
fn validity(valid: impl Iterator<Item = bool> + Clone) -> Option<Vec<u8>> {
    if valid.clone().all(|valid| valid) {
        return None;
    }
    let mut bits = Vec::new();
    for (row, valid) in valid.enumerate() {
        if row % 8 == 0 {
            bits.push(0);
        }
        bits[row / 8] |= u8::from(valid) << (row % 8);
    }
    Some(bits)
}

/// The rows of a batch as objects, by the manifest entries of its columns. Numbers stand for their wire form; text that is
/// declared as JSON is read. Panics when the batch is not of these columns.
pub fn rows(batch: &Batch, columns: &[Json]) -> Vec<Json> {
    assert_eq!(batch.columns.len(), columns.len(), "one column for each that is declared");
    let rows = batch.rows as usize;
    let member = |(column, declared): (&Column, &Json), row: usize| {
        let name = declared["name"].as_str().expect("a column has a name");
        let value = value(column, declared["json"] == true, rows, row);
        assert!(declared["required"] != true || !value.is_null(), "column {name} is required and null in row {row}");
        (name.to_owned(), value)
    };
    let object = |row| batch.columns.iter().zip(columns).map(|column| member(column, row)).collect::<Map<_, _>>();
    (0..rows).map(|row| Json::Object(object(row))).collect()
}

fn value(column: &Column, is_json: bool, rows: usize, row: usize) -> Json {
    if Validity::of(column, rows).expect("the bitmap covers the rows").is_null(row) {
        return Json::Null;
    }
    match &column.values {
        Values::Text(_) => {
            let text = TextColumn::of(column, rows).expect("there are as many texts as rows").get(row);
            if is_json { serde_json::from_str(text).expect("the text is JSON") } else { text.into() }
        }
        Values::Int64(v) | Values::Timestamp(v) | Values::Decimal(v) => v[row].into(),
        Values::Float64(v) => v[row].into(),
        Values::Boolean(v) => (v[row] == 1).into(),
        Values::Date(v) => v[row].into(),
    }
}
