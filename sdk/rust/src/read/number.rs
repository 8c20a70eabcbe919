//! Amounts, integers and floating-point numbers: a sign, digits that spaces may group by three, a fraction.

use super::{Cell, Unreadable, text};
use crate::value::Cents;

/// The largest number of hundredths that `Decimal128(18, 2)` holds.
const CENTS_MAX: u64 = 999_999_999_999_999_999;

/// An amount: `1234.56`, `1234,56`, `1 234,56`, with `€` or `EUR` before or behind it, or without.
///
/// Rounded to hundredths half away from zero, from the decimal text however long it is: `1.005` is 1.01.
pub fn amount<'a>(cell: impl Into<Option<&'a str>>) -> Cell<Cents> {
    text(cell).map(|text| parse_amount(text).ok_or(Unreadable)).transpose()
}

/// An integer: sign, digits that spaces may group by three, a zero fraction (`45.0`).
pub fn int64<'a>(cell: impl Into<Option<&'a str>>) -> Cell<i64> {
    text(cell).map(|text| parse_integer(text).ok_or(Unreadable)).transpose()
}

/// An integer of 32 bits, in the forms of [`int64`].
pub fn int32<'a>(cell: impl Into<Option<&'a str>>) -> Cell<i32> {
    int64(cell)?.map(i32::try_from).transpose().map_err(|_| Unreadable)
}

/// A number written as an [`amount`], not rounded to hundredths. Beyond the range of a double it cannot be read.
pub fn float64<'a>(cell: impl Into<Option<&'a str>>) -> Cell<f64> {
    text(cell).map(|text| parse_float(text).ok_or(Unreadable)).transpose()
}

fn parse_amount(text: &str) -> Option<Cents> {
    let Decimal { negative, whole, fraction } = Decimal::with_currency(text)?;
    let mut digits = whole.bytes().filter(u8::is_ascii_digit).map(|digit| u64::from(digit - b'0'));
    let units = digits.try_fold(0_u64, |units, digit| {
        let units = units * 10 + digit;
        (units <= CENTS_MAX / 100).then_some(units)
    })?;
    let place = |i: usize| fraction.as_bytes().get(i).map_or(0, |digit| u64::from(digit - b'0'));
    let half_or_more = u64::from(place(2) >= 5);
    let cents = units * 100 + place(0) * 10 + place(1) + half_or_more;
    if cents > CENTS_MAX {
        return None;
    }
    let cents = cents.cast_signed();
    Some(Cents(if negative { -cents } else { cents }))
}

pub(super) fn parse_integer(text: &str) -> Option<i64> {
    let Decimal { negative, whole, fraction } = Decimal::parse(text)?;
    if fraction.bytes().any(|digit| digit != b'0') {
        return None;
    }
    // Counted downwards: the negative range is the larger one.
    let mut digits = whole.bytes().filter(u8::is_ascii_digit).map(|digit| i64::from(digit - b'0'));
    let below = digits.try_fold(0_i64, |value, digit| value.checked_mul(10)?.checked_sub(digit))?;
    if negative { Some(below) } else { below.checked_neg() }
}

fn parse_float(text: &str) -> Option<f64> {
    let Decimal { negative, whole, fraction } = Decimal::with_currency(text)?;
    let mut plain = String::with_capacity(whole.len() + fraction.len() + 1);
    plain.extend(whole.chars().filter(char::is_ascii_digit));
    plain.push('.');
    plain.push_str(fraction);
    let value: f64 = plain.parse().ok()?;
    value.is_finite().then_some(if negative { -value } else { value })
}

/// A decimal number taken apart.
struct Decimal<'a> {
    negative: bool,
    /// At least one digit; spaces between groups are still in it.
    whole: &'a str,
    /// Digits only, none without a fraction.
    fraction: &'a str,
}

impl<'a> Decimal<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (sign, unsigned) = split_sign(text);
        Self::unsigned(sign == Some(b'-'), unsigned)
    }

    /// `€` and `EUR` stand before or behind the number, once; a sign before or behind the currency, once.
    fn with_currency(text: &'a str) -> Option<Self> {
        let (mut sign, mut rest) = split_sign(text);
        if let Some(number) = CURRENCIES.iter().find_map(|currency| rest.strip_suffix(currency)) {
            rest = number.trim_end();
        } else if let Some(number) = CURRENCIES.iter().find_map(|currency| rest.strip_prefix(currency)) {
            rest = number.trim_start();
            if sign.is_none() {
                (sign, rest) = split_sign(rest);
            }
        }
        Self::unsigned(sign == Some(b'-'), rest)
    }

    fn unsigned(negative: bool, text: &'a str) -> Option<Self> {
        let (whole, fraction) = match text.bytes().position(|byte| matches!(byte, b'.' | b',')) {
            Some(point) => (&text[..point], &text[point + 1..]),
            None => (text, "0"),
        };
        let is_fraction = !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit());
        (is_fraction && is_whole(whole.as_bytes())).then_some(Self { negative, whole, fraction })
    }
}

