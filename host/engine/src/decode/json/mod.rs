//! Records of topics: JSON, decoded in one pass by the topic's schema.
//!
//! [`mod@line`] reads envelopes and [`members`] values, [`plan`] holds what the schema asks for, [`columns`] takes the values. A line that is not UTF-8, that
//! lacks its line break, or whose value stands in base64, is first put right in a buffer of its own and then takes the
//! same way; so does the value of a frame that is not UTF-8 or holds a line break.

use std::ops::Range;
use std::sync::Arc;

use arrow_schema::{Field, Schema, SchemaRef};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tamis_model::time::Millis;
use tamis_model::topic::TopicSchema;
use tamis_model::{Error, Result};

use super::{BOM, Decoded, Decoder, Origin, Refused};
use crate::chunk::{Chunk, Framing, PADDING};

mod columns;
mod digits;
mod frames;
mod line;
mod members;
mod number;
mod parts;
mod plan;
mod refusal;
mod row;
mod scan;
mod skip;
mod text;

use columns::Columns;
use line::{Reader, Value};
pub use parts::{RecordParts, record_parts};
pub(super) use parts::{object_members, string};
use plan::{NO_COLUMN, ObjectPlan};
pub(crate) use refusal::TOMBSTONE;
use refusal::{Reason, coordinates, origin, refused};
#[cfg(target_arch = "x86_64")]
use scan::Avx2;
use scan::{Portable, Scan};
pub(super) use text::is_null_token;

/// A longer chunk could make a column longer than 2 GiB: invalid UTF-8 becomes up to three times as long.
const CHUNK_BYTES_MAX: usize = 512 << 20;
/// So much of a chunk is checked to be UTF-8 ahead of reading it; it is still in the cache then.
const UTF8_WINDOW_BYTES: usize = 32 << 10;
/// Room is made for rows of this size at first.
const ROW_BYTES_HINT: usize = 256;

/// Decodes the records of one topic, record lines or frames (contracts 1 and 3): a frame says what the same record's line says.
///
/// The whole schema is checked, whichever columns are asked for. Blank lines are not records. Columns are those of
/// [`Field::column_type`](tamis_model::topic::Field::column_type), and every one may be null.
#[derive(Clone, Debug)]
pub struct RecordDecoder {
    schema: SchemaRef,
    reader: Reader,
    batch: Batch,
    /// A line that was put right, with padding.
    copy: Vec<u8>,
    vectorized: bool,
}

/// What is known of the rows beside their columns.
#[derive(Clone, Debug, Default)]
struct Batch {
    origins: Vec<Origin>,
    times: Vec<Millis>,
    refused: Vec<Refused>,
}

impl RecordDecoder {
    /// Decodes these columns, in this order, each named once.
    pub fn new(schema: &TopicSchema, columns: &[&str]) -> Result<Self> {
        let mut kept = Columns::default();
        let mut column_of = vec![NO_COLUMN; schema.fields.len()];
        let mut fields = Vec::new();
        for name in columns {
            let refuse =
                |reason| Err(Error::invalid("decode", format!("column {name} of topic {}", schema.name), reason));
            let Some(i) = schema.fields.iter().position(|field| field.name == *name) else {
                return refuse("the topic has no such member");
            };
            let Some(column_type) = schema.fields[i].column_type() else {
                return refuse("this member is not decoded into a column");
            };
            if column_of[i] != NO_COLUMN {
                return refuse("it is asked for twice");
            }
            column_of[i] = kept.add(column_type, 1 << (i as u32 % u64::BITS));
            fields.push(Field::new(*name, column_type.arrow(), true));
        }
        let owner = format!("topic {}", schema.name);
        let plan = ObjectPlan::new(&schema.fields, &|i| column_of[i], &owner)?;
        Ok(Self {
            schema: Arc::new(Schema::new(fields)),
            reader: Reader::new(plan, kept),
            batch: Batch::default(),
            copy: Vec::new(),
            vectorized: true,
        })
    }

    /// The same decoder without vector instructions: for machines that lack them, and for tests on those that have them.
    #[must_use]
    pub fn portable(mut self) -> Self {
        self.vectorized = false;
        self
    }

    /// Reads at most `rows_max` lines of a stretch of the chunk; returns where it stopped.
    #[inline(always)]
    fn lines<S: Scan>(&mut self, scan: S, chunk: &Chunk, stretch: Range<usize>, rows_max: usize) -> usize {
        let (bytes, padded, mut at) = (&chunk.records()[..stretch.end], chunk.padded(), stretch.start);
        // The last line may lack its line break; it is read from a copy that has one.
        let whole_lines_end = memchr::memrchr(b'\n', bytes).map_or(0, |end| end + 1);
        let (mut checked_end, mut clean) = (at, true);
        while at < bytes.len() && self.reader.store.columns.rows() + self.batch.refused.len() < rows_max {
            if at >= checked_end && at < whole_lines_end {
                checked_end = window_end(bytes, at, whole_lines_end);
                clean = simdutf8::basic::from_utf8(&bytes[at..checked_end]).is_ok();
            }
            let next = if at < whole_lines_end && clean { self.reader.line(scan, padded, at) } else { None };
            at = match next {
                Some(next) if self.reader.line.is_row(self.reader.record.required) => {
                    self.accept(at, next - 1);
                    next
                }
                _ => self.other_line(bytes, at),
            };
        }
        at
    }

