//! Why a change was refused although its request was well formed: the API tells these apart.

use std::error::Error as _;

use tamis_model::Error;

/// The source of an error of [`tamis_model::Kind::Conflict`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// Somebody else changed it in between; the caller must look again.
    #[error("it is at revision {found}, not at {expected}")]
    Revision {
        /// What the caller had seen.
        expected: u64,
        /// What it is at.
        found: u64,
    },
    /// There is one of this name.
    #[error("it is there already")]
    Exists,
    /// Nobody approves what is their own.
    #[error("{subject} {part}, somebody else must approve it")]
    OwnChange {
        /// Who.
        subject: String,
        /// What makes it their own: `is its author`.
        part: &'static str,
    },
    /// It cannot be done as things stand.
    #[error("{0}")]
    State(String),
    /// All is as it was asked for already.
    #[error("nothing would change")]
    Unchanged,
}

impl Conflict {
    /// The conflict that an error is about.
    pub fn of(error: &Error) -> Option<&Self> {
        error.source()?.downcast_ref()
    }
}
