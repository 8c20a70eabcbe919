//! Tables as text: RFC 4180, as contracts 0 reads it.

use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::SchemaRef;
use csv_core::{ReadRecordResult, Reader, ReaderBuilder, Terminator};
use tamis_model::schema::{Column, ColumnType, arrow_schema};
use tamis_model::{Error, Result};

use super::json::is_null_token;
use super::{BOM, Decoded, Decoder, Refused, is_blank, line_end, origin};
use crate::chunk::Chunk;

/// Makes text columns of a CSV file: comma, quoted line breaks, LF or CRLF, a byte-order mark left out.
///
/// The first line that is not blank is the header. A column is found under its name whatever the case, and
/// whether with spaces, `_`, `-` or nothing between the words; of equal headers the first counts. Cells are trimmed of
/// Unicode white space, null tokens are null, and so are the cells of missing columns and those that a short row lacks.
/// Refused are rows with more cells than the header (`surplus_cells`), rows without a required cell (`missing_field`) and
/// a row whose quote never closes (`unterminated_quote`). Blank lines are not rows and have no number.
///
/// One decoder reads one file, its chunks in order: it keeps the header and counts the rows.
#[derive(Debug)]
pub struct CsvDecoder {
    columns: Vec<Column>,
    schema: SchemaRef,
    reader: Reader,
    /// None until the header was read.
    header: Option<Header>,
    record: Record,
    rows_before: i64,
    at_file_start: bool,
}

/// Where the columns stand in the file.
#[derive(Debug)]
struct Header {
    cells: usize,
    /// For each column its cell.
    positions: Vec<Option<usize>>,
}

/// One record: its cells without their quotes, one behind the other.
#[derive(Debug, Default)]
struct Record {
    text: Vec<u8>,
    /// Where each cell ends in `text`.
    ends: Vec<usize>,
    cells: usize,
}

/// How a record ended.
enum End {
    Whole,
    InQuotes,
}

impl CsvDecoder {
    /// A decoder at the start of a file. Columns are text: what they mean is the reader's business.
    pub fn new(columns: &[Column]) -> Result<Self> {
        if let Some(column) = columns.iter().find(|column| column.column_type != ColumnType::Text) {
            return Err(Error::invalid("decode", format!("csv column {}", column.name), "cells of a csv are text"));
        }
        Ok(Self {
            columns: columns.to_vec(),
            schema: arrow_schema(columns),
            reader: ReaderBuilder::new().terminator(Terminator::Any(b'\n')).build(),
            header: None,
            record: Record::default(),
            rows_before: 0,
            at_file_start: true,
        })
    }

    /// The columns that the file does not have; all of them until its header was read.
    pub fn missing_columns(&self) -> impl Iterator<Item = &str> {
        let found = |i: usize| self.header.as_ref().is_some_and(|header| header.positions[i].is_some());
        self.columns.iter().enumerate().filter(move |(i, _)| !found(*i)).map(|(_, column)| column.name.as_str())
    }

    /// Why the record cannot be a row; none if it can.
    fn fault(&self, header: &Header, end: End) -> Option<(&'static str, String)> {
        if let End::InQuotes = end {
            return Some(("unterminated_quote", "a quote is not closed before the end of the file".to_owned()));
        }
        if self.record.cells > header.cells {
            let message = format!("{} cells under {} headers", self.record.cells, header.cells);
            return Some(("surplus_cells", message));
        }
        let mut required = self.columns.iter().zip(&header.positions).filter(|(column, _)| column.required);
        let (column, _) = required.find(|(_, position)| is_null_token(self.record.cell(**position)))?;
        Some(("missing_field", format!("{} is required", column.name)))
    }
}