    #[inline(always)]
    fn records<S: Scan>(&mut self, scan: S, chunk: &Chunk, stretch: Range<usize>, rows_max: usize) -> usize {
        match chunk.framing() {
            Framing::Lines => self.lines(scan, chunk, stretch, rows_max),
            Framing::Frames => self.frames(scan, chunk, stretch, rows_max),
        }
    }

    /// Compiled for AVX2 with everything that it calls.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    fn records_avx2(&mut self, scan: Avx2, chunk: &Chunk, stretch: Range<usize>, rows_max: usize) -> usize {
        self.records(scan, chunk, stretch, rows_max)
    }

    #[inline(always)]
    fn accept(&mut self, start: usize, end: usize) {
        let line = &self.reader.line;
        if let (Some(offset), Some(time)) = (line.offset, line.time) {
            self.batch.origins.push(origin(offset, start, end));
            self.batch.times.push(time);
            self.reader.store.columns.accept(line.row.present, line.row.truths);
        }
    }

    /// Any line that the fast way did not accept as a row; returns where the next one begins.
    #[cold]
    #[inline(never)]
    fn other_line(&mut self, bytes: &[u8], start: usize) -> usize {
        let end = memchr::memchr(b'\n', &bytes[start..]).map_or(bytes.len(), |length| start + length);
        let next = (end + 1).min(bytes.len());
        if bytes[start..end].iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r')) {
            return next;
        }
        fill_line(&mut self.copy, &bytes[start..end]);
        let fault = match self.reader.line(Portable, &self.copy, 0) {
            None => Some((Reason::InvalidJson, json_error(&bytes[start..end]))),
            Some(_) => self.fault(),
        };
        match fault {
            None => self.accept(start, end),
            Some((reason, message)) => {
                let (offset, time) = coordinates(&bytes[start..end]);
                self.refuse(origin(offset.unwrap_or(-1), start, end), time, reason, message);
            }
        }
        next
    }

    fn refuse(&mut self, origin: Origin, time: Option<Millis>, reason: Reason, message: Option<String>) {
        let rows = self.reader.store.columns.rows();
        self.batch.refused.push(refused(origin, time, rows, reason, message));
    }

    /// What is wrong with the line that was read, if anything is. Its value may still stand in base64.
    fn fault(&mut self) -> Option<(Reason, Option<String>)> {
        if !self.reader.line.is_record() {
            return Some((Reason::InvalidRecord, None));
        }
        if let Value::Base64(encoded) = &self.reader.line.value {
            return match BASE64_STANDARD.decode(encoded) {
                Ok(value) => self.value_fault(&value),
                Err(_) => Some((Reason::InvalidRecord, Some("value_base64 is not base64".to_owned()))),
            };
        }
        match self.reader.line.value {
            Value::Tombstone => Some((Reason::Tombstone, None)),
            _ => self.object_fault(),
        }
    }

    /// What is wrong with a value that is there, whatever its bytes are.
    fn value_fault(&mut self, value: &[u8]) -> Option<(Reason, Option<String>)> {
        let value = value.strip_prefix(BOM).unwrap_or(value);
        fill_line(&mut self.copy, value);
        let end = self.copy.len() - PADDING - 1;
        if self.reader.bare_value(Portable, &self.copy, 0, end).is_none() {
            return Some((Reason::InvalidJson, json_error(value)));
        }
        self.object_fault()
    }

    /// What is wrong with the value that was read. Here `null` is what was sent, not the absence of a value.
    fn object_fault(&self) -> Option<(Reason, Option<String>)> {
        if self.reader.line.value != Value::Object {
            return Some((Reason::NotAnObject, None));
        }
        let fault = self.reader.line.row.first_fault(&self.reader.record)?;
        Some((fault.reason, Some(fault.message)))
    }

    /// Decodes at most `rows_max` rows of a stretch of the chunk, which begins and ends with a record.
    pub(crate) fn decode_stretch(&mut self, chunk: &Chunk, stretch: Range<usize>, rows_max: usize) -> Decoded {
        let (length, from) = (stretch.end, stretch.start);
        assert!(length <= CHUNK_BYTES_MAX, "sources keep chunks far below {CHUNK_BYTES_MAX} bytes");
        let rows_hint = rows_max.min((length - from) / ROW_BYTES_HINT + 1);
        self.reader.store.columns.begin(rows_hint, length - from);
        self.batch.origins.reserve(rows_hint);
        self.batch.times.reserve(rows_hint);
        #[cfg(target_arch = "x86_64")]
        let end = match Avx2::detect().filter(|_| self.vectorized) {
            // SAFETY: `detect` saw every feature that `records_avx2` is compiled for.
            Some(scan) => unsafe { self.records_avx2(scan, chunk, stretch, rows_max) },
            None => self.records(Portable, chunk, stretch, rows_max),
        };
        #[cfg(not(target_arch = "x86_64"))]
        let end = self.records(Portable, chunk, stretch, rows_max);
        let Batch { origins, times, refused } = std::mem::take(&mut self.batch);
        let rows = self.reader.store.columns.finish(&self.schema);
        Decoded { rows, origins, times, refused, consumed: end - from }
    }
}

