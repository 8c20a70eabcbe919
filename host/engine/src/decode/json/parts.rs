//! One record line taken apart, whatever it holds: for dead letters, inspection and tests.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use tamis_model::time::Millis;

use super::number;
use super::text::unescape;

/// What a record line says, as far as it can be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordParts {
    /// The record's offset.
    pub offset: Option<i64>,
    /// The record's time.
    pub timestamp: Option<Millis>,
    /// Its key; none when the line has none or it cannot be read.
    pub key: Option<Vec<u8>>,
    /// Its value, byte for byte; none for a tombstone. Whatever stands there, JSON or not.
    pub value: Option<Vec<u8>>,
    /// Name and value of each header that can be read.
    pub headers: Vec<(String, Vec<u8>)>,
}

/// Takes a record line apart. Nothing is checked that is not needed to tell where its members are: strings and
/// brackets decide, so a value that is not JSON is found too as long as its quotes and brackets are balanced.
/// A member counts once the comma or bracket behind it is there; of equal names the last counts.
pub fn record_parts(line: &[u8]) -> RecordParts {
    let mut parts = RecordParts::default();
    for (name, value) in Members::of(line) {
        match name.as_slice() {
            b"offset" => parts.offset = number::integer_value(value).filter(|offset| *offset >= 0),
            b"timestamp" => parts.timestamp = number::integer_value(value),
            b"key" => parts.key = string(value),
            b"key_base64" => parts.key = decoded(value),
            b"value" => parts.value = (value != b"null").then(|| value.to_vec()),
            b"value_base64" => parts.value = decoded(value),
            b"headers" => parts.headers = headers(value),
            _ => {}
        }
    }
    parts
}

/// The members of an object that is JSON: unescaped name and trimmed text of the value.
pub(in crate::decode) fn object_members(object: &[u8]) -> impl Iterator<Item = (Vec<u8>, &[u8])> {
    Members::of(object)
}

/// The members of an object: unescaped name and trimmed text of the value.
pub(super) struct Members<'a> {
    line: &'a [u8],
    /// The first byte of the next member; past the end when there is none.
    at: usize,
}

impl<'a> Members<'a> {
    pub(super) fn of(line: &'a [u8]) -> Self {
        let line = trim(line);
        Self { line, at: if line.first() == Some(&b'{') { 1 } else { usize::MAX } }
    }

    /// The bytes up to the comma or bracket that ends this member or element, and the bracket.
    fn next_stretch(&mut self) -> Option<(&'a [u8], Option<usize>, u8)> {
        let rest = self.line.get(self.at..)?;
        let (mut depth, mut quoted, mut colon) = (0_usize, false, None);
        let mut i = 0;
        loop {
            match *rest.get(i)? {
                b'\\' if quoted => i += 1,
                b'"' => quoted = !quoted,
                _ if quoted => {}
                b'{' | b'[' => depth += 1,
                end @ (b',' | b'}' | b']') if depth == 0 => {
                    self.at += i + 1;
                    return Some((&rest[..i], colon, end));
                }
                b'}' | b']' => depth -= 1,
                b':' if depth == 0 && colon.is_none() => colon = Some(i),
                _ => {}
            }
            i += 1;
        }
    }
}

impl<'a> Iterator for Members<'a> {
    type Item = (Vec<u8>, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Some((stretch, colon, end)) = self.next_stretch().filter(|(.., end)| *end != b']') else {
                self.at = usize::MAX;
                return None;
            };
            if end == b'}' {
                self.at = usize::MAX;
            }
            let name = colon.and_then(|colon| string(trim(&stretch[..colon])).map(|name| (name, colon)));
            if let Some((name, colon)) = name {
                return Some((name, trim(&stretch[colon + 1..])));
            }
        }
    }
}

/// The text without JSON's white space around it.
fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t' | b'\r' | b'\n', rest @ ..] | [rest @ .., b' ' | b'\t' | b'\r' | b'\n'] = text {
        text = rest;
    }
    text
}

