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
mod tests;
