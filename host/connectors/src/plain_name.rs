//! Names that become one folder or file each, and cannot lead anywhere else.

use tamis_model::{Error, Result};

/// The longest name that Kafka has for a topic; with it a file name has room for an ending.
const CHARS_MAX: usize = 249;

/// Whether a name is one plain folder or file. The letters are those that Kafka allows in topics.
pub(crate) fn is_plain(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    !name.is_empty() && name.len() <= CHARS_MAX && !name.starts_with('.') && name.bytes().all(legal)
}

/// Refuses a name that is not plain, as a failure of `operation`.
pub(crate) fn check(operation: &'static str, name: &str) -> Result<()> {
    if is_plain(name) {
        return Ok(());
    }
    let reason = "a name has 1 to 249 letters, digits, dots, dashes and underscores and does not begin with a dot";
    Err(Error::invalid(operation, format!("{name:?}"), reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_in_their_folder() {
        for name in ["", ".", "..", "../x", "a/b", "a\\b", ".hidden", "é", "a b", &"x".repeat(CHARS_MAX + 1)] {
            assert!(!is_plain(name), "{name}");
        }
        for name in ["alerts_fraud.payments-2", "2026-03-18", "_", &"x".repeat(CHARS_MAX)] {
            assert!(is_plain(name), "{name}");
        }
        let error = check("use topic", "../x").unwrap_err().chain();
        assert!(error.starts_with("cannot use topic \"../x\": a name has 1 to 249 letters"), "{error}");
    }
}
