//! Where in a text something stands, and why an expression is refused.

use std::fmt;

/// A line and a column, both from 1; columns count characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
}

impl Place {
    /// The place of byte `offset` of `text`, or of its end when that lies behind.
    pub fn of(text: &str, offset: usize) -> Self {
        let before = &text.as_bytes()[..offset.min(text.len())];
        let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let lines = before.iter().filter(|byte| **byte == b'\n').count();
        // The bytes of a character behind its first begin with the bits 10.
        let characters = before[line_start..].iter().filter(|byte| **byte & 0xc0 != 0x80).count();
        Self { line: lines as u32 + 1, column: characters as u32 + 1 }
    }
}

/// Without line and column: the text of a plan, of which fingerprints are made, tells what it does and not where it is written.
impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Place")
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// Why an expression is not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Where.
    pub place: Place,
    /// Why.
    pub why: String,
}

impl Refusal {
    /// A refusal with its reason.
    pub fn new(place: Place, why: impl Into<String>) -> Self {
        Self { place, why: why.into() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_lines_and_characters() {
        let check = |text: &str, offset: usize, line: u32, column: u32| {
            let place = Place::of(text, offset);
            assert_eq!((place.line, place.column), (line, column), "{text:?} {offset}");
        };
        check("", 0, 1, 1);
        check("ab", 1, 1, 2);
        check("ab", 9, 1, 3);
        check("a\nb", 2, 2, 1);
        check("a\r\nb c", 5, 2, 3);
        check("'é' + x", 7, 1, 7);
    }
}
