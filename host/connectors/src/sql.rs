//! SQL that is put together from names.

/// A name as an SQL identifier, whatever it holds.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
