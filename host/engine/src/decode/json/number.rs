//! JSON numbers from their text, exactly. Whatever the fast path does not recognise at once ends up here.

use tamis_model::schema::DECIMAL_PRECISION;

/// One more than the largest amount in hundredths.
pub(super) const CENTS_END: i64 = 10_i64.pow(DECIMAL_PRECISION as u32);
/// Powers of ten from here on decide nothing more: no record holds so many digits.
const EXPONENT_MAX: i64 = 1 << 40;

/// The length of the number that `bytes` begin with; none when it is no JSON number or beyond Float64.
pub(super) fn length(bytes: &[u8]) -> Option<usize> {
    let digits = |from: usize| bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let byte = |at: usize| bytes.get(at).copied().unwrap_or(0);
    let start = usize::from(byte(0) == b'-');
    let whole = digits(start);
    if whole == 0 || (whole > 1 && byte(start) == b'0') {
        return None;
    }
    let mut end = start + whole;
    if byte(end) == b'.' {
        let fraction = digits(end + 1);
        if fraction == 0 {
            return None;
        }
        end += 1 + fraction;
    }
    let mut exponential = false;
    if byte(end) | 0x20 == b'e' {
        exponential = true;
        end += 1 + usize::from(matches!(byte(end + 1), b'+' | b'-'));
        let exponent = digits(end);
        if exponent == 0 {
            return None;
        }
        end += exponent;
    }
    // Below 1e300 nothing is beyond Float64.
    if (exponential || whole > 300) && !float(&bytes[..end]).is_finite() {
        return None;
    }
    Some(end)
}

/// The nearest Float64 of a JSON number.
pub(super) fn float(number: &[u8]) -> f64 {
    std::str::from_utf8(number).ok().and_then(|text| text.parse().ok()).unwrap_or(f64::NAN)
}

/// The integer that `text` is, all of it; 45.0 and 4.5e1 are 45.
pub(super) fn integer_value(text: &[u8]) -> Option<i64> {
    match length(text) {
        Some(end) if end == text.len() => Decimal::read(text).integer(),
        _ => None,
    }
}

/// A JSON number taken apart: `± 0.d₁d₂d₃… × 10^point`.
pub(super) struct Decimal<'a> {
    negative: bool,
    /// The digits without leading zeros; may still hold the point.
    digits: &'a [u8],
    /// How many digits stand before the decimal point; negative: so many zeros follow the point.
    point: i64,
}

impl<'a> Decimal<'a> {
    /// `number` is a JSON number.
    pub(super) fn read(number: &'a [u8]) -> Self {
        let negative = number[0] == b'-';
        let number = &number[usize::from(negative)..];
        let mantissa_end = number.iter().position(|b| b | 0x20 == b'e').unwrap_or(number.len());
        let (mantissa, exponent) = number.split_at(mantissa_end);
        let whole = mantissa.iter().position(|b| *b == b'.').unwrap_or(mantissa.len());
        let leading = mantissa.iter().take_while(|b| matches!(b, b'0' | b'.')).count();
        // The point is no digit, so zeros behind it count one less.
        let zeros = if leading > whole { leading - 1 } else { leading };
        let point = whole as i64 - zeros as i64 + exponent_value(exponent);
        Self { negative, digits: &mantissa[leading..], point }
    }

    fn digits(&self) -> impl Iterator<Item = i64> {
        self.digits.iter().filter(|b| **b != b'.').map(|b| i64::from(b - b'0'))
    }

    /// Whether there is nothing but zeros behind the decimal point.
    pub(super) fn is_integer(&self) -> bool {
        self.digits().skip(usize::try_from(self.point).unwrap_or(0)).all(|digit| digit == 0)
    }

    /// The value, if it is an integer of 64 bits.
    pub(super) fn integer(&self) -> Option<i64> {
        if !self.is_integer() {
            return None;
        }
        // Negative numbers reach one further than positive ones, so everything is counted downwards.
        let value = self.shifted(0, |value, digit| value.checked_mul(10)?.checked_sub(digit))?;
        if self.negative { Some(value) } else { value.checked_neg() }
    }

