//! JSON strings with escapes, and the strings that mean null.

/// Undoes the escapes of a string whose opening quote is just before `at`, and returns the position behind its
/// closing quote. Refuses unpaired surrogates, unknown escapes and control characters. `bytes` may end anywhere.
#[cold]
pub(super) fn unescape(bytes: &[u8], mut at: usize, text: &mut Vec<u8>) -> Option<usize> {
    text.clear();
    loop {
        match *bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at = escape(bytes, at + 1, text)?,
            0..0x20 => return None,
            byte => {
                text.push(byte);
                at += 1;
            }
        }
    }
}

/// One escape, from behind its backslash; returns the position behind it.
fn escape(bytes: &[u8], at: usize, text: &mut Vec<u8>) -> Option<usize> {
    let plain = match *bytes.get(at)? {
        byte @ (b'"' | b'\\' | b'/') => byte,
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'u' => return unicode_escape(bytes, at + 1, text),
        _ => return None,
    };
    text.push(plain);
    Some(at + 1)
}

/// `\uXXXX`, or a pair of them for a character outside the basic plane; from behind the `u`.
fn unicode_escape(bytes: &[u8], at: usize, text: &mut Vec<u8>) -> Option<usize> {
    let unit = hex4(bytes, at)?;
    let (code, end) = match unit {
        0xD800..0xDC00 => {
            let low = bytes.get(at + 4..at + 6).filter(|lead| *lead == b"\\u").and_then(|_| hex4(bytes, at + 6))?;
            if !(0xDC00..0xE000).contains(&low) {
                return None;
            }
            (0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00), at + 10)
        }
        _ => (unit, at + 4),
    };
    // `from_u32` refuses a low surrogate that stands alone.
    let character = char::from_u32(code)?;
    text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    Some(end)
}

fn hex4(bytes: &[u8], at: usize) -> Option<u32> {
    let digits = bytes.get(at..at + 4)?;
    digits.iter().try_fold(0, |value, digit| Some(value << 4 | char::from(*digit).to_digit(16)?))
}

/// Whether a string means null (contracts 0): a null token, white space around it aside.
#[inline(always)]
pub(in crate::decode) fn is_null_token(text: &[u8]) -> bool {
    // Nearly every string is told from a token by its length and its first and last bytes.
    let [first, .., last] = text else { return is_null_token_slow(text) };
    let solid = |byte: u8| byte > b' ' && byte < 0x80;
    let untrimmed = solid(*first) && solid(*last);
    if untrimmed && (text.len() > 4 || first | 0x20 != b'n') {
        return false;
    }
    is_null_token_slow(text)
}

#[cold]
fn is_null_token_slow(text: &[u8]) -> bool {
    let text = std::str::from_utf8(text).unwrap_or("not text").trim();
    matches!(text, "" | "NULL" | "null" | "N/A" | "NA" | "NaN" | "None")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(escaped: &str, expected: Option<&str>) {
        let mut text = Vec::new();
        let end = unescape(escaped.as_bytes(), 0, &mut text);
        assert_eq!(end.map(|_| String::from_utf8(text).unwrap()), expected.map(str::to_owned), "{escaped}");
    }

    #[test]
    fn escapes_and_surrogates() {
        check(r#"a\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00z""#, Some("a\"\\/\u{8}\u{c}\n\r\té😀z"));
        check(r#"\u0000""#, Some("\0"));
        for wrong in [r#"\ud800""#, r#"\udc00""#, r#"\ud800\u0041""#, r#"\ud800\ud800""#, r#"\ud83dx""#] {
            check(wrong, None);
        }
        for wrong in [r#"\x""#, r#"\u12g4""#, r#"\u+123""#, r#"\u12"#, r"\", "open", "a\tb\"", "a\nb\""] {
            check(wrong, None);
        }
    }

    #[test]
    fn null_tokens_are_exact_after_trimming() {
        for token in ["", " ", "NULL", "null", "N/A", "NA", "NaN", "None", "\u{a0}NA\u{2003}", "\tnull\n", "\u{3000}"] {
            assert!(is_null_token(token.as_bytes()), "{token:?}");
        }
        for text in ["Null", "nan", "none", "n/a", "N", "NB", "null.", "N A", "-", "NULLE", "None\u{200b}", "0"] {
            assert!(!is_null_token(text.as_bytes()), "{text:?}");
        }
    }
}
