//! Record lines of an archive as text: the members of their values, read as contracts 0 reads files. What they mean is the plugin's work.

use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::SchemaRef;
use serde::de::IgnoredAny;
use tamis_model::schema::{Column, ColumnType, arrow_schema};
use tamis_model::{Error, Result};

use super::json::{RecordParts, is_null_token, object_members, string};
use super::{BOM, Decoded, Decoder, Origin, Refused};
use crate::chunk::Chunk;

/// The reason of a line that is no record.
const INVALID_RECORD: &str = "invalid_record";

/// Makes text columns of the members of records' values: a string is its text, every other value its JSON text. Null tokens and missing
/// members are null, texts are trimmed; of equal members the last counts. Refused are what is no record (`invalid_record`), a tombstone
/// (`tombstone`), a value that is no JSON (`invalid_json`) or no object (`not_an_object`).
#[derive(Debug)]
pub struct MemberDecoder {
    names: Vec<Vec<u8>>,
    schema: SchemaRef,
}

impl MemberDecoder {
    /// A decoder of these columns.
    pub fn new(columns: &[Column]) -> Result<Self> {
        if let Some(column) = columns.iter().find(|column| column.column_type != ColumnType::Text || column.required) {
            let why = "members of records are text, and may be missing";
            return Err(Error::invalid("decode", format!("member {}", column.name), why));
        }
        let names = columns.iter().map(|column| column.name.as_bytes().to_vec()).collect();
        Ok(Self { names, schema: arrow_schema(columns) })
    }

    /// The cell of each column.
    fn cells(&self, value: &[u8]) -> Vec<Option<String>> {
        let mut cells = vec![None; self.names.len()];
        for (name, token) in object_members(value) {
            if let Some(column) = self.names.iter().position(|wanted| *wanted == name) {
                cells[column] = cell(token);
            }
        }
        cells
    }
}

impl Decoder for MemberDecoder {
    fn decode(&mut self, chunk: &Chunk, from: usize, rows_max: usize) -> Decoded {
        let mut columns: Vec<_> = self.names.iter().map(|_| StringBuilder::new()).collect();
        let (mut origins, mut times, mut refused) = (Vec::new(), Vec::new(), Vec::new());
        let mut end = from;
        for place in chunk.origins_from(from).take(rows_max) {
            end = place.end as usize + chunk.framing().separator_bytes();
            let record = chunk.record(place);
            let origin = Origin { offset: record.offset.unwrap_or(-1), ..place };
            let time = record.timestamp;
            match (value_of(record), time) {
                (Ok(value), Some(time)) => {
                    let cells = self.cells(&value);
                    columns.iter_mut().zip(cells).for_each(|(column, cell)| column.append_option(cell));
                    origins.push(origin);
                    times.push(time);
                }
                (found, _) => {
                    let reason = found.err().unwrap_or(INVALID_RECORD);
                    let after_row = u32::try_from(origins.len()).expect("a batch has less than 2^32 rows");
                    refused.push(Refused { origin, after_row, time, reason, message: String::new() });
                }
            }
        }
        let arrays = columns.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(origins.len()));
        let rows = RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options);
        let rows = rows.expect("every column has a cell for each row");
        Decoded { rows, origins, times, refused, consumed: end.min(chunk.records().len()) - from }
    }
}

/// The text of a record's value, which is an object; or why there is none.
fn value_of(record: RecordParts) -> Result<Vec<u8>, &'static str> {
    if record.offset.is_none() || record.timestamp.is_none() {
        return Err(INVALID_RECORD);
    }
    let value = record.value.ok_or("tombstone")?;
    let value = value.strip_prefix(BOM).unwrap_or(&value);
    let value = String::from_utf8_lossy(value).into_owned().into_bytes();
    if serde_json::from_slice::<IgnoredAny>(&value).is_err() {
        return Err("invalid_json");
    }
    match value.trim_ascii_start().first() {
        Some(b'{') => Ok(value),
        _ => Err("not_an_object"),
    }
}

/// The text of a value; none for null and null tokens.
fn cell(token: &[u8]) -> Option<String> {
    let text = match string(token) {
        Some(text) => String::from_utf8_lossy(&text).into_owned(),
        None if token == b"null" => return None,
        None => String::from_utf8_lossy(token).into_owned(),
    };
    (!is_null_token(text.as_bytes())).then(|| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use arrow_array::cast::AsArray;
    use serde_json::json;

    use super::super::tests::chunk;
    use super::*;

    fn decoder() -> MemberDecoder {
        let column = |name: &str| serde_json::from_value(json!({"name": name, "type": "text"})).unwrap();
        MemberDecoder::new(&["id", "n"].map(column)).unwrap()
    }

    /// The cells of each row, and why others were refused.
    fn check(lines: &str, rows: &[(i64, [Option<&str>; 2])], refused: &[(i64, &str)]) {
        for rows_max in [1, 100] {
            let (chunk, mut decoder, mut at) = (chunk(lines.as_bytes()), decoder(), 0);
            let (mut found, mut set_aside) = (Vec::new(), Vec::new());
            while at < chunk.records().len() {
                let decoded = decoder.decode(&chunk, at, rows_max);
                at += decoded.consumed;
                for (row, origin) in decoded.origins.iter().enumerate() {
                    let cells = [0, 1].map(|column| {
                        let texts = decoded.rows.column(column).as_string::<i32>();
                        texts.iter().nth(row).flatten().map(str::to_owned)
                    });
                    found.push((origin.offset, cells));
                }
                set_aside.extend(decoded.refused.iter().map(|refused| (refused.origin.offset, refused.reason)));
            }
            let rows: Vec<_> =
                rows.iter().map(|(at, cells)| (*at, cells.map(|cell| cell.map(str::to_owned)))).collect();
            assert_eq!((found, set_aside.as_slice()), (rows, refused), "{lines}");
        }
    }

    #[test]
    fn members_are_texts() {
        let line = |value: &str| format!("{{\"offset\":3,\"timestamp\":5,\"key\":null,{value}}}\n");
        let row = |value: &str, cells| check(&line(&format!("\"value\":{value}")), &[(3, cells)], &[]);
        row(r#"{"id":" a\u00e9 ","n":1.50}"#, [Some("aé"), Some("1.50")]);
        row(r#"{"n":{"a":[1]},"id":"NA","other":1}"#, [None, Some(r#"{"a":[1]}"#)]);
        row(r#"{"id":null,"n":true,"id":"last"}"#, [Some("last"), Some("true")]);
        row("{}", [None, None]);
        let refused = |member: &str, reason| check(&line(member), &[], &[(3, reason)]);
        refused("\"value\":[1]", "not_an_object");
        refused("\"value\":null", "tombstone");
    }

    #[test]
    fn values_in_base64_are_read_too() {
        let line = |offset: i64, base64: &str| {
            format!("{{\"offset\":{offset},\"timestamp\":5,\"value_base64\":\"{base64}\"}}\n")
        };
        // A byte-order mark before {"id":"a"}; {"id":"\xff"}; {"id"; null.
        let lines =
            [line(1, "77u/eyJpZCI6ImEifQ=="), line(2, "eyJpZCI6Iv8ifQ=="), line(4, "eyJpZCI="), line(5, "bnVsbA==")];
        let text = format!("{}no record\n", lines.concat());
        check(
            &text,
            &[(1, [Some("a"), None]), (2, [Some("\u{fffd}"), None])],
            &[(4, "invalid_json"), (5, "not_an_object"), (-1, "invalid_record")],
        );
    }
}
