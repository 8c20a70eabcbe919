//! Record lines: `{"offset":12,"timestamp":1773842400000,"key":"c1","value":{…}}`.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::IgnoredAny;
use tamis_model::time::Millis;

/// What a record line holds besides its offset.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Parts<'a> {
    pub timestamp: Millis,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    /// Whether the value is known to be JSON, in one line and not `null`.
    pub value_is_json: bool,
    pub headers: &'a [(String, Vec<u8>)],
}

/// Writes a record line with its line break behind `out`.
pub(crate) fn append(out: &mut Vec<u8>, offset: i64, parts: &Parts<'_>) {
    put(out, format_args!("{{\"offset\":{offset},\"timestamp\":{},", parts.timestamp));
    match parts.key.map(str::from_utf8) {
        None => out.extend_from_slice(b"\"key\":null,"),
        Some(Ok(key)) => {
            out.extend_from_slice(b"\"key\":");
            append_string(out, key);
            out.push(b',');
        }
        Some(Err(_)) => {
            put(out, format_args!("\"key_base64\":\"{}\",", STANDARD.encode(parts.key.unwrap_or_default())))
        }
    }
    match parts.value {
        None => out.extend_from_slice(b"\"value\":null"),
        Some(value) if parts.value_is_json => {
            debug_assert!(is_plain_json(value));
            out.extend_from_slice(b"\"value\":");
            out.extend_from_slice(value);
        }
        Some(value) if is_plain_json(value) => {
            out.extend_from_slice(b"\"value\":");
            let start = out.len();
            out.extend_from_slice(value);
            unbreak(&mut out[start..]);
        }
        Some(value) => put(out, format_args!("\"value_base64\":\"{}\"", STANDARD.encode(value))),
    }
    if !parts.headers.is_empty() {
        append_headers(out, parts.headers);
    }
    out.extend_from_slice(b"}\n");
}

fn append_headers(out: &mut Vec<u8>, headers: &[(String, Vec<u8>)]) {
    out.extend_from_slice(b",\"headers\":[");
    for (i, (name, value)) in headers.iter().enumerate() {
        out.extend_from_slice(if i == 0 { b"[" } else { b",[" });
        append_string(out, name);
        put(out, format_args!(",\"{}\"]", STANDARD.encode(value)));
    }
    out.push(b']');
}

fn append_string(out: &mut Vec<u8>, text: &str) {
    // Nearly every key and name stands as it is.
    if text.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        serde_json::to_writer(out, text).expect("a string is JSON and a Vec takes it");
    }
}

fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a Vec takes every byte");
}

/// Whether a value can stand in the line as it is: one JSON value in UTF-8 without a byte-order mark, and not
/// `null`, which would read as a tombstone.
fn is_plain_json(value: &[u8]) -> bool {
    let is_json = serde_json::from_slice::<IgnoredAny>(value).is_ok();
    is_json && str::from_utf8(value).is_ok() && value.trim_ascii() != b"null"
}

/// Line breaks of a JSON text stand between tokens, because inside strings they are escaped.
fn unbreak(json: &mut [u8]) {
    let mut rest = json;
    while let Some(at) = memchr::memchr2(b'\n', b'\r', rest) {
        rest[at] = b' ';
        rest = &mut rest[at + 1..];
    }
}

/// The offset of a record line, without reading the rest of it where the line begins with it, as ours do.
pub(super) fn offset_of(line: &[u8]) -> Option<i64> {
    #[derive(Deserialize)]
    struct Envelope {
        offset: i64,
    }
    leading_offset(line).or_else(|| serde_json::from_slice::<Envelope>(line).ok().map(|envelope| envelope.offset))
}

