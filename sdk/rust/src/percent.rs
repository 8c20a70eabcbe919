//! Percentages that are compared exactly.

use std::fmt;

/// A percentage as an admin writes it: `20`, `2.5`. Kept as a decimal number, so that comparisons are exact: 0.1 is a
/// tenth here and not the double next to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Percent {
    /// The digits, without the point.
    digits: i64,
    /// How many of them stand behind the point, at most [`SCALE_MAX`].
    scale: u32,
}

/// Digits behind the point that a percentage can have: 10^9 × 2^64 × 100 is far inside 128 bits.
const SCALE_MAX: u32 = 9;

impl Percent {
    /// A whole number of percent.
    pub const fn whole(percent: i32) -> Self {
        Self { digits: percent as i64, scale: 0 }
    }

    /// The percentage whose shortest decimal form is that of `percent`: what stood in the JSON text. Nothing when it has
    /// more than nine digits behind the point or 10^9 percent or more.
    pub fn from_f64(percent: f64) -> Option<Self> {
        if percent.is_nan() || percent.abs() >= 1e9 {
            return None;
        }
        let text = percent.to_string();
        let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
        let scale = u32::try_from(fraction.len()).ok().filter(|scale| *scale <= SCALE_MAX)?;
        Some(Self { digits: format!("{whole}{fraction}").parse().ok()?, scale })
    }

    /// The double next to it, for showing it.
    pub fn as_f64(self) -> f64 {
        self.digits as f64 / 10_f64.powi(self.scale as i32)
    }

    /// Whether `part` is more than this percentage of `whole`: `100 × part > percent × whole`. Never of a whole that
    /// is 0 or negative.
    pub fn is_exceeded(self, part: impl Into<i128>, whole: impl Into<i128>) -> bool {
        let (part, whole) = (part.into(), whole.into());
        whole > 0 && part * 100 * 10_i128.pow(self.scale) > i128::from(self.digits) * whole
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.as_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparisons_are_exact() {
        let check = |percent: f64, part: i64, whole: i64, expected: bool| {
            assert_eq!(
                Percent::from_f64(percent).unwrap().is_exceeded(part, whole),
                expected,
                "{part} of {whole}, {percent} %"
            );
        };
        check(20.0, 1, 5, false);
        check(20.0, 2, 9, true);
        check(0.1, 1, 1000, false);
        check(0.1, 1, 999, true);
        check(2.5, 5, 200, false);
        check(2.5, 6, 200, true);
        check(100.0, 1, 1, false);
        check(-1.0, 0, 1, true);
        check(20.0, 1, 0, false);
        check(20.0, 1, -1, false);
        check(0.000_000_1, i64::MAX, i64::MAX, true);
    }

    #[test]
    fn percentages_that_are_none() {
        for percent in [f64::NAN, f64::INFINITY, 1e9, 0.000_000_000_1] {
            assert_eq!(Percent::from_f64(percent), None, "{percent}");
        }
    }
}
