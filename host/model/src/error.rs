//! The host's error: which operation failed, on which object, and whether trying again can help.
//!
//! Rows that are refused are data (`dead_letter`, quarantine), not errors.

use std::error::Error as StdError;
use std::fmt;

/// The host's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of failure it was; decides whether a retry can help and which exit code a command ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What was asked for is wrong: a setting, an argument, a plugin that does not keep its contract.
    Invalid,
    /// What was asked for is not there.
    Missing,
    /// Two people at once, or not allowed in this state: somebody must look again, a retry does not help by itself.
    Conflict,
    /// Something outside did not answer or had no room: a disk, a broker, a database.
    Outage,
    /// Stored bytes are not what this program wrote.
    Corrupt,
    /// A plugin trapped, ran out of its limits or returned what it must not.
    Plugin,
    /// The caller asked to stop.
    Stopped,
}

/// An operation that failed on an object. Its source is kept, never repeated in the text.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    operation: &'static str,
    object: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// `operation` is a verb phrase ("open topic"), `object` names what it was done to, with coordinates.
    pub fn new(kind: Kind, operation: &'static str, object: impl fmt::Display) -> Self {
        Self { kind, operation, object: object.to_string(), source: None }
    }

    /// [`Kind::Invalid`] with a reason in words.
    pub fn invalid(operation: &'static str, object: impl fmt::Display, reason: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, operation, object).because(reason.into())
    }

    /// The underlying failure.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What kind of failure it was.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether the same call can succeed later without anybody changing anything.
    pub fn can_retry(&self) -> bool {
        self.kind == Kind::Outage
    }

    /// The whole chain of causes on one line, outermost first.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = StdError::source(self);
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} {}", self.operation, self.object)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|e| e as _)
    }
}

/// Adds the operation and the object to a foreign error.
pub trait Context<T> {
    /// A failure of something outside; a retry can help.
    fn outage(self, operation: &'static str, object: impl fmt::Display) -> Result<T>;
    /// A failure that only a change of the input can mend.
    fn invalid(self, operation: &'static str, object: impl fmt::Display) -> Result<T>;
    /// Stored bytes that do not read back.
    fn corrupt(self, operation: &'static str, object: impl fmt::Display) -> Result<T>;
}

impl<T, E: Into<Box<dyn StdError + Send + Sync>>> Context<T> for std::result::Result<T, E> {
    fn outage(self, operation: &'static str, object: impl fmt::Display) -> Result<T> {
        self.map_err(|e| Error::new(Kind::Outage, operation, object).because(e))
    }

    fn invalid(self, operation: &'static str, object: impl fmt::Display) -> Result<T> {
        self.map_err(|e| Error::new(Kind::Invalid, operation, object).because(e))
    }

    fn corrupt(self, operation: &'static str, object: impl fmt::Display) -> Result<T> {
        self.map_err(|e| Error::new(Kind::Corrupt, operation, object).because(e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_operation_and_the_object_and_never_repeats_the_source() {
        let error: Error = Err::<(), _>("disk full").outage("append to", "topics/payments/0").unwrap_err();
        assert_eq!(error.to_string(), "cannot append to topics/payments/0");
        assert_eq!(error.chain(), "cannot append to topics/payments/0: disk full");
        assert!(error.can_retry());
    }
}
