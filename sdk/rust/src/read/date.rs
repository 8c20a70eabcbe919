//! Dates as French files write them: the year first or the day first, never the month.

use super::{Cell, Unreadable, text};
use crate::value::Date;

/// `YYYY-MM-DD`, `YYYY/MM/DD`, `YYYYMMDD`, `DD/MM/YYYY`, `DD-MM-YYYY` or `DD.MM.YYYY`, and any of them followed by a
/// time, which changes nothing: the date is the one written. `YYYY-DD-MM` when the middle number is above 12.
pub fn date<'a>(cell: impl Into<Option<&'a str>>) -> Cell<Date> {
    text(cell).map(|text| parse_date(text.as_bytes()).ok_or(Unreadable)).transpose()
}

fn parse_date(text: &[u8]) -> Option<Date> {
    let (date, rest) = split_date(text)?;
    (rest.is_empty() || is_time_behind_date(rest)).then_some(date)
}

/// The date that `text` begins with, and what follows it.
fn split_date(text: &[u8]) -> Option<(Date, &[u8])> {
    let ([year, month, day], rest) = match *text {
        [a, b, c, d, b'-', e, f, b'-', g, h, ref rest @ ..] => {
            let [year, second, third] = [digits(&[a, b, c, d])?, digits(&[e, f])?, digits(&[g, h])?];
            (if second > 12 { [year, third, second] } else { [year, second, third] }, rest)
        }
        [a, b, s @ (b'/' | b'-' | b'.'), c, d, t, e, f, g, h, ref rest @ ..] if s == t => {
            ([digits(&[e, f, g, h])?, digits(&[c, d])?, digits(&[a, b])?], rest)
        }
        [a, b, c, d, b'/', e, f, b'/', g, h, ref rest @ ..] | [a, b, c, d, e, f, g, h, ref rest @ ..] => {
            ([digits(&[a, b, c, d])?, digits(&[e, f])?, digits(&[g, h])?], rest)
        }
        _ => return None,
    };
    Some((Date::from_ymd(year, month, day)?, rest))
}

/// The number that `text` writes in ASCII digits alone; up to nine of them.
pub(super) fn digits(text: &[u8]) -> Option<i32> {
    text.iter().try_fold(0, |value, byte| byte.is_ascii_digit().then(|| value * 10 + i32::from(byte - b'0')))
}

/// `T` or white space, then `H:MM`, `HH:MM:SS` with or without a fraction, or `HHMMSS`, then perhaps a zone.
fn is_time_behind_date(text: &[u8]) -> bool {
    let time = match text {
        [b'T' | b't', time @ ..] => time,
        // What follows was trimmed at its end; white space beyond ASCII is looked at as text.
        _ => match std::str::from_utf8(text) {
            Ok(text) if text.starts_with(char::is_whitespace) => text.trim_start().as_bytes(),
            _ => return false,
        },
    };
    split_clock(time).is_some_and(is_zone)
}

/// What follows the time of day that `text` begins with.
fn split_clock(text: &[u8]) -> Option<&[u8]> {
    let below = |bound: i32, text: &[u8]| digits(text).is_some_and(|value| value < bound);
    let (hour, minute, rest) = match *text {
        [a, b':', c, d, ref rest @ ..] => ([b'0', a], [c, d], rest),
        [a, b, b':', c, d, ref rest @ ..] | [a, b, c, d, ref rest @ ..] => ([a, b], [c, d], rest),
        _ => return None,
    };
    let has_colon = text[1] == b':' || text[2] == b':';
    let (second, rest) = match *rest {
        [b':', a, b, ref rest @ ..] if has_colon => ([a, b], rest),
        [a @ b'0'..=b'9', b, ref rest @ ..] if !has_colon => ([a, b], rest),
        _ => ([b'0', b'0'], rest),
    };
    if !(below(24, &hour) && below(60, &minute) && below(61, &second)) {
        return None;
    }
    match rest {
        [b'.' | b',', fraction @ ..] => match fraction.iter().take_while(|byte| byte.is_ascii_digit()).count() {
            0 => None,
            digits => Some(&fraction[digits..]),
        },
        _ => Some(rest),
    }
}

