//! Finds an offset in a segment without reading all of it: offsets ascend, so the file can be halved.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};

use super::line;

/// A stretch this long is read through.
const STRETCH_BYTES: u64 = 64 << 10;

/// The byte behind the last line whose offset is below `offset`. Nothing before it is wanted; what stands there may be a
/// line whose offset cannot be read.
pub(super) fn behind_offsets_below(file: &File, offset: i64) -> io::Result<u64> {
    let start = near(file, offset, STRETCH_BYTES)?;
    let mut lines = Lines::at(file, start)?;
    let mut behind = start;
    while let Some((end, found)) = lines.next_readable()? {
        if found >= offset {
            break;
        }
        behind = end;
    }
    Ok(behind)
}

/// A byte behind a line whose offset is below `offset`, or 0, with less than a stretch of such lines behind it.
fn near(file: &File, offset: i64, stretch_bytes: u64) -> io::Result<u64> {
    // Lines that start behind `high` are not below `offset`.
    let (mut low, mut high) = (0, file.metadata()?.len());
    while high.saturating_sub(low) > stretch_bytes {
        let middle = low + (high - low) / 2;
        let mut lines = Lines::at(file, middle)?;
        lines.skip_rest()?;
        match lines.next_readable()? {
            Some((end, found)) if found < offset => low = end,
            _ => high = middle,
        }
    }
    Ok(low)
}

/// The whole lines of a file from a byte on.
struct Lines<'a> {
    bytes: BufReader<&'a File>,
    at: u64,
    line: Vec<u8>,
}

impl<'a> Lines<'a> {
    fn at(mut file: &'a File, at: u64) -> io::Result<Self> {
        file.seek(SeekFrom::Start(at))?;
        Ok(Self { bytes: BufReader::new(file), at, line: Vec::new() })
    }

    /// Goes on behind the next line break.
    fn skip_rest(&mut self) -> io::Result<()> {
        self.at += self.bytes.skip_until(b'\n')? as u64;
        Ok(())
    }

    /// End and offset of the next line that has an offset; none at the end of the file, where a line may be torn.
    fn next_readable(&mut self) -> io::Result<Option<(u64, i64)>> {
        loop {
            self.line.clear();
            self.at += self.bytes.read_until(b'\n', &mut self.line)? as u64;
            let Some(line) = self.line.strip_suffix(b"\n") else { return Ok(None) };
            if let Some(offset) = line::offset_of(line) {
                return Ok(Some((self.at, offset)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Compared with reading every line, over lines of all lengths, gaps between offsets, and lines that are none.
        #[test]
        fn halving_finds_what_reading_finds(
            lines in proptest::collection::vec((1..4_i64, 0..80_usize, any::<bool>()), 0..60),
            stretch_bytes in 1..200_u64,
            torn in 0..20_usize,
        ) {
            let (mut text, mut offset, mut ends) = (String::new(), -1, Vec::new());
            for (gap, length, readable) in lines {
                let filler = "x".repeat(length);
                if readable {
                    offset += gap;
                    text.push_str(&format!("{{\"offset\":{offset},\"value\":\"{filler}\"}}\n"));
                    ends.push((offset, text.len() as u64));
                } else {
                    text.push_str(&format!("{filler}\n"));
                }
            }
            text.push_str(&"{\"offset\":999999,\"value\":1}"[..torn]);
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(text.as_bytes()).unwrap();
            for wanted in 0..=offset + 2 {
                let expected = ends.iter().rev().find(|(found, _)| *found < wanted).map_or(0, |(_, end)| *end);
                prop_assert_eq!(behind_offsets_below(&file, wanted).unwrap(), expected, "{}", wanted);
                let near = near(&file, wanted, stretch_bytes).unwrap();
                prop_assert!(near == 0 || ends.iter().any(|(found, end)| *end == near && *found < wanted), "{} {}", wanted, near);
            }
        }
    }

    #[test]
    fn a_long_segment_is_not_read_through() {
        let mut file = tempfile::tempfile().unwrap();
        let mut text = Vec::new();
        let mut ends = vec![0];
        for offset in 0..50_000 {
            text.extend_from_slice(
                format!("{{\"offset\":{offset},\"value\":{}}}\n", "1".repeat(offset % 97)).as_bytes(),
            );
            ends.push(text.len() as u64);
        }
        file.write_all(&text).unwrap();
        for offset in [0, 1, 777, 25_000, 49_999, 50_000, 60_000] {
            let expected = ends[offset.min(50_000)];
            assert_eq!(behind_offsets_below(&file, offset as i64).unwrap(), expected, "{offset}");
            let near = near(&file, offset as i64, STRETCH_BYTES).unwrap();
            assert!(expected - near <= 2 * STRETCH_BYTES, "{offset}: {near} to {expected}");
        }
    }
}
