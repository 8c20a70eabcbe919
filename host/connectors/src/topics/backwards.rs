//! A segment read backwards: its lines, the last one first.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use super::line;

/// Bytes that are read at a time.
const BLOCK_BYTES: usize = 64 << 10;
/// A longer line is an error, so that memory stays bounded.
const LINE_BYTES_MAX: usize = 512 << 20;

/// A line and where it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub start: u64,
    /// The line without its line break.
    pub bytes: Vec<u8>,
}

impl Line {
    /// The byte behind its line break.
    pub fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64 + 1
    }

    /// The offset of its record, when it can be read.
    pub fn offset(&self) -> Option<i64> {
        line::offset_of(&self.bytes)
    }
}

/// The whole lines of a file, the last one first. Holds a block, or a line where that is longer.
#[derive(Debug)]
pub(super) struct Backwards {
    file: File,
    /// The byte that `block` begins with.
    at: u64,
    /// What was read and not handed out yet.
    block: Vec<u8>,
}

impl Backwards {
    /// The lines that end at or before the byte `end`. One that is torn there is not whole.
    pub fn new(file: File, end: u64) -> Self {
        Self { file, at: end, block: Vec::new() }
    }

    /// Puts the bytes before the block in front of it; as many again, so that a long line is not copied often.
    fn read_before(&mut self) -> io::Result<()> {
        if self.block.len() > LINE_BYTES_MAX {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("a line before byte {} is too long", self.at),
            ));
        }
        let length = BLOCK_BYTES.max(self.block.len()).min(usize::try_from(self.at).unwrap_or(usize::MAX));
        let mut block = vec![0; length];
        let start = self.at - length as u64;
        self.file.seek(SeekFrom::Start(start))?;
        self.file.read_exact(&mut block)?;
        block.append(&mut self.block);
        (self.at, self.block) = (start, block);
        Ok(())
    }

    fn next_line(&mut self) -> io::Result<Option<Line>> {
        loop {
            let end = memchr::memrchr(b'\n', &self.block);
            let before = end.and_then(|end| memchr::memrchr(b'\n', &self.block[..end]));
            match (end, before) {
                (Some(end), Some(before)) => return Ok(Some(self.take(before + 1, end))),
                (Some(end), None) if self.at == 0 => return Ok(Some(self.take(0, end))),
                (None, _) if self.at == 0 => return Ok(None),
                _ => self.read_before()?,
            }
        }
    }

    fn take(&mut self, start: usize, end: usize) -> Line {
        let bytes = self.block[start..end].to_vec();
        self.block.truncate(start);
        Line { start: self.at + start as u64, bytes }
    }
}

impl Iterator for Backwards {
    type Item = io::Result<Line>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_line().transpose()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    fn lines(text: &str, end: u64) -> Vec<Line> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        Backwards::new(file, end).map(Result::unwrap).collect()
    }

    #[test]
    fn only_whole_lines_are_lines() {
        let check = |text: &str, end: u64, expected: &[(u64, &str)]| {
            let found: Vec<_> =
                lines(text, end).iter().map(|l| (l.start, String::from_utf8(l.bytes.clone()).unwrap())).collect();
            let expected: Vec<_> = expected.iter().map(|(start, line)| (*start, (*line).to_owned())).collect();
            assert_eq!(found, expected, "{text:?} before {end}");
        };
        check("", 0, &[]);
        check("torn", 4, &[]);
        check("a\n", 2, &[(0, "a")]);
        check("a\nbc\n", 5, &[(2, "bc"), (0, "a")]);
        check("a\nbc\n", 4, &[(0, "a")]);
        check("\n\nbc\ntorn", 9, &[(2, "bc"), (1, ""), (0, "")]);
    }

    proptest! {
        /// Lines longer than a block, and lines that end where a block does.
        #[test]
        fn blocks_do_not_matter(lengths in proptest::collection::vec(0..3 * BLOCK_BYTES, 0..6), torn in 0..9_usize) {
            let whole: Vec<String> = lengths.iter().enumerate().map(|(i, n)| i.to_string().repeat(*n)).collect();
            let text: String = whole.iter().map(|line| format!("{line}\n")).collect::<String>() + &"x".repeat(torn);
            let mut found = lines(&text, text.len() as u64);
            found.reverse();
            let starts: Vec<u64> = found.iter().map(|line| line.start).collect();
            let ends: Vec<u64> = found.iter().map(Line::end).collect();
            prop_assert_eq!(starts.iter().skip(1).collect::<Vec<_>>(), ends.iter().take(ends.len().saturating_sub(1)).collect::<Vec<_>>());
            let found: Vec<String> = found.into_iter().map(|line| String::from_utf8(line.bytes).unwrap()).collect();
            prop_assert_eq!(found, whole);
        }
    }
}