impl Decoder for RecordDecoder {
    fn decode(&mut self, chunk: &Chunk, from: usize, rows_max: usize) -> Decoded {
        self.decode_stretch(chunk, from..chunk.records().len(), rows_max)
    }
}

/// The end of the line in which a window from `at` on ends, or of the first line if that is longer.
fn window_end(bytes: &[u8], at: usize, end: usize) -> usize {
    let window_end = end.min(at + UTF8_WINDOW_BYTES);
    match memchr::memrchr(b'\n', &bytes[at..window_end]) {
        Some(length) => at + length + 1,
        None => memchr::memchr(b'\n', &bytes[window_end..end]).map_or(end, |length| window_end + length + 1),
    }
}

/// Puts a line into `copy` with invalid UTF-8 replaced, one line break at its end, and padding. Line breaks within become
/// carriage returns: between tokens both are white space, in strings both are forbidden.
fn fill_line(copy: &mut Vec<u8>, line: &[u8]) {
    copy.clear();
    copy.extend_from_slice(String::from_utf8_lossy(line).as_bytes());
    for byte in copy.iter_mut().filter(|byte| **byte == b'\n') {
        *byte = b'\r';
    }
    copy.push(b'\n');
    copy.extend_from_slice(&[0; PADDING]);
}

/// Where and why some text is not JSON. `serde_json` tells it better than a parser made for speed, and it refuses all that
/// ours does, so the fallback is for completeness.
fn json_error(text: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(text);
    serde_json::from_str::<serde_json::Value>(&text).err().map(|error| format!("not JSON: {error}"))
}

#[cfg(test)]
mod tests {
    use arrow_array::cast::AsArray;
    use arrow_array::types::Int64Type;
    use tamis_model::topic::{Field, FieldKind};

    use super::*;
    use crate::decode::tests::chunk;

    fn schema(fields: usize) -> TopicSchema {
        let kind = |i| if i == 1 { FieldKind::Integer { min: 0, max: 9 } } else { FieldKind::Text };
        let field = |i| Field { name: format!("f{i}"), kind: kind(i), required: i == 0, personal: false };
        let fields = (0..fields).map(field).chain([Field { kind: FieldKind::TextOrInteger, ..field(999) }]).collect();
        TopicSchema { name: "t".to_owned(), fields, id: "f0".to_owned(), order_id: None, customer_id: None }
    }

    fn check_refused(fields: usize, columns: &[&str], reason: &str) {
        let error = RecordDecoder::new(&schema(fields), columns).unwrap_err().chain();
        assert!(error.contains(reason), "{error} says {reason}");
    }

    #[test]
    fn what_cannot_be_decoded_is_told_at_once() {
        check_refused(3, &["nothing"], "column nothing of topic t: the topic has no such member");
        check_refused(3, &["f999"], "this member is not decoded into a column");
        check_refused(3, &["f0", "f1", "f0"], "it is asked for twice");
        check_refused(64, &["f0"], "65 members are more than 64");
    }

    #[test]
    fn the_last_of_sixty_four_members_is_decoded() {
        let mut decoder = RecordDecoder::new(&schema(63), &["f62", "f0"]).unwrap();
        let line = br#"{"offset":1,"timestamp":2,"value":{"f0":"a","f62":"z"}}"#;
        let decoded = decoder.decode(&chunk(line), 0, 10);
        let text = |i: usize| decoded.rows.column(i).as_string::<i32>().value(0).to_owned();
        assert_eq!((text(0), text(1), decoded.consumed), ("z".to_owned(), "a".to_owned(), line.len()));
    }

    #[test]
    fn a_null_holds_nothing_of_the_records_before_it() {
        let mut decoder = RecordDecoder::new(&schema(3), &["f1"]).unwrap();
        let lines = [r#""f0":"a","f1":7"#, r#""f1":8"#, r#""f0":"b""#];
        let line = |(i, value)| format!("{{\"offset\":{i},\"timestamp\":0,\"value\":{{{value}}}}}\n");
        let records: String = lines.into_iter().enumerate().map(line).collect();
        let decoded = decoder.decode(&chunk(records.as_bytes()), 0, 10);
        assert_eq!(decoded.refused.len(), 1);
        assert_eq!(decoded.rows.column(0).as_primitive::<Int64Type>().values(), &[7, 0]);
    }

    #[test]
    fn no_column_at_all_still_counts_rows() {
        let mut decoder = RecordDecoder::new(&schema(3), &[]).unwrap();
        let decoded = decoder.decode(&chunk(br#"{"offset":1,"timestamp":2,"value":{"f0":"a"}}"#), 0, 10);
        assert_eq!((decoded.rows.num_rows(), decoded.times), (1, vec![2]));
        assert_eq!(decoder.decode(&chunk(b"{}"), 0, 0).consumed, 0);
    }
}