/// Nothing, or perhaps a space, then `Z`, `UTC`, `GMT`, or an offset: `+01`, `+0100`, `+01:00`.
fn is_zone(text: &[u8]) -> bool {
    match text.trim_ascii_start() {
        [] | b"Z" | b"z" | b"UTC" | b"GMT" => true,
        [b'+' | b'-', offset @ ..] => match *offset {
            [a, b] => digits(&[a, b]).is_some(),
            [a, b, c, d] | [a, b, b':', c, d] => digits(&[a, b, c, d]).is_some(),
            _ => false,
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dates_in_all_their_forms() {
        let expected = Date::from_ymd(2026, 3, 18);
        for text in [
            "2026-03-18",
            "2026/03/18",
            "20260318",
            "18/03/2026",
            "18-03-2026",
            "18.03.2026",
            "2026-18-03",
            " 2026-03-18\u{a0}",
        ] {
            assert_eq!(date(text), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn a_time_may_follow_and_its_zone_shifts_nothing() {
        let expected = Date::from_ymd(2026, 3, 18);
        for form in ["2026-03-18", "2026/03/18", "20260318", "18/03/2026", "18-03-2026", "18.03.2026", "2026-18-03"] {
            for time in [
                "T23:59:59Z",
                " 23:59",
                "  8:05",
                "T23:59:59.999999+02:00",
                " 23:59:59,5 -1100",
                "T235959Z",
                "t2359",
                "\u{a0}00:00:00",
                " 10:00:00 UTC",
                " 10:00:60",
                "T10:00+02",
            ] {
                assert_eq!(date(format!("{form}{time}").as_str()), Ok(expected), "{form}{time}");
            }
            for tail in [
                "T",
                "x",
                " x",
                "T25:00",
                "T12",
                " 12:60",
                " 12:00:61",
                "23:59",
                "-12:00",
                "T12:00:00.",
                " 12:00 CEST",
                "T12:00+2",
                "T12:0",
                "1",
            ] {
                assert_eq!(date(format!("{form}{tail}").as_str()), Err(Unreadable), "{form}{tail}");
            }
        }
    }

    #[test]
    fn the_day_comes_first_never_the_month() {
        assert_eq!(date("04/03/2026"), Ok(Date::from_ymd(2026, 3, 4)));
        assert_eq!(date("03/18/2026"), Err(Unreadable));
        assert_eq!(date("03-18-2026"), Err(Unreadable));
        assert_eq!(date("2026-12-11"), Ok(Date::from_ymd(2026, 12, 11)));
        assert_eq!(date("2026-13-11"), Ok(Date::from_ymd(2026, 11, 13)));
        assert_eq!(date("2026-13-13"), Err(Unreadable));
        // Only the form with hyphens may be turned round.
        assert_eq!(date("2026/18/03"), Err(Unreadable));
        assert_eq!(date("20261803"), Err(Unreadable));
    }

    #[test]
    fn what_is_no_date_is_unreadable() {
        for text in [
            "18/03/26",
            "26-03-18",
            "8/3/2026",
            "08/3/2026",
            "8/03/2026",
            "2026-3-18",
            "2026-03-8",
            "2026.03.18",
            "2026-03/18",
            "18/03-2026",
            "18 03 2026",
            "18 mars 2026",
            "2026-02-29",
            "2026-31-02",
            "1900-02-29",
            "2026-00-10",
            "2026-01-00",
            "0000-01-01",
            "0000-00-00",
            "00/00/0000",
            "31/04/2026",
            "12026-03-18",
            "2026-03",
            "2026",
            "tomorrow",
            "1773842400000",
            "2026-O3-18",
            "２０２６-03-18",
            "+026-03-18",
            "é026-03-18",
            "45000",
        ] {
            assert_eq!(date(text), Err(Unreadable), "{text:?}");
        }
        assert_eq!(date("2024-02-29"), Ok(Date::from_ymd(2024, 2, 29)));
        assert_eq!(date("NULL"), Ok(None));
    }

    proptest! {
        #[test]
        fn every_day_reads_in_every_form(days in -719_162..2_932_897) {
            let (y, m, d) = Date(days).ymd();
            let forms = [
                format!("{y:04}-{m:02}-{d:02}"), format!("{y:04}/{m:02}/{d:02}"), format!("{y:04}{m:02}{d:02}"),
                format!("{d:02}/{m:02}/{y:04}"), format!("{d:02}-{m:02}-{y:04}"), format!("{d:02}.{m:02}.{y:04}"),
            ];
            for text in forms {
                prop_assert_eq!(date(text.as_str()), Ok(Some(Date(days))), "{}", text);
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,14}|[0-9T:Z/.+ -]{0,30}") {
            let _ = date(text.as_str());
        }
    }
}
