//! The form of the names that people give.

use tamis_model::{Error, Result};

/// Bytes of a name at most.
const NAME_BYTES_MAX: usize = 64;

/// Rules: lower-case words and numbers joined by single `-`.
pub(crate) fn check_rule_name(name: &str) -> Result<()> {
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    check(name, name.split('-').all(is_word), "name rule", "lower-case letters and digits in words joined by '-'")
}

/// Lists: as a column or setting is named.
pub(crate) fn check_list_name(name: &str) -> Result<()> {
    let fits = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    check(name, fits, "name list", "lower-case letters, digits and '_', a letter first")
}

fn check(name: &str, fits: bool, operation: &'static str, form: &str) -> Result<()> {
    if fits && name.len() <= NAME_BYTES_MAX {
        return Ok(());
    }
    Err(Error::invalid(operation, format!("{name:?}"), format!("a name is {form}, at most {NAME_BYTES_MAX} bytes")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_form() {
        let long = "a".repeat(64);
        for name in ["a", "card-testing", "rule-2", "7", &long] {
            assert!(check_rule_name(name).is_ok(), "{name}");
        }
        for name in ["", "-a", "a-", "a--b", "A", "a_b", "é", "a b", "a/b", &format!("{long}a")] {
            assert!(check_rule_name(name).is_err(), "{name:?}");
        }
        for name in ["a", "fraud_bins", "bins2", "a_"] {
            assert!(check_list_name(name).is_ok(), "{name}");
        }
        for name in ["", "_a", "2a", "A", "a-b", "é", &format!("{long}a")] {
            assert!(check_list_name(name).is_err(), "{name:?}");
        }
    }
}