impl Decoder for CsvDecoder {
    fn decode(&mut self, chunk: &Chunk, from: usize, rows_max: usize) -> Decoded {
        let bytes = chunk.records();
        let mut at = from;
        if std::mem::take(&mut self.at_file_start) && bytes[at..].starts_with(BOM) {
            at += BOM.len();
        }
        let mut columns: Vec<_> = self.columns.iter().map(|_| StringBuilder::new()).collect();
        let (mut origins, mut refused) = (Vec::new(), Vec::new());
        while at < bytes.len() && origins.len() + refused.len() < rows_max {
            let (line_end, next_line) = line_end(bytes, at);
            if is_blank(&bytes[at..line_end]) {
                at = next_line;
                continue;
            }
            let (end, next) = self.record.read(&mut self.reader, bytes, at);
            if self.header.is_none() {
                self.header = Some(Header::new(&self.record, &self.columns));
                // A header whose quote never closes has swallowed the file: that is refused below as one row, so that the
                // account shows it.
                if !matches!(end, End::InQuotes) {
                    at = next;
                    continue;
                }
            }
            let header = self.header.as_ref().expect("the header is read before any row");
            self.rows_before += 1;
            let origin = origin(self.rows_before, at, without_line_end(bytes, at, next));
            match self.fault(header, end) {
                None => {
                    origins.push(origin);
                    for (column, position) in columns.iter_mut().zip(&header.positions) {
                        push(column, self.record.cell(*position));
                    }
                }
                Some((reason, message)) => {
                    let after_row = u32::try_from(origins.len()).expect("fewer rows than bytes");
                    refused.push(Refused { origin, after_row, time: None, reason, message });
                }
            }
            at = next;
        }
        let arrays = columns.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(origins.len()));
        let rows = RecordBatch::try_new_with_options(self.schema.clone(), arrays, &options)
            .expect("one cell for each row and column, none null where required");
        Decoded { rows, origins, times: Vec::new(), refused, consumed: at - from }
    }
}

impl Header {
    fn new(record: &Record, columns: &[Column]) -> Self {
        let names: Vec<_> = (0..record.cells).map(|i| normalized(record.cell(Some(i)))).collect();
        let position = |column: &Column| {
            let name = normalized(column.name.as_bytes());
            names.iter().position(|header| *header == name)
        };
        Self { cells: record.cells, positions: columns.iter().map(position).collect() }
    }
}

impl Record {
    /// Reads the record that begins at `at`, and returns how it ended and where the next one begins.
    fn read(&mut self, reader: &mut Reader, bytes: &[u8], at: usize) -> (End, usize) {
        let (mut next, mut length) = (at, 0);
        self.cells = 0;
        loop {
            // The last line may lack its line break: lend it one. A quote that is still open swallows it.
            let lent = next == bytes.len();
            let input = if lent { b"\n" } else { &bytes[next..] };
            let (result, read, written, cells) =
                reader.read_record(input, &mut self.text[length..], &mut self.ends[self.cells..]);
            next += if lent { 0 } else { read };
            length += written;
            self.cells += cells;
            match result {
                ReadRecordResult::InputEmpty if lent => {
                    reader.reset();
                    return (End::InQuotes, next);
                }
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => self.text.resize((self.text.len() * 2).max(4096), 0),
                ReadRecordResult::OutputEndsFull => self.ends.resize((self.ends.len() * 2).max(64), 0),
                ReadRecordResult::Record | ReadRecordResult::End => return (End::Whole, next),
            }
        }
    }

    /// A cell; empty when the record has none there.
    fn cell(&self, position: Option<usize>) -> &[u8] {
        match position {
            Some(i) if i < self.cells => {
                &self.text[i.checked_sub(1).map_or(0, |before| self.ends[before])..self.ends[i]]
            }
            _ => b"",
        }
    }
}

fn push(column: &mut StringBuilder, cell: &[u8]) {
    if is_null_token(cell) {
        return column.append_null();
    }
    match std::str::from_utf8(cell) {
        Ok(text) => column.append_value(text.trim()),
        Err(_) => column.append_value(String::from_utf8_lossy(cell).trim()),
    }
}

/// Where the record `at..next` ends, its LF or CRLF left out.
fn without_line_end(bytes: &[u8], at: usize, next: usize) -> usize {
    let record = &bytes[at..next];
    let record = record.strip_suffix(b"\n").map_or(record, |line| line.strip_suffix(b"\r").unwrap_or(line));
    at + record.len()
}

/// A header without its case, spaces, `_` and `-`.
fn normalized(name: &[u8]) -> String {
    let kept = |c: &char| !c.is_whitespace() && !matches!(c, '_' | '-');
    String::from_utf8_lossy(name).chars().filter(kept).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests;
