//! Why a record is refused, told in words and by a stable name.

use tamis_model::time::Millis;

use super::number;
use super::parts::Members;
use crate::decode::{Origin, Refused};

/// Why a record is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// The line or the record's value is not JSON.
    InvalidJson,
    /// The line is JSON, but the envelope does not say what it must.
    InvalidRecord,
    /// There is no value.
    Tombstone,
    /// The value is JSON, but no object.
    NotAnObject,
    /// A member is of another type.
    WrongType,
    /// A required member is missing or null.
    MissingField,
    /// A number is outside its bounds.
    OutOfRange,
    /// A string is none of those that are allowed.
    NotInEnum,
}

/// The reason of a record whose value is null.
pub(crate) const TOMBSTONE: &str = "tombstone";

impl Reason {
    /// Its name in dead letters and metrics.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::InvalidJson => "invalid_json",
            Self::InvalidRecord => "invalid_record",
            Self::Tombstone => TOMBSTONE,
            Self::NotAnObject => "not_an_object",
            Self::WrongType => "wrong_type",
            Self::MissingField => "missing_field",
            Self::OutOfRange => "out_of_range",
            Self::NotInEnum => "not_in_enum",
        }
    }

    /// What it means when it is not about a member.
    const fn text(self) -> &'static str {
        match self {
            Self::InvalidRecord => "the record line needs an offset, a timestamp, and a value or value_base64",
            Self::Tombstone => "the record has no value",
            Self::NotAnObject => "the value is no JSON object",
            _ => "the value is not JSON",
        }
    }
}

/// The message about a member that is missing.
pub(super) fn missing(name: &str) -> String {
    format!("{name}: required, and missing or null")
}

/// The refusal of a record, after so many accepted rows.
#[cold]
pub(super) fn refused(
    origin: Origin,
    time: Option<Millis>,
    rows: usize,
    reason: Reason,
    message: Option<String>,
) -> Refused {
    Refused {
        origin,
        after_row: rows as u32,
        time,
        reason: reason.name(),
        message: message.unwrap_or_else(|| reason.text().to_owned()),
    }
}

/// The offset and time of a record line, valid or not, as far as its strings and brackets tell where its members are.
pub(super) fn coordinates(line: &[u8]) -> (Option<i64>, Option<Millis>) {
    let (mut offset, mut time) = (None, None);
    for (name, value) in Members::of(line) {
        match name.as_slice() {
            b"offset" => offset = number::integer_value(value).filter(|offset| *offset >= 0),
            b"timestamp" => time = number::integer_value(value),
            _ => {}
        }
    }
    (offset, time)
}

/// A record's origin; chunks are shorter than 4 GiB.
#[inline(always)]
pub(super) fn origin(offset: i64, start: usize, end: usize) -> Origin {
    Origin { offset, start: start as u32, end: end as u32 }
}