/// The bytes of a JSON string; invalid UTF-8 in it stays as it is.
pub(in crate::decode) fn string(token: &[u8]) -> Option<Vec<u8>> {
    let inner = token.strip_prefix(b"\"")?;
    let mut text = Vec::new();
    let end = unescape(inner, 0, &mut text)?;
    (end == inner.len()).then_some(text)
}

fn decoded(token: &[u8]) -> Option<Vec<u8>> {
    BASE64_STANDARD.decode(string(token)?).ok()
}

/// `[["name","base64"],…]`
fn headers(token: &[u8]) -> Vec<(String, Vec<u8>)> {
    elements(token)
        .filter_map(|header| {
            let mut pair = elements(header);
            let name = String::from_utf8(string(pair.next()?)?).ok()?;
            Some((name, decoded(pair.next()?)?))
        })
        .collect()
}

/// The trimmed texts of an array's elements; nothing when it is not one.
fn elements(token: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut members = Members { line: token, at: if token.first() == Some(&b'[') { 1 } else { usize::MAX } };
    std::iter::from_fn(move || {
        let (element, _, end) = members.next_stretch()?;
        if end != b',' {
            members.at = usize::MAX;
        }
        Some(trim(element))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &[u8], expected: RecordParts) {
        assert_eq!(record_parts(line), expected, "{}", String::from_utf8_lossy(line));
    }

    fn parts(offset: i64, timestamp: Millis, key: Option<&[u8]>, value: Option<&[u8]>) -> RecordParts {
        let (key, value) = (key.map(Into::into), value.map(Into::into));
        RecordParts { offset: Some(offset), timestamp: Some(timestamp), key, value, headers: Vec::new() }
    }

    #[test]
    fn whole_lines() {
        let line = br#"{"offset":12,"timestamp":1773842400000,"key":"c\u00e9\n","value":{"a" : [1, "}"] }}"#;
        check(line, parts(12, 1_773_842_400_000, Some("cé\n".as_bytes()), Some(br#"{"a" : [1, "}"] }"#)));
        check(br#"{"offset":0,"timestamp":-5,"key":null,"value":null}"#, parts(0, -5, None, None));
        check(
            br#"{ "value_base64" : "bnVsbA==" , "key_base64":"/w==", "timestamp":1e3, "offset":1.0 }"#,
            parts(1, 1000, Some(b"\xff"), Some(b"null")),
        );
        let headers = vec![("h".to_owned(), b"A".to_vec()), ("i".to_owned(), Vec::new())];
        check(
            br#"{"offset":1,"timestamp":2,"value":{},"headers":[["h","QQ=="], ["i",""], ["j",7], 8]}"#,
            RecordParts { headers, ..parts(1, 2, None, Some(b"{}")) },
        );
    }

    #[test]
    fn values_that_are_not_json_are_given_back_as_they_are() {
        for value in ["{\"a\":01}", "[1e400]", "{\"a\":\"\\ud800\"}", "{\"a\" \"b\"}", "oops", "", "{}{}"] {
            let line = format!(r#"{{"offset":1,"value":{value},"timestamp":2}}"#);
            check(line.as_bytes(), parts(1, 2, None, Some(value.as_bytes())));
        }
        check(b"{\"offset\":1,\"timestamp\":2,\"value\":\"a\xff\"}", parts(1, 2, None, Some(b"\"a\xff\"")));
    }

    #[test]
    fn a_torn_member_does_not_count() {
        check(br#"{"offset":12,"timestamp":17738"#, RecordParts { offset: Some(12), ..Default::default() });
        check(br#"{"offset":12,"timestamp":5,"value":{"a":1"#, parts(12, 5, None, None));
        check(br#"{"offset":1,"timestamp":2]"#, RecordParts { offset: Some(1), ..Default::default() });
        for nothing in ["", " ", "12", "[1,2]", "oops", "{", "{}", "\0", "{\"offset\":1"] {
            check(nothing.as_bytes(), RecordParts::default());
        }
    }
}
