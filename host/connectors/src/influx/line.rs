//! Aggregates as InfluxDB line protocol: `payments_by_currency,key=EUR,window=1m count=3,volume=12.5 1773835200000000000`.
//!
//! The measurement is the aggregate, the tags are its key and the length of its window, the time is the window's start, and the fields are
//! its numbers; those of an object are named `count_per_method_card`. All numbers are floats: a field that is an integer in one point and
//! a float in the next would be refused. A point that is written twice is one point.

use std::fmt::Write;

use serde_json::{Map, Value};
use tamis_model::aggregate::AggregateRow;

/// The member that holds the key.
const KEY: &str = "key";

/// A row as a line with its line break; none when it holds no number, as a point needs one.
pub(super) fn line(row: &AggregateRow) -> Option<String> {
    let members: Map<String, Value> = serde_json::from_str(&row.json).ok()?;
    let mut fields = String::new();
    numbers(&mut fields, "", &members);
    if fields.is_empty() {
        return None;
    }
    let mut line = escaped(&row.name, &[',', ' ']);
    let key = match members.get(KEY) {
        Some(Value::String(key)) => key.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    };
    // In the order of their names, which is what the server would sort them by.
    for (name, value) in [(KEY, &key), ("window", &row.window)].into_iter().filter(|(_, value)| !value.is_empty()) {
        let _ = write!(line, ",{name}={}", escaped(value, &TAG));
    }
    let _ = writeln!(line, " {fields} {}", i128::from(row.window_start) * 1_000_000);
    Some(line)
}

/// What separates tags and fields.
const TAG: [char; 3] = [',', '=', ' '];

fn numbers(fields: &mut String, prefix: &str, members: &Map<String, Value>) {
    for (name, value) in members {
        if prefix.is_empty() && name == KEY {
            continue;
        }
        let name = format!("{prefix}{name}");
        match value {
            Value::Number(number) => {
                let Some(number) = number.as_f64().filter(|number| number.is_finite()) else { continue };
                let separator = if fields.is_empty() { "" } else { "," };
                let _ = write!(fields, "{separator}{}={number}", escaped(&name, &TAG));
            }
            Value::Object(members) => numbers(fields, &format!("{name}_"), members),
            Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) => {}
        }
    }
}

/// A name or a value with what has a meaning escaped. Line breaks cannot be written at all, nor can a backslash so that all servers
/// read it alike.
fn escaped(text: &str, special: &[char]) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '\\' || c.is_control() {
            escaped.push('_');
        } else {
            if special.contains(&c) {
                escaped.push('\\');
            }
            escaped.push(c);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, json: &str, expected: Option<&str>) {
        let row = AggregateRow {
            name: name.to_owned(),
            window: "5m".to_owned(),
            window_start: 1_773_835_200_000,
            shadow: false,
            json: json.to_owned(),
        };
        let expected = expected.map(|line| format!("{line} 1773835200000000000\n"));
        assert_eq!(line(&row), expected, "{json}");
    }

    #[test]
    fn rows_are_points() {
        check(
            "payments_by_currency",
            r#"{"name": "payments_by_currency", "window": "5m", "window_start": "2026-03-18T12:00:00.000Z", "key": "EUR",
                "volume": 1204.5, "count": 3, "mean_amount": null, "count_per_method": {"card": 2, "apple pay": 1, "deep": {"x": -0.5}}}"#,
            Some(
                r"payments_by_currency,key=EUR,window=5m volume=1204.5,count=3,count_per_method_card=2,count_per_method_apple\ pay=1,count_per_method_deep_x=-0.5",
            ),
        );
        check("a", r#"{"key": "EUR", "mean": null, "text": "7", "list": [1], "flag": true}"#, None);
        check("a", "[1]", None);
        check("a", "{", None);
    }

    #[test]
    fn what_has_a_meaning_is_escaped() {
        check(r"a b,c=d", r#"{"key": "x y,z=1", "n": 1}"#, Some(r"a\ b\,c=d,key=x\ y\,z\=1,window=5m n=1"));
        check("a", r#"{"key": "é\"\n\\", "a=b,c d": 1}"#, Some(r#"a,key=é"__,window=5m a\=b\,c\ d=1"#));
        check("a", r#"{"key": "", "n": 1e21}"#, Some("a,window=5m n=1000000000000000000000"));
        check("a", r#"{"key": 7, "n": 0.1}"#, Some("a,key=7,window=5m n=0.1"));
        check("a", r#"{"n": 1}"#, Some("a,window=5m n=1"));
    }
}
