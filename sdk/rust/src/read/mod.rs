//! Reading the cells of source files: text in, typed values out, by section 0 of the data contracts.
//!
//! Every reader takes the text of a cell, or none where the cell is missing; it trims Unicode white space, gives
//! `Ok(None)` for a null token, and refuses whatever is not in one of its forms: a cell that cannot be read becomes null
//! and is counted, never guessed.

use std::fmt;

mod address;
mod country;
mod date;
mod fold;
pub mod json;
mod number;
mod timestamp;

pub use address::TruncatedAddress;
pub use country::country;
pub use date::date;
pub use number::{amount, float64, int32, int64};
pub use timestamp::timestamp;

/// The cell is in none of the forms of its type. It says no more: the text of a cell may be personal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable;

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the cell cannot be read")
    }
}

impl std::error::Error for Unreadable {}

/// What a reader makes of a cell: a value, null, or nothing that it can read.
pub type Cell<T> = Result<Option<T>, Unreadable>;

/// The trimmed text, or nothing for a null token. Null tokens are spelled exactly so: a country code `na` is Namibia.
pub fn text<'a>(cell: impl Into<Option<&'a str>>) -> Option<&'a str> {
    match cell.into()?.trim() {
        "" | "NULL" | "null" | "N/A" | "NA" | "NaN" | "None" => None,
        text => Some(text),
    }
}

/// The trimmed text of a cell that may hold any JSON value: an object or an array is none.
pub fn plain_text<'a>(cell: impl Into<Option<&'a str>>) -> Cell<&'a str> {
    match text(cell) {
        Some(text) if json::is_composite(text) => Err(Unreadable),
        text => Ok(text),
    }
}

/// One of `values`, spelled exactly so.
pub fn one_of<'a>(cell: impl Into<Option<&'a str>>, values: &[&'static str]) -> Cell<&'static str> {
    let Some(text) = text(cell) else { return Ok(None) };
    values.iter().find(|value| **value == text).map(|value| Some(*value)).ok_or(Unreadable)
}

/// `true/false`, `vrai/faux`, `oui/non`, `yes/no`, `o/n`, `1/0` in any case.
pub fn boolean<'a>(cell: impl Into<Option<&'a str>>) -> Cell<bool> {
    text(cell).map(parse_boolean).transpose()
}

fn parse_boolean(text: &str) -> Result<bool, Unreadable> {
    const TRUE: [&str; 6] = ["true", "vrai", "oui", "yes", "o", "1"];
    const FALSE: [&str; 6] = ["false", "faux", "non", "no", "n", "0"];
    let is_in = |words: [&str; 6]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    match (is_in(TRUE), is_in(FALSE)) {
        (true, _) => Ok(true),
        (_, true) => Ok(false),
        _ => Err(Unreadable),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_tokens_count_in_their_own_spelling_only() {
        for token in ["", " ", "\u{a0}\t", "NULL", "null", "N/A", "NA", "NaN", "None", " null ", "\u{2003}NA\u{3000}"] {
            assert_eq!(text(token), None, "{token:?}");
            assert_eq!(boolean(token), Ok(None), "{token:?}");
        }
        for word in ["Null", "na", "Na", "nan", "NAN", "none", "NONE", "n/a", "N.A.", "-"] {
            assert_eq!(text(word), Some(word));
        }
    }

    #[test]
    fn text_is_trimmed_of_unicode_white_space_and_of_nothing_else() {
        assert_eq!(text("\u{a0}\u{202f} Saint  Malo\u{2003}\r\n"), Some("Saint  Malo"));
        assert_eq!(text("\u{feff}x\u{200b}"), Some("\u{feff}x\u{200b}"));
    }

    #[test]
    fn texts_are_plain_and_words_are_known() {
        for (cell, expected) in [(" a ", Ok(Some("a"))), ("NA", Ok(None))] {
            assert_eq!(plain_text(cell), expected, "{cell}");
        }
        for cell in ["{}", " [1]", r#"{"a": [1, {"b": null}]}"#, r#"["a", 1.50]"#] {
            assert_eq!(plain_text(cell), Err(Unreadable), "{cell}");
        }
        for cell in ["[VIP]10", "{x}", "[", "[1] x", "[a]"] {
            assert_eq!(plain_text(cell), Ok(Some(cell)), "it only begins like JSON");
        }
        for (cell, expected) in [("card", Ok(Some("card"))), ("null", Ok(None)), ("Card", Err(Unreadable))] {
            assert_eq!(one_of(cell, &["paypal", "card"]), expected, "{cell}");
        }
    }

    #[test]
    fn booleans_are_words_in_any_case() {
        for word in ["true", "TRUE", "True", "vrai", "VRAI", "oui", "Oui", "yes", "o", "O", "1", " oui\u{a0}"] {
            assert_eq!(boolean(word), Ok(Some(true)), "{word:?}");
        }
        for word in ["false", "FALSE", "faux", "Faux", "non", "NON", "no", "n", "N", "0"] {
            assert_eq!(boolean(word), Ok(Some(false)), "{word:?}");
        }
        for word in ["y", "t", "f", "v", "vraie", "si", "2", "01", "-1", "1.0", "oui!", "оui"] {
            assert_eq!(boolean(word), Err(Unreadable), "{word:?}");
        }
    }
}
