//! The window of a backtest.

use chrono::DateTime;
use tamis_model::error::Context;
use tamis_model::time::Millis;
use tamis_model::{Error, Result};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// A report has a row for each day, so a window cannot have any length.
const DAYS_MAX: i64 = 3_660;

/// A stretch of event time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Its first millisecond.
    pub from: Millis,
    /// The first millisecond behind it.
    pub to: Millis,
}

impl Window {
    /// The window between two times in RFC 3339.
    pub fn parse(from: &str, to: &str) -> Result<Self> {
        Self { from: time("from", from)?, to: time("to", to)? }.checked()
    }

    fn checked(self) -> Result<Self> {
        let refuse = |reason: String| Err(Error::invalid("replay", "a window of time", reason));
        match self.to.saturating_sub(self.from) {
            ..=0 => refuse("it ends before it begins: `from` must lie before `to`".to_owned()),
            length if length > DAYS_MAX * DAY_MS => refuse(format!("it is longer than {DAYS_MAX} days")),
            _ => Ok(self),
        }
    }

    /// Whether an event time lies in it.
    pub fn has(self, time: Millis) -> bool {
        (self.from..self.to).contains(&time)
    }

    /// The length of the stretches in which a report counts: hours in a window of up to a week, else days.
    pub(super) fn bucket_ms(self) -> i64 {
        if self.to - self.from <= 7 * DAY_MS { DAY_MS / 24 } else { DAY_MS }
    }
}

fn time(name: &str, text: &str) -> Result<Millis> {
    let parsed = DateTime::parse_from_rfc3339(text).invalid("read the time", format!("{name} {text:?}"))?;
    Ok(parsed.timestamp_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_read() {
        let check = |from: &str, to: &str, expected: Result<(i64, i64), &str>| match (Window::parse(from, to), expected)
        {
            (Ok(window), Ok(expected)) => assert_eq!((window.to - window.from, window.bucket_ms()), expected),
            (Err(error), Err(words)) => assert!(error.chain().contains(words), "{}", error.chain()),
            (got, expected) => panic!("{got:?} instead of {expected:?}"),
        };
        check("2026-03-18T00:00:00Z", "2026-03-25T00:00:00Z", Ok((7 * DAY_MS, 3_600_000)));
        check("2026-03-18T00:00:00Z", "2026-03-25T00:00:00.001Z", Ok((7 * DAY_MS + 1, DAY_MS)));
        check("2026-03-18T01:00:00+01:00", "2026-03-18T00:00:01Z", Ok((1_000, 3_600_000)));
        check("2026-03-18T00:00:00Z", "2026-03-18T00:00:00Z", Err("`from` must lie before `to`"));
        check("2000-01-01T00:00:00Z", "2026-01-01T00:00:00Z", Err("longer than 3660 days"));
        check("2026-03-18", "2026-03-19T00:00:00Z", Err("cannot read the time from \"2026-03-18\""));
    }
}
