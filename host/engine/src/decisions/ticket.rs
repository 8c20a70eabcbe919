//! The header by which a record is known as that of a request.

use std::fmt;

/// The header of a record that somebody waits for. Its value is a [`Ticket`].
pub const HEADER: &str = "tamis.decision";

/// A record of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The request's id.
    pub request: u128,
    /// The record's place in it, from 0.
    pub record: u32,
    /// What tells the request from others with the same id; none when it is forgotten with its answer.
    pub body: Option<u128>,
}

impl Ticket {
    /// The header that a record with this ticket has.
    pub fn header(self) -> (String, Vec<u8>) {
        (HEADER.to_owned(), self.to_string().into_bytes())
    }

    /// The ticket among a record's headers. Those of others are none.
    pub(crate) fn find(headers: &[(String, Vec<u8>)]) -> Option<Self> {
        let (_, value) = headers.iter().find(|(name, _)| name == HEADER)?;
        let mut parts = str::from_utf8(value).ok()?.split('/');
        let number = |hex: &str| u128::from_str_radix(hex, 16).ok();
        let (request, record) = (number(parts.next()?)?, parts.next()?.parse().ok()?);
        let body = match parts.next() {
            Some(body) => Some(number(body)?),
            None => None,
        };
        Some(Self { request, record, body })
    }

    /// What names the record.
    pub(super) fn place(self) -> (u128, u32) {
        (self.request, self.record)
    }
}

impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}/{}", self.request, self.record)?;
        self.body.map_or(Ok(()), |body| write!(f, "/{body:032x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tickets_are_found_among_headers() {
        let other = ("traceparent".to_owned(), b"00".to_vec());
        for body in [None, Some(0), Some(u128::MAX)] {
            let ticket = Ticket { request: u128::MAX - 1, record: 999, body };
            assert_eq!(Ticket::find(&[other.clone(), ticket.header()]), Some(ticket));
        }
        for value in ["", "1", "/", "x/1", "1/x", "1/-1", "1/1/", "1/1/x", "1ffffffffffffffffffffffffffffffff/1"] {
            assert_eq!(Ticket::find(&[(HEADER.to_owned(), value.into())]), None, "{value}");
        }
        assert_eq!(Ticket::find(&[other]), None);
    }
}
