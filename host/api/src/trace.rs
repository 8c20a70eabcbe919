//! The trace that a request belongs to (W3C Trace Context): taken over from whoever asks, or begun here.
//!
//! Its id is in every log line of the request, and the answer's `traceresponse` says it.

use std::fmt;

use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// The header that brings a trace.
const TRACEPARENT: &str = "traceparent";
/// The header that says it to whoever asked.
pub(crate) const TRACERESPONSE: HeaderName = HeaderName::from_static("traceresponse");

/// The trace of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trace {
    id: String,
    /// Whether somebody keeps it.
    flags: String,
}

impl Trace {
    /// The one that a request brings, else a new one. What is not as the standard has it is as good as none.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut brought = headers.get_all(TRACEPARENT).iter();
        let only = brought.next().filter(|_| brought.next().is_none());
        only.and_then(|header| Self::parse(header.to_str().ok()?)).unwrap_or_else(Self::new)
    }

    fn new() -> Self {
        Self { id: hex(&random::<16>()), flags: "00".to_owned() }
    }

    fn parse(header: &str) -> Option<Self> {
        let parts: Vec<&str> = header.split('-').collect();
        let [version, id, parent, flags, more @ ..] = &parts[..] else { return None };
        let is_hex = |text: &str, length: usize| {
            text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        let is_some = |text: &str| text.bytes().any(|byte| byte != b'0');
        let fits = is_hex(version, 2) && *version != "ff" && (*version != "00" || more.is_empty());
        let names = is_hex(id, 32) && is_some(id) && is_hex(parent, 16) && is_some(parent);
        (fits && names && is_hex(flags, 2)).then(|| Self { id: (*id).to_owned(), flags: (*flags).to_owned() })
    }

    /// What the answer says of it.
    pub fn response(&self) -> Option<HeaderValue> {
        HeaderValue::try_from(format!("00-{}-{}-{}", self.id, hex(&random::<8>()), self.flags)).ok()
    }
}

/// Its id.
impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id)
    }
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // Without randomness a trace would still be one: it is no secret.
    let _ = getrandom::fill(&mut bytes);
    bytes[0] |= 1;
    bytes
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    fn check(header: &str, expected: Option<&str>) {
        let headers = HeaderMap::from_iter([(HeaderName::from_static(TRACEPARENT), header.parse().unwrap())]);
        let trace = Trace::of(&headers);
        let response = trace.response().unwrap();
        let parts: Vec<&str> = response.to_str().unwrap().split('-').collect();
        assert_eq!((parts.len(), parts[0], parts[1].len(), parts[2].len()), (4, "00", 32, 16));
        match expected {
            Some(flags) => assert_eq!((parts[1], parts[3]), (ID, flags), "{header}"),
            None => assert!(parts[1] != ID && parts[3] == "00", "{header}"),
        }
    }

    #[test]
    fn a_trace_is_taken_over_or_begun() {
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", Some("01"));
        check("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00-more", Some("00"));
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more", None);
        check("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", None);
        check("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", None);
        check("00-00000000000000000000000000000000-00f067aa0ba902b7-01", None);
        check("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", None);
        check("00-4bf92f3577b34da6a3ce929d0e0e4736", None);
        check("", None);
    }

    #[test]
    fn two_traces_are_none() {
        let header = |end: &str| format!("00-{ID}-00f067aa0ba902b7-{end}").parse::<HeaderValue>().unwrap();
        let mut headers = HeaderMap::new();
        headers.append(TRACEPARENT, header("01"));
        assert_eq!(Trace::of(&headers).to_string(), ID);
        headers.append(TRACEPARENT, header("00"));
        assert_ne!(Trace::of(&headers).to_string(), ID);
    }
}
