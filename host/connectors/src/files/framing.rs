//! Where the records of a file end, without reading what they hold.

/// What ends a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Every line break.
    Lines,
    /// Line breaks outside quoted fields (RFC 4180). As in RFC 4180 a quote opens a field only where the field begins.
    Csv,
}

/// Finds the ends of records in blocks of a file that follow each other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Framer {
    framing: Framing,
    state: State,
}

/// Where a framer stands; lines only ever need the first of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    FieldStart,
    Unquoted,
    Quoted,
    /// Behind a quote in a quoted field: another one makes it a quote of the text, anything else ends the quoting.
    QuoteInQuoted,
    /// After this many bytes of a byte-order mark.
    Mark(u8),
}

/// What a scan found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Framed {
    /// How many records ended in the block.
    pub records: u64,
    /// The byte behind the last of them.
    pub end: usize,
}

const BYTE_ORDER_MARK: [u8; 3] = [0xef, 0xbb, 0xbf];

impl Framer {
    /// At the start of a file, where a byte-order mark may stand before the first field.
    pub fn at_file_start(framing: Framing) -> Self {
        Self { framing, state: State::Mark(0) }
    }

    /// At the start of any record.
    pub fn at_record_start(framing: Framing) -> Self {
        Self { framing, state: State::FieldStart }
    }

    /// Goes through a block, and no further than the end of `records_max` records.
    pub fn scan(&mut self, block: &[u8], records_max: u64) -> Framed {
        match self.framing {
            Framing::Lines => scan_lines(block, records_max),
            Framing::Csv => self.scan_csv(block, records_max),
        }
    }

    fn scan_csv(&mut self, block: &[u8], records_max: u64) -> Framed {
        let mut framed = Framed { records: 0, end: 0 };
        let mut at = 0;
        while at < block.len() && framed.records < records_max {
            // Inside a field only a few bytes mean anything.
            let skipped = match self.state {
                State::Quoted => memchr::memchr(b'"', &block[at..]),
                State::Unquoted => memchr::memchr3(b',', b'\n', b'\r', &block[at..]),
                State::FieldStart | State::QuoteInQuoted | State::Mark(_) => Some(0),
            };
            let Some(skipped) = skipped else { break };
            at += skipped;
            let byte = block[at];
            at += 1;
            self.state = self.state.after(byte);
            if byte == b'\n' && self.state == State::FieldStart {
                framed = Framed { records: framed.records + 1, end: at };
            }
        }
        framed
    }
}

impl State {
    fn after(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::Mark(n), byte) if byte == BYTE_ORDER_MARK[usize::from(n)] => match n {
                2 => Self::FieldStart,
                _ => Self::Mark(n + 1),
            },
            (Self::Mark(0), byte) => Self::FieldStart.after(byte),
            (Self::Quoted, b'"') => Self::QuoteInQuoted,
            (Self::Quoted, _) => Self::Quoted,
            (Self::FieldStart, b'"') | (Self::QuoteInQuoted, b'"') => Self::Quoted,
            (_, b',' | b'\n' | b'\r') => Self::FieldStart,
            (_, _) => Self::Unquoted,
        }
    }
}

fn scan_lines(block: &[u8], records_max: u64) -> Framed {
    if records_max < u64::MAX {
        let end = memchr::memchr_iter(b'\n', block).take(records_max as usize).enumerate().last();
        return end.map_or(Framed { records: 0, end: 0 }, |(i, at)| Framed { records: i as u64 + 1, end: at + 1 });
    }
    let records = memchr::memchr_iter(b'\n', block).count() as u64;
    Framed { records, end: memchr::memrchr(b'\n', block).map_or(0, |at| at + 1) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quotes_count_only_where_a_field_begins() {
        let cases: [(&str, u64, usize); 8] = [
            ("a,b\nc", 1, 4),
            ("a,\"b\n\",c\n", 1, 9),
            ("a,\"b\"\"\n\"\n", 1, 9),
            ("a\"b\n\"c\n\"", 1, 4),
            ("\"a\"x\"\n", 1, 6),
            ("\u{feff}\"a\nb\"\nc\n", 2, 11),
            ("a\r\n\"b\r\n\"\r\n", 2, 10),
            ("", 0, 0),
        ];
        for (text, records, end) in cases {
            let found = Framer::at_file_start(Framing::Csv).scan(text.as_bytes(), u64::MAX);
            assert_eq!(found, Framed { records, end }, "{text:?}");
        }
    }

    proptest! {
        /// Cutting the file into blocks changes nothing, and asking for fewer records stops there.
        #[test]
        fn blocks_do_not_matter(text in "[a\",\r\n]{0,40}", cut in 0_usize..40, csv: bool) {
            let framing = if csv { Framing::Csv } else { Framing::Lines };
            let bytes = text.as_bytes();
            let cut = cut.min(bytes.len());
            let whole = Framer::at_file_start(framing).scan(bytes, u64::MAX);
            let mut framer = Framer::at_file_start(framing);
            let (first, second) = (framer.scan(&bytes[..cut], u64::MAX), framer.scan(&bytes[cut..], u64::MAX));
            prop_assert_eq!(first.records + second.records, whole.records);
            let end = if second.records > 0 { cut + second.end } else { first.end };
            prop_assert_eq!(end, whole.end);
            for records in 1..=whole.records {
                let found = Framer::at_file_start(framing).scan(bytes, records);
                prop_assert_eq!(found.records, records);
                prop_assert_eq!(bytes[found.end - 1], b'\n');
            }
        }
    }
}