const CURRENCIES: [&str; 2] = ["€", "EUR"];

fn split_sign(text: &str) -> (Option<u8>, &str) {
    match text.as_bytes().first() {
        Some(&sign @ (b'+' | b'-')) => (Some(sign), &text[1..]),
        _ => (None, text),
    }
}

/// Digits, or groups of three digits behind a first one of one to three, one space between any two.
fn is_whole(mut text: &[u8]) -> bool {
    let mut grouped = false;
    loop {
        let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let rest = &text[digits..];
        if rest.is_empty() {
            return if grouped { digits == 3 } else { digits > 0 };
        }
        let Some(next) = after_space(rest) else { return false };
        if !(digits == 3 || !grouped && (1..3).contains(&digits)) {
            return false;
        }
        (grouped, text) = (true, next);
    }
}

/// What follows the space that groups digits: plain, non-breaking (U+00A0), narrow non-breaking (U+202F) or thin (U+2009).
fn after_space(text: &[u8]) -> Option<&[u8]> {
    match text {
        [b' ', rest @ ..] | [0xc2, 0xa0, rest @ ..] | [0xe2, 0x80, 0xaf | 0x89, rest @ ..] => Some(rest),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check_amount(text: &str, cents: i64) {
        assert_eq!(amount(text), Ok(Some(Cents(cents))), "{text:?}");
    }

    #[test]
    fn amounts_in_all_their_forms() {
        check_amount("1234.56", 123_456);
        check_amount("1234,56", 123_456);
        check_amount("1 234,56", 123_456);
        check_amount("1\u{202f}234,56", 123_456);
        check_amount("1\u{a0}234\u{a0}567.8", 123_456_780);
        check_amount("1\u{2009}234", 123_400);
        check_amount("12 345 €", 1_234_500);
        check_amount("12,5€", 1250);
        check_amount("12,50\u{a0}€", 1250);
        check_amount("12.50 EUR", 1250);
        check_amount("12.50EUR", 1250);
        check_amount("€ 12.50", 1250);
        check_amount("EUR 12.50", 1250);
        check_amount("-12.50", -1250);
        check_amount("+12.50", 1250);
        check_amount("-12,50 €", -1250);
        check_amount("-€12.50", -1250);
        check_amount("€ -12.50", -1250);
        check_amount("  0 ", 0);
        check_amount("-0", 0);
        check_amount("0012", 1200);
        check_amount("1,234", 123);
    }

    #[test]
    fn amounts_round_half_away_from_zero_from_the_text() {
        check_amount("1.005", 101);
        check_amount("-1.005", -101);
        check_amount("1.0049999999999999999999999999999999999999", 100);
        check_amount("1.00500000000000000000000000000000000000001", 101);
        check_amount("0.995", 100);
        check_amount("-0.004", 0);
        check_amount("-0.005", -1);
        check_amount("2.675", 268);
        check_amount(&format!("0.{}1", "0".repeat(500)), 0);
    }

    #[test]
    fn amounts_fit_eighteen_digits() {
        check_amount("9999999999999999.99", 999_999_999_999_999_999);
        check_amount("-9999999999999999.99", -999_999_999_999_999_999);
        check_amount(&format!("{}1", "0".repeat(40)), 100);
        for text in ["9999999999999999.995", "10000000000000000", "-10000000000000000.00", "99999999999999999999999999"]
        {
            assert_eq!(amount(text), Err(Unreadable), "{text}");
        }
    }

    #[test]
    fn what_is_no_amount_is_unreadable() {
        let refused = [
            "1,234.56",
            "1.234,56",
            "1'234",
            "12 34",
            "1234 567",
            "1  234",
            "1 2345",
            " 1 23",
            "abc",
            "12e3",
            ".5",
            "5.",
            "-",
            "+-1",
            "--1",
            "- 5",
            "5-",
            "€",
            "12 $",
            "12 USD",
            "12 eur",
            "€12€",
            "12 € €",
            "1_000",
            "0x10",
            "(12)",
            "inf",
            "１２",
            "12.3.4",
            "1\t234",
            "−5",
        ];
        for text in refused {
            assert_eq!(amount(text), Err(Unreadable), "{text:?}");
            assert_eq!(float64(text), Err(Unreadable), "{text:?}");
        }
    }

    #[test]
    fn integers_have_a_sign_thousands_and_a_zero_fraction() {
        for (text, value) in [
            ("45", 45),
            ("+45", 45),
            ("-45", -45),
            ("45.0", 45),
            ("45.000", 45),
            ("45,0", 45),
            ("1 234", 1234),
            ("1\u{202f}234\u{a0}567", 1_234_567),
            (" 007 ", 7),
            ("-0", 0),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
        ] {
            assert_eq!(int64(text), Ok(Some(value)), "{text:?}");
        }
        for text in
            ["45.5", "45.", ".0", "4 5", "45 €", "1e3", "9223372036854775808", "-9223372036854775809", "0x1", "a", "-"]
        {
            assert_eq!(int64(text), Err(Unreadable), "{text:?}");
        }
        assert_eq!(int32("2147483647"), Ok(Some(i32::MAX)));
        assert_eq!(int32("-2147483648"), Ok(Some(i32::MIN)));
        assert_eq!(int32("2147483648"), Err(Unreadable));
        assert_eq!(int32("-2147483649"), Err(Unreadable));
    }

    #[test]
    fn floats_are_written_as_amounts_and_not_rounded() {
        for (text, value) in [
            ("1234.5678", 1234.5678),
            ("1 234,5678", 1234.5678),
            ("0.005", 0.005),
            ("-2,5", -2.5),
            ("3 €", 3.0),
            ("12", 12.0),
        ] {
            assert_eq!(float64(text), Ok(Some(value)), "{text:?}");
        }
        assert_eq!(float64("9".repeat(400).as_str()), Err(Unreadable));
        assert_eq!(float64("NaN"), Ok(None));
    }

    #[test]
    fn null_tokens_are_null_to_every_reader() {
        for token in ["", "NULL", "null", "N/A", "NA", "NaN", "None", "\u{a0}"] {
            assert_eq!(amount(token), Ok(None));
            assert_eq!(int64(token), Ok(None));
            assert_eq!(int32(token), Ok(None));
            assert_eq!(float64(token), Ok(None));
        }
    }

    /// The hundredths of `whole.fraction`, carried digit by digit in decimal: exact, slow and obvious.
    fn round_on_paper(whole: &str, fraction: &str) -> String {
        let padded = format!("{fraction}000");
        let mut digits: Vec<u8> = whole.bytes().chain(padded.bytes().take(2)).map(|digit| digit - b'0').collect();
        let mut carry = padded.as_bytes()[2] >= b'5';
        for digit in digits.iter_mut().rev() {
            if !carry {
                break;
            }
            carry = *digit == 9;
            *digit = if carry { 0 } else { *digit + 1 };
        }
        if carry {
            digits.insert(0, 1);
        }
        let text: String = digits.iter().map(|digit| char::from(digit + b'0')).collect();
        let text = text.trim_start_matches('0');
        if text.is_empty() { "0".to_owned() } else { text.to_owned() }
    }

    /// The digits of `whole` in groups of three.
    fn group(whole: &str, space: &str) -> String {
        let mut out = String::new();
        for (i, digit) in whole.chars().enumerate() {
            if i > 0 && (whole.len() - i).is_multiple_of(3) {
                out.push_str(space);
            }
            out.push(digit);
        }
        out
    }

    proptest! {
        #[test]
        fn amounts_agree_with_rounding_on_paper(
            whole in "[0-9]{1,16}", fraction in "[0-9]{1,40}", minus: bool, comma: bool,
            space in prop::sample::select(vec!["", " ", "\u{a0}", "\u{202f}"]),
            currency in prop::sample::select(vec!["", "€", " €", "\u{a0}EUR"]),
        ) {
            let (sign, point) = (if minus { "-" } else { "" }, if comma { "," } else { "." });
            let text = format!("{sign}{}{point}{fraction}{currency}", group(&whole, space));
            let paper: u128 = round_on_paper(&whole, &fraction).parse().unwrap();
            let expected = i64::try_from(paper).ok().filter(|cents| cents.cast_unsigned() <= CENTS_MAX);
            let expected = expected.map(|cents| Some(Cents(if minus { -cents } else { cents }))).ok_or(Unreadable);
            prop_assert_eq!(amount(text.as_str()), expected);
        }

        #[test]
        fn integers_and_floats_agree_with_the_standard_library(value: i64, zeros in "(\\.0{1,5})?") {
            prop_assert_eq!(int64(format!("{value}{zeros}").as_str()), Ok(Some(value)));
            prop_assert_eq!(float64(format!("{value}{zeros}").as_str()), Ok(Some(value as f64)));
        }

        #[test]
        fn no_text_makes_a_reader_panic(text in "\\PC{0,12}|[-+0-9., €EUR\u{a0}\u{202f}]{0,16}") {
            let _ = (amount(text.as_str()), int64(text.as_str()), int32(text.as_str()), float64(text.as_str()));
        }
    }
}
