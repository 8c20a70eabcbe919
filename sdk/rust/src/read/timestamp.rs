//! Instants: RFC 3339, or milliseconds since the Unix epoch.

use super::date::digits;
use super::number::parse_integer;
use super::{Cell, Unreadable, text};
use crate::value::{Date, Timestamp};

/// RFC 3339 with or without a zone (without: UTC), or integer epoch milliseconds.
///
/// What a fraction says beyond microseconds is cut off. Leap seconds cannot be stored and cannot be read.
pub fn timestamp<'a>(cell: impl Into<Option<&'a str>>) -> Cell<Timestamp> {
    text(cell).map(|text| parse_timestamp(text).ok_or(Unreadable)).transpose()
}

fn parse_timestamp(text: &str) -> Option<Timestamp> {
    match text.as_bytes() {
        rfc3339 @ [_, _, _, _, b'-', ..] => parse_rfc3339(rfc3339),
        _ => parse_integer(text)?.checked_mul(1000).map(Timestamp),
    }
}

/// `YYYY-MM-DDTHH:MM:SS`, a fraction, a zone; a space or `t` may stand for the `T` (RFC 3339, 5.6).
fn parse_rfc3339(text: &[u8]) -> Option<Timestamp> {
    let &[
        y1,
        y2,
        y3,
        y4,
        b'-',
        m1,
        m2,
        b'-',
        d1,
        d2,
        b'T' | b't' | b' ',
        h1,
        h2,
        b':',
        min1,
        min2,
        b':',
        s1,
        s2,
        ref rest @ ..,
    ] = text
    else {
        return None;
    };
    let date = Date::from_ymd(digits(&[y1, y2, y3, y4])?, digits(&[m1, m2])?, digits(&[d1, d2])?)?;
    let (hour, minute, second) = (below(24, [h1, h2])?, below(60, [min1, min2])?, below(60, [s1, s2])?);
    let (fraction, zone) = match rest {
        [b'.', rest @ ..] => fraction_micros(rest)?,
        _ => (0, rest),
    };
    let seconds = (hour * 60 + minute) * 60 + second - offset_seconds(zone)?;
    Some(Timestamp::at(date, i64::from(seconds) * 1_000_000 + i64::from(fraction)))
}

/// Digits behind the point, as microseconds, and what follows them.
fn fraction_micros(text: &[u8]) -> Option<(i32, &[u8])> {
    let count = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let place = |i: usize| if i < count { i32::from(text[i] - b'0') } else { 0 };
    let micros = (0..6).fold(0, |micros, i| micros * 10 + place(i));
    (count > 0).then_some((micros, &text[count..]))
}

/// Seconds that a zone is ahead of UTC. None written is UTC.
fn offset_seconds(zone: &[u8]) -> Option<i32> {
    match *zone {
        [] | [b'Z' | b'z'] => Some(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let seconds = (below(24, [h1, h2])? * 60 + below(60, [m1, m2])?) * 60;
            Some(if sign == b'-' { -seconds } else { seconds })
        }
        _ => None,
    }
}

fn below(bound: i32, text: [u8; 2]) -> Option<i32> {
    digits(&text).filter(|value| *value < bound)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn timestamps_in_all_their_forms() {
        // 1773842400 s is 2026-03-18T14:00:00Z.
        let check = |text: &str, micros: i64| assert_eq!(timestamp(text), Ok(Some(Timestamp(micros))), "{text:?}");
        check("2026-03-18T14:00:00Z", 1_773_842_400_000_000);
        check("2026-03-18T14:00:00", 1_773_842_400_000_000);
        check("2026-03-18 14:00:00", 1_773_842_400_000_000);
        check("2026-03-18t14:00:00z", 1_773_842_400_000_000);
        check("2026-03-18T15:00:00+01:00", 1_773_842_400_000_000);
        check("2026-03-18T08:30:00-05:30", 1_773_842_400_000_000);
        check("2026-03-18T14:00:00-00:00", 1_773_842_400_000_000);
        check("2026-03-18T14:00:00.123456Z", 1_773_842_400_123_456);
        check("2026-03-18T14:00:00.5", 1_773_842_400_500_000);
        check("2026-03-18T14:00:00.1234569+00:00", 1_773_842_400_123_456);
        check("1969-12-31T23:59:59.999999Z", -1);
        check("1773842400000", 1_773_842_400_000_000);
        check(" 1773842400000.0 ", 1_773_842_400_000_000);
        check("-1", -1000);
        check("0", 0);
    }

    #[test]
    fn what_is_no_timestamp_is_unreadable() {
        for text in [
            "2026-03-18",
            "2026-03-18T14:00",
            "2026-03-18T14",
            "2026-03-18T24:00:00Z",
            "2026-03-18T14:60:00Z",
            "2026-03-18T23:59:60Z",
            "2026-03-18T14:00:00+0100",
            "2026-03-18T14:00:00+01",
            "2026-03-18T14:00:00+24:00",
            "2026-03-18T14:00:00.Z",
            "2026-03-18T14:00:00,5Z",
            "2026-03-18T14:00:00 Z",
            "2026-02-29T00:00:00Z",
            "2026-18-03T00:00:00Z",
            "18/03/2026 14:00:00",
            "20260318T140000Z",
            "1773842400.5",
            "9223372036854775807",
            "1e12",
            "now",
            "2026-03-18T14:00:00ZZ",
            "2026-03-18_14:00:00",
        ] {
            assert_eq!(timestamp(text), Err(Unreadable), "{text:?}");
        }
        assert_eq!(timestamp("null"), Ok(None));
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(days in -719_000..2_932_000, micros in 0..86_400_000_000_i64, east in -1439..1440_i64) {
            let (instant, (y, m, d)) = (Timestamp::at(Date(days), micros - east * 60_000_000), Date(days).ymd());
            let (seconds, fraction) = (micros / 1_000_000, micros % 1_000_000);
            let (h, min, s) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
            let zone = format!("{}{:02}:{:02}", if east < 0 { '-' } else { '+' }, east.abs() / 60, east.abs() % 60);
            let text = format!("{y:04}-{m:02}-{d:02}T{h:02}:{min:02}:{s:02}.{fraction:06}{zone}");
            prop_assert_eq!(timestamp(text.as_str()), Ok(Some(instant)), "{}", text);
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,14}|[0-9T:Z.+ -]{0,30}") {
            let _ = timestamp(text.as_str());
        }
    }
}
