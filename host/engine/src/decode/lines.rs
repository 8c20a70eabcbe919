//! Text files, one row a line.

use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};

use super::{BOM, Decoded, Decoder, is_blank, line_end, origin};
use crate::chunk::Chunk;

/// Room is made for at most so many rows before they are seen,
const ROWS_HINT: usize = 8192;
/// each of so many bytes.
const LINE_BYTES_HINT: usize = 256;

/// Makes one text column, `line`, of a file's lines.
///
/// A line ends in LF or CRLF, which are not part of it; the last may lack its end. A byte-order mark at the
/// start of the file is left out. Lines of nothing but white space are not rows and have no number. Invalid UTF-8
/// is replaced by U+FFFD. Nothing is ever refused.
///
/// One decoder reads one file, its chunks in order: it counts the rows.
#[derive(Debug)]
pub struct LineDecoder {
    schema: SchemaRef,
    rows_before: i64,
    at_file_start: bool,
}

impl Default for LineDecoder {
    fn default() -> Self {
        let line = Field::new("line", DataType::Utf8, false);
        Self { schema: Arc::new(Schema::new(vec![line])), rows_before: 0, at_file_start: true }
    }
}

impl LineDecoder {
    /// A decoder at the start of a file.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Decoder for LineDecoder {
    fn decode(&mut self, chunk: &Chunk, from: usize, rows_max: usize) -> Decoded {
        let bytes = chunk.records();
        let mut at = from;
        if std::mem::take(&mut self.at_file_start) && bytes[at..].starts_with(BOM) {
            at += BOM.len();
        }
        let rows_hint = rows_max.min(ROWS_HINT);
        let bytes_hint = (bytes.len() - at).min(rows_hint * LINE_BYTES_HINT);
        let mut lines = StringBuilder::with_capacity(rows_hint, bytes_hint);
        let mut origins = Vec::with_capacity(rows_hint);
        while at < bytes.len() && origins.len() < rows_max {
            let (end, next) = line_end(bytes, at);
            if !is_blank(&bytes[at..end]) {
                self.rows_before += 1;
                origins.push(origin(self.rows_before, at, end));
                match simdutf8::basic::from_utf8(&bytes[at..end]) {
                    Ok(line) => lines.append_value(line),
                    Err(_) => lines.append_value(String::from_utf8_lossy(&bytes[at..end])),
                }
            }
            at = next;
        }
        let lines: ArrayRef = Arc::new(lines.finish());
        let rows = RecordBatch::try_new(self.schema.clone(), vec![lines]).expect("one text column without nulls");
        Decoded { rows, origins, times: Vec::new(), refused: Vec::new(), consumed: at - from }
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::Array;
    use arrow_array::cast::AsArray;
    use proptest::prelude::*;

    use super::*;
    use crate::decode::tests::chunk;

    /// The rows of a file cut into chunks, `rows_max` at a time: number, byte span in its chunk, line.
    fn rows(chunks: &[&[u8]], rows_max: usize) -> Vec<(i64, u32, u32, String)> {
        let mut decoder = LineDecoder::new();
        let mut rows = Vec::new();
        for chunk in chunks.iter().map(|bytes| chunk(bytes)) {
            let mut at = 0;
            while at < chunk.records().len() {
                let decoded = decoder.decode(&chunk, at, rows_max);
                let lines = decoded.rows.column(0).as_string::<i32>();
                assert!(decoded.consumed > 0 && lines.len() <= rows_max);
                let origins = decoded.origins.iter().zip(lines);
                rows.extend(origins.map(|(o, line)| (o.offset, o.start, o.end, line.unwrap().to_owned())));
                at += decoded.consumed;
            }
        }
        rows
    }

    fn check(file: &[u8], expected: &[&str]) {
        let lines: Vec<_> = rows(&[file], 7).into_iter().map(|(.., line)| line).collect();
        assert_eq!(lines, expected);
    }

    #[test]
    fn lines_end_in_lf_or_crlf_and_blank_ones_are_not_rows() {
        check(b"a\nb\r\nc", &["a", "b", "c"]);
        check(b"\n\r\n \t \n\xc2\xa0\n\xe3\x80\x80\na\n", &["a"]);
        check(b"a\rb\n c \n", &["a\rb", " c "]);
        check(b"", &[]);
        check(b"\0\n", &["\0"]);
    }

    #[test]
    fn only_the_file_s_first_bytes_are_a_byte_order_mark() {
        check(b"\xef\xbb\xbfa\n\xef\xbb\xbfb\n", &["a", "\u{feff}b"]);
        let numbered = rows(&[b"\xef\xbb\xbfa\n", b"\n\xef\xbb\xbfb\n"], 10);
        assert_eq!(numbered, [(1, 3, 4, "a".to_owned()), (2, 1, 5, "\u{feff}b".to_owned())]);
    }

    #[test]
    fn invalid_utf8_is_replaced() {
        check(b"a\xffb\xc3\nc\xe2\x82\n", &["a\u{fffd}b\u{fffd}", "c\u{fffd}"]);
    }

    proptest! {
        /// Any bytes give the lines of the replaced text, however they are cut.
        #[test]
        fn agrees_with_str_lines(
            lines in proptest::collection::vec(proptest::collection::vec(0u8..=255, 0..12), 0..20),
            rows_max in 1usize..8,
            cut in 0usize..20,
        ) {
            let ended: Vec<Vec<u8>> = lines.iter().map(|line| {
                line.iter().copied().filter(|b| *b != b'\n').chain([b'\n']).collect()
            }).collect();
            let cut = cut.min(ended.len());
            let text = String::from_utf8_lossy(&ended.concat()).into_owned();
            let expected: Vec<_> = text
                .strip_prefix('\u{feff}')
                .unwrap_or(&text)
                .split_terminator('\n')
                .map(|line| line.strip_suffix('\r').unwrap_or(line))
                .filter(|line| !line.trim().is_empty())
                .collect();
            let decoded = rows(&[&ended[..cut].concat(), &ended[cut..].concat()], rows_max);
            let numbers: Vec<_> = decoded.iter().map(|row| row.0).collect();
            prop_assert_eq!(numbers, (1..=expected.len() as i64).collect::<Vec<_>>());
            prop_assert_eq!(decoded.into_iter().map(|row| row.3).collect::<Vec<_>>(), expected);
        }
    }
}
