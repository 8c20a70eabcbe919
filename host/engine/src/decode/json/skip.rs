//! Values that nobody asked for: checked like all others, and left out.

use super::number;
use super::scan::{Portable, Scan};
use super::text::unescape;

/// Containers may stand so deep in each other.
const DEPTH_MAX: u32 = 128;

/// The position behind the white space at `at`. A line break ends a record, so it is none.
#[inline(always)]
pub(super) fn space(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes[at], b' ' | b'\t' | b'\r') {
        at += 1;
    }
    at
}

/// The position behind the string whose opening quote is just before `at`; none when it is no string.
#[inline(always)]
pub(super) fn string<S: Scan>(scan: S, bytes: &[u8], at: usize, text: &mut Vec<u8>) -> Option<usize> {
    let end = scan.string_end(bytes, at);
    if bytes[end] == b'"' { Some(end + 1) } else { unescape(bytes, at, text) }
}

/// The position behind the value at `at`; none when it is not JSON. `depth`: how many containers it stands in.
#[inline(never)]
pub(super) fn value(bytes: &[u8], mut at: usize, depth: u32, text: &mut Vec<u8>) -> Option<usize> {
    let mut inside = depth;
    // Which of the open containers are objects, the innermost in the lowest bit.
    let mut objects: u128 = 0;
    loop {
        at = space(bytes, at);
        match bytes[at] {
            open @ (b'{' | b'[') => {
                inside += 1;
                if inside > DEPTH_MAX {
                    return None;
                }
                let object = open == b'{';
                objects = objects << 1 | u128::from(object);
                at = space(bytes, at + 1);
                if bytes[at] != closing(objects) {
                    if object {
                        at = name(bytes, at, text)?;
                    }
                    continue;
                }
                at += 1;
                inside -= 1;
                objects >>= 1;
            }
            b'"' => at = string(Portable, bytes, at + 1, text)?,
            b't' => at = literal(bytes, at, b"true")?,
            b'f' => at = literal(bytes, at, b"false")?,
            b'n' => at = literal(bytes, at, b"null")?,
            _ => at += number::length(&bytes[at..])?,
        }
        // Behind a value: close what it ends, up to the next value.
        loop {
            if inside == depth {
                return Some(at);
            }
            at = space(bytes, at);
            if bytes[at] == b',' {
                at = space(bytes, at + 1);
                if objects & 1 == 1 {
                    at = name(bytes, at, text)?;
                }
                break;
            }
            if bytes[at] != closing(objects) {
                return None;
            }
            at += 1;
            inside -= 1;
            objects >>= 1;
        }
    }
}

fn closing(objects: u128) -> u8 {
    if objects & 1 == 1 { b'}' } else { b']' }
}

/// The position behind `"name":`.
fn name(bytes: &[u8], at: usize, text: &mut Vec<u8>) -> Option<usize> {
    if bytes[at] != b'"' {
        return None;
    }
    let at = space(bytes, string(Portable, bytes, at + 1, text)?);
    (bytes[at] == b':').then_some(at + 1)
}

/// The position behind the literal, if it stands at `at`.
#[inline(always)]
pub(super) fn literal(bytes: &[u8], at: usize, literal: &[u8]) -> Option<usize> {
    bytes[at..].starts_with(literal).then_some(at + literal.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, depth: u32, expected: Option<usize>) {
        let bytes = [json.as_bytes(), b"\n", &[0; 64]].concat();
        assert_eq!(value(&bytes, 0, depth, &mut Vec::new()), expected, "{json}");
    }

    #[test]
    fn values_end_where_they_end() {
        for json in ["1", "-1.5e3", "\"a\\u00e9\"", "true", "false", "null", "[]", "{}", "[ 1 , [ ] ]", "{\"a\" : {}}"]
        {
            check(json, 0, Some(json.len()));
            check(&format!("{json},1"), 0, Some(json.len()));
        }
        for json in
            ["", "tru", "[1,]", "[,1]", "{\"a\"}", "{\"a\":1,}", "{a:1}", "[1}", "{\"a\":1]", "[1 2]", "nul", "'a'"]
        {
            check(json, 0, None);
        }
    }

    #[test]
    fn depth_is_bounded_whatever_is_open() {
        let nested = |n| format!("{}{}", "[".repeat(n), "]".repeat(n));
        check(&nested(128), 0, Some(256));
        check(&nested(129), 0, None);
        check(&nested(127), 1, Some(254));
        check(&nested(128), 1, None);
        check(&format!("{}1{}", "{\"a\":".repeat(128), "}".repeat(128)), 0, Some(128 * 6 + 1));
    }
}
