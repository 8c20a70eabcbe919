//! From bytes to columns, once.

use arrow_array::RecordBatch;
use tamis_model::Result;
use tamis_model::manifest::Format;
use tamis_model::schema::Column;
use tamis_model::time::Millis;

use crate::chunk::Chunk;

pub mod csv;
pub mod json;
pub mod lines;
pub mod members;

pub use csv::CsvDecoder;
pub use json::RecordDecoder;
pub use lines::LineDecoder;
pub use members::MemberDecoder;

/// Rows decoded from a part of a chunk.
#[derive(Debug)]
pub struct Decoded {
    /// The rows that were accepted: the columns that were asked for, in that order.
    pub rows: RecordBatch,
    /// For each row where it came from.
    pub origins: Vec<Origin>,
    /// For each row its event time; empty for files that are no archive of a topic.
    pub times: Vec<Millis>,
    /// What was refused, in order of arrival.
    pub refused: Vec<Refused>,
    /// How many bytes of the chunk were used up.
    pub consumed: usize,
}

/// Where a row came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// A record's offset; in a file the row's number, from 1, the header not counted.
    pub offset: i64,
    /// Its first byte in the chunk (a record's whole line).
    pub start: u32,
    /// The byte behind its last.
    pub end: u32,
}

impl Origin {
    /// How many bytes it has.
    pub(crate) fn bytes(self) -> usize {
        (self.end - self.start) as usize
    }
}

/// A row that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Where it came from; offset −1 when even that could not be read.
    pub origin: Origin,
    /// How many accepted rows of this batch came before it.
    pub after_row: u32,
    /// Its event time, if that could be read.
    pub time: Option<Millis>,
    /// A stable name: `invalid_json`, `wrong_type`, `missing_field`, `not_in_enum`, `out_of_range`, `tombstone`, …
    pub reason: &'static str,
    /// In words, with the name of the field.
    pub message: String,
}

/// Makes columns of a chunk's bytes.
///
/// Contract: every row of the chunk is either among the rows or among the refused, in order, whatever the bytes
/// are. What comes out does not depend on `rows_max` or on where chunks end.
pub trait Decoder: Send {
    /// Decodes at most `rows_max` rows, accepted and refused together, from byte `from` of the chunk on.
    fn decode(&mut self, chunk: &Chunk, from: usize, rows_max: usize) -> Decoded;
}

/// The decoder of one file. `columns` are text, as files are; `lines` has its one column whatever they say.
pub fn for_file(format: Format, columns: &[Column]) -> Result<Box<dyn Decoder>> {
    match format {
        Format::Csv => Ok(Box::new(CsvDecoder::new(columns)?)),
        Format::Lines => Ok(Box::new(LineDecoder::new())),
        Format::Records => Ok(Box::new(MemberDecoder::new(columns)?)),
    }
}

/// The UTF-8 byte-order mark.
const BOM: &[u8] = b"\xef\xbb\xbf";

/// Where the line that begins at `at` ends, its LF or CRLF left out, and where the next one begins.
fn line_end(bytes: &[u8], at: usize) -> (usize, usize) {
    match memchr::memchr(b'\n', &bytes[at..]) {
        None => (bytes.len(), bytes.len()),
        Some(0) => (at, at + 1),
        Some(length) => {
            let line_feed = at + length;
            (line_feed - usize::from(bytes[line_feed - 1] == b'\r'), line_feed + 1)
        }
    }
}

/// Whether a line is nothing but white space.
fn is_blank(line: &[u8]) -> bool {
    match line.iter().find(|byte| !byte.is_ascii_whitespace()) {
        None => true,
        // Unicode white space outside ASCII, and the vertical tab that `is_ascii_whitespace` leaves out.
        Some(byte) if *byte >= 0x80 || *byte == 0x0b => String::from_utf8_lossy(line).trim().is_empty(),
        Some(_) => false,
    }
}

/// Row `number`, whose bytes are `start..end` of the chunk.
fn origin(number: i64, start: usize, end: usize) -> Origin {
    let position = |at| u32::try_from(at).expect("a chunk is far below 4 GiB");
    Origin { offset: number, start: position(start), end: position(end) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A chunk of these records.
    pub(super) fn chunk(records: &[u8]) -> Chunk {
        let mut chunk = Chunk::default();
        chunk.fill(|bytes| bytes.extend_from_slice(records));
        chunk
    }
}
