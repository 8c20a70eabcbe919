//! Numbers as the files of the company write them.

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
    for text in ["9999999999999999.995", "10000000000000000", "-10000000000000000.00", "99999999999999999999999999"] {
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
