//! SQL that is put together from names, and what a database answers.

use std::fmt::Display;

use tamis_model::{Error, Kind, Result};

/// What SQLite answers when there is not even room for what readers and writers share.
const IOERR_SHMSIZE: &str = "4874";

/// A name as an SQL identifier, whatever it holds.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Adds the operation and the object, which names the file, to an error of a database. Its words stand there once: sqlx has
/// them twice.
pub trait Outage<T> {
    /// A statement failed; a retry can help.
    fn outage(self, operation: &'static str, object: impl Display) -> Result<T>;
}

impl<T> Outage<T> for Result<T, sqlx::Error> {
    fn outage(self, operation: &'static str, object: impl Display) -> Result<T> {
        self.map_err(|error| {
            let words = match error.as_database_error() {
                Some(said) if said.code().is_some_and(|code| code == IOERR_SHMSIZE) => {
                    format!("{said}: there may be no room on the disk")
                }
                Some(said) => said.to_string(),
                None => error.to_string(),
            };
            Error::new(Kind::Outage, operation, object).because(words)
        })
    }
}