fn leading_offset(line: &[u8]) -> Option<i64> {
    let rest = line.strip_prefix(b"{\"offset\":")?;
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let ends = rest.get(digits).is_some_and(|byte| matches!(byte, b',' | b'}'));
    ends.then(|| str::from_utf8(&rest[..digits]).ok()?.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(key: Option<&[u8]>, value: Option<&[u8]>) -> String {
        let mut out = Vec::new();
        append(&mut out, 12, &Parts { timestamp: 1_773_842_400_000, key, value, ..Parts::default() });
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_contract_s_example() {
        let expected = "{\"offset\":12,\"timestamp\":1773842400000,\"key\":\"c1\",\"value\":{\"a\":1}}\n";
        assert_eq!(line(Some(b"c1"), Some(b"{\"a\":1}")), expected);
    }

    #[test]
    fn what_is_known_to_be_json_makes_the_same_line() {
        let value = Some(&b"{\"a\":\"x\\ny\"}"[..]);
        let mut known = Vec::new();
        let parts = Parts { timestamp: 1_773_842_400_000, key: Some(b"c1"), value, ..Parts::default() };
        append(&mut known, 12, &Parts { value_is_json: true, ..parts });
        assert_eq!(String::from_utf8(known).unwrap(), line(Some(b"c1"), value));
    }

    #[test]
    fn values_stand_as_they_are_or_in_base64() {
        let plain: [(&[u8], &str); 7] = [
            (b"{ \"a\" : 1.50 }", "{ \"a\" : 1.50 }"),
            (b"{\n\"a\":\r\n1}\n", "{ \"a\":  1} "),
            (b"\"\\ud800 \\n\"", "\"\\ud800 \\n\""),
            (b"1e999", "1e999"),
            (b"true", "true"),
            ("\"é\"".as_bytes(), "\"é\""),
            (b"[null]", "[null]"),
        ];
        for (value, expected) in plain {
            let line = line(None, Some(value));
            assert!(line.ends_with(&format!("\"key\":null,\"value\":{expected}}}\n")), "{line}");
        }
        let encoded: [&[u8]; 9] =
            [b"", b"null", b" null\n", b"{", b"{} {}", b"\"\xff\"", b"\xef\xbb\xbf{}", b"\"a\nb\"", b"nul"];
        for value in encoded {
            let expected = format!("\"value_base64\":\"{}\"}}\n", STANDARD.encode(value));
            assert!(line(None, Some(value)).ends_with(&expected), "{value:?}");
        }
    }

    #[test]
    fn nesting_deeper_than_any_parser_s_stack_stays_as_it_is() {
        let deep = [vec![b'['; 100_000], vec![b']'; 100_000]].concat();
        assert!(line(None, Some(&deep)).contains("\"value\":[[["));
    }

    #[test]
    fn keys_tombstones_and_headers() {
        assert!(line(Some(b"\"\n\xc3\xa9"), None).ends_with("\"key\":\"\\\"\\né\",\"value\":null}\n"));
        assert!(line(Some(b"\xff"), None).contains("\"key_base64\":\"/w==\","));
        let mut out = Vec::new();
        let headers = [("a".to_owned(), vec![255]), ("b".to_owned(), vec![])];
        append(&mut out, 0, &Parts { headers: &headers, ..Parts::default() });
        assert!(out.ends_with(b"\"value\":null,\"headers\":[[\"a\",\"/w==\"],[\"b\",\"\"]]}\n"));
    }

    #[test]
    fn offsets_are_found_wherever_they_stand() {
        let cases: [(&str, Option<i64>); 8] = [
            ("{\"offset\":12,\"value\":1}", Some(12)),
            ("{\"offset\":12}", Some(12)),
            ("{ \"value\" : {\"offset\":3}, \"offset\" : 12 }", Some(12)),
            ("{\"offset\":12e0}", None),
            ("{\"offset\":12", None),
            ("{\"offset\":99999999999999999999,\"value\":1}", None),
            ("{\"value\":1}", None),
            ("nothing", None),
        ];
        for (line, expected) in cases {
            assert_eq!(offset_of(line.as_bytes()), expected, "{line}");
        }
    }
}
