//! The offset and the time of a record line, without a look at its value where the line begins as ours do.

use tamis_engine::decode::json::record_parts;
use tamis_model::time::Millis;

/// What tells where a record belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub offset: i64,
    pub time: Millis,
}

impl Stamp {
    /// The stamp of a record line; none when one of the two cannot be read.
    pub fn of(line: &[u8]) -> Option<Self> {
        leading(line).or_else(|| {
            let parts = record_parts(line);
            Some(Self { offset: parts.offset?, time: parts.timestamp? })
        })
    }
}

/// `{"offset":12,"timestamp":1773842400000,…`
fn leading(line: &[u8]) -> Option<Stamp> {
    let (offset, rest) = integer(line.strip_prefix(b"{\"offset\":")?)?;
    let (time, rest) = integer(rest.strip_prefix(b",\"timestamp\":")?)?;
    let ends = offset >= 0 && matches!(rest.first(), Some(b',' | b'}'));
    ends.then_some(Stamp { offset, time })
}

/// The integer that a text begins with, and what stands behind it.
fn integer(text: &[u8]) -> Option<(i64, &[u8])> {
    /// So many digits always fit.
    const DIGITS_MAX: usize = 18;
    let (negative, text) = match text.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut value = 0;
    let mut digits = 0;
    for byte in text.iter().take(DIGITS_MAX).take_while(|byte| byte.is_ascii_digit()) {
        value = value * 10 + i64::from(byte - b'0');
        digits += 1;
    }
    (digits > 0).then_some((if negative { -value } else { value }, &text[digits..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_found_wherever_they_stand() {
        let stamp = |offset, time| Some(Stamp { offset, time });
        let cases = [
            (r#"{"offset":12,"timestamp":1773842400000,"key":"c1","value":{}}"#, stamp(12, 1_773_842_400_000)),
            (r#"{"offset":0,"timestamp":-5}"#, stamp(0, -5)),
            (
                r#"{"offset":123456789012345678,"timestamp":1,"value":{"timestamp":2}}"#,
                stamp(123_456_789_012_345_678, 1),
            ),
            (r#"{ "timestamp" : 7, "value" : {"offset":3}, "offset" : 12 }"#, stamp(12, 7)),
            (r#"{"offset":9223372036854775807,"timestamp":8}"#, stamp(i64::MAX, 8)),
            (r#"{"offset":1.0,"timestamp":1e3}"#, stamp(1, 1000)),
            (r#"{"offset":-1,"timestamp":8}"#, None),
            (r#"{"offset":1,"timestamp":-}"#, None),
            (r#"{"offset":1,"timestamp":8"#, None),
            (r#"{"offset":1}"#, None),
            (r#"{"timestamp":1}"#, None),
            ("nothing", None),
            ("", None),
        ];
        for (line, expected) in cases {
            assert_eq!(Stamp::of(line.as_bytes()), expected, "{line}");
        }
    }
}
