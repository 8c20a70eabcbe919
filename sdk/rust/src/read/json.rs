//! Taking JSON apart that the host has checked: cells of the format `records` that hold an object or an array.
//!
//! Nothing is parsed that is not asked for, and numbers keep their digits: what an amount is follows from its text.

use std::borrow::Cow;

/// Whether the text of a cell is an object or an array. A text that merely begins like one is none: `[VIP]10`.
pub fn is_composite(cell: &str) -> bool {
    let cell = cell.trim_start();
    cell.starts_with(['{', '[']) && serde_json::from_str::<serde_json::Value>(cell).is_ok()
}

/// The elements of an array, each as its JSON text; none when it is no array.
pub fn elements(json: &str) -> Option<Vec<&str>> {
    Some(stretches(json.trim().strip_prefix('[')?.strip_suffix(']')?).into_iter().map(|(_, element)| element).collect())
}

/// The member `name` of an object as a cell: the text of a string, else its JSON text; none for null and where it is missing. Of equal
/// names the last counts. None of both when it is no object.
pub fn member<'a>(json: &'a str, name: &str) -> Option<Option<Cow<'a, str>>> {
    let members = stretches(json.trim().strip_prefix('{')?.strip_suffix('}')?);
    let found = members.into_iter().rev().find(|(member, _)| member.is_some_and(|member| string(member) == name));
    Some(found.and_then(|(_, value)| cell(value)))
}

fn cell(json: &str) -> Option<Cow<'_, str>> {
    match json {
        "null" => None,
        text if text.starts_with('"') => Some(string(text)),
        text => Some(Cow::Borrowed(text)),
    }
}

/// The text of a JSON string. Half of a pair of surrogates stands for no character: such a string is given as it is written.
fn string(json: &str) -> Cow<'_, str> {
    let inner = json.trim().trim_start_matches('"');
    let inner = inner.strip_suffix('"').unwrap_or(inner);
    match inner.contains('\\') {
        false => Cow::Borrowed(inner),
        true => serde_json::from_str(json).map_or(Cow::Borrowed(inner), Cow::Owned),
    }
}

/// What stands between the commas of an object or array: the name, where there is a colon, and the value.
fn stretches(inner: &str) -> Vec<(Option<&str>, &str)> {
    let (mut found, mut start, mut colon) = (Vec::new(), 0, None);
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    let stretch = |start: usize, colon: Option<usize>, end: usize| match colon {
        Some(colon) => (Some(inner[start..colon].trim()), inner[colon + 1..end].trim()),
        None => (None, inner[start..end].trim()),
    };
    for (at, byte) in inner.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b':' if depth == 0 && colon.is_none() => colon = Some(at),
            b',' if depth == 0 => {
                found.push(stretch(start, colon, at));
                (start, colon) = (at + 1, None);
            }
            _ => {}
        }
    }
    if !found.is_empty() || !inner.trim().is_empty() {
        found.push(stretch(start, colon, inner.len()));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_have_elements() {
        let check = |json: &str, expected: Option<&[&str]>| assert_eq!(elements(json).as_deref(), expected, "{json}");
        check("[]", Some(&[]));
        check(" [ ] ", Some(&[]));
        check(r#"[1, "a,]b", {"a":[1,2]} , [3,4],null]"#, Some(&["1", r#""a,]b""#, r#"{"a":[1,2]}"#, "[3,4]", "null"]));
        check(r#"["\"]"]"#, Some(&[r#""\"]""#]));
        check("{}", None);
        check("1", None);
    }

    #[test]
    fn objects_have_members() {
        let object = r#"{"a" : 1.50, "b":"x\u00e9,\"", "c":null, "d":{"a":2}, "\u0065": [3], "a":"2:1", "f":"\ud800"}"#;
        let check = |name: &str, expected: Option<&str>| {
            assert_eq!(member(object, name).unwrap().as_deref(), expected, "{name}");
        };
        check("a", Some("2:1"));
        check("b", Some("xé,\""));
        check("c", None);
        check("d", Some(r#"{"a":2}"#));
        check("e", Some("[3]"));
        check("f", Some("\\ud800"));
        check("g", None);
        assert_eq!(member("[]", "a"), None);
        assert_eq!(member("{}", "a"), Some(None));
        assert_eq!(member(r#"{"n":1.00499999999999999999}"#, "n").unwrap().unwrap(), "1.00499999999999999999");
    }
}