    /// Hundredths, rounded half away from zero; none when they have more than 18 digits.
    pub(super) fn cents(&self) -> Option<i64> {
        let cents = self.shifted(2, |value, digit| value.checked_mul(10)?.checked_add(digit))?;
        let behind = usize::try_from(self.point + 2).ok().and_then(|places| self.digits().nth(places));
        let cents = cents + i64::from(behind.is_some_and(|digit| digit >= 5));
        (cents < CENTS_END).then_some(if self.negative { -cents } else { cents })
    }

    /// The digits up to `places` behind the decimal point, one after the other.
    fn shifted(&self, places: i64, push: impl Fn(i64, i64) -> Option<i64>) -> Option<i64> {
        let count = self.point + places;
        if self.digits.is_empty() || count <= 0 {
            return Some(0);
        }
        // The first digit is not zero, so more digits than that are too many for 64 bits.
        let count = usize::try_from(count).ok().filter(|count| *count <= 19)?;
        self.digits().chain(std::iter::repeat(0)).take(count).try_fold(0, push)
    }
}

/// The value of `e±ddd`, 0 when there is none, held within bounds.
fn exponent_value(exponent: &[u8]) -> i64 {
    let Some(digits) = exponent.get(1..) else { return 0 };
    let negative = digits.first() == Some(&b'-');
    let digits = digits.iter().filter(|b| b.is_ascii_digit());
    let value = digits.fold(0, |value: i64, digit| (value * 10 + i64::from(digit - b'0')).min(EXPONENT_MAX));
    if negative { -value } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_end_where_they_end() {
        for (bytes, expected) in [
            ("0,", Some(1)),
            ("-0.5}", Some(4)),
            ("12e3 ", Some(4)),
            ("1E+05]", Some(5)),
            ("1e-400", Some(6)),
            ("1.7976931348623157e308", Some(22)),
            ("1.7976931348623159e308", None),
            ("1e400", None),
            ("-1e309", None),
            ("01", None),
            ("-", None),
            ("1.", None),
            (".5", None),
            ("+1", None),
            ("1e", None),
            ("1e+", None),
            ("NaN", None),
            ("", None),
        ] {
            assert_eq!(length(bytes.as_bytes()), expected, "{bytes}");
        }
        assert_eq!(length("9".repeat(308).as_bytes()), Some(308));
        assert_eq!(length("9".repeat(309).as_bytes()), None);
    }

    fn check(text: &str, integer: Option<i64>, cents: Option<i64>) {
        let decimal = Decimal::read(text.as_bytes());
        assert_eq!((decimal.integer(), decimal.cents()), (integer, cents), "{text}");
    }

    #[test]
    fn integers_and_cents_are_exact() {
        check("45", Some(45), Some(4500));
        check("45.0", Some(45), Some(4500));
        check("4.5e1", Some(45), Some(4500));
        check("450e-1", Some(45), Some(4500));
        check("-0.0", Some(0), Some(0));
        check("0e999999999999999999999", Some(0), Some(0));
        check("1e-999999999999999999999", None, Some(0));
        check("1.005", None, Some(101));
        check("-1.005", None, Some(-101));
        check("1.0049999999999999999999999999", None, Some(100));
        check("0.005", None, Some(1));
        check("0.0049", None, Some(0));
        check("-2.675", None, Some(-268));
        check("0.05e1", None, Some(50));
        check("9999999999999999.994", None, Some(999_999_999_999_999_999));
        check("9999999999999999.995", None, None);
        check("1e16", Some(10_000_000_000_000_000), None);
        check("9223372036854775807", Some(i64::MAX), None);
        check("-9223372036854775808", Some(i64::MIN), None);
        check("9223372036854775808", None, None);
        check("1e19", None, None);
        check("1e400000000000000000000", None, None);
    }
}
