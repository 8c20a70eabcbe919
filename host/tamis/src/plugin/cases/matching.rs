//! Comparing what came out with what a case expects.

use serde_json::{Map, Value};

/// What differs between an actual value and the members that a case names, as `path: expected …, found …`.
pub(super) fn differences(path: &str, expected: &Value, actual: &Value) -> Vec<String> {
    match (expected, actual) {
        (Value::Object(expected), Value::Object(actual)) => {
            let member = |(name, value): (&String, &Value)| {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                match actual.get(name) {
                    Some(actual) => differences(&path, value, actual),
                    None => vec![format!("{path}: expected {value}, found no such member")],
                }
            };
            expected.iter().flat_map(member).collect()
        }
        _ if equal(expected, actual) => Vec::new(),
        _ => vec![format!("{path}: expected {expected}, found {actual}")],
    }
}

/// Numbers are equal when their values are: 1 is 1.0.
fn equal(expected: &Value, actual: &Value) -> bool {
    match (expected, actual) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64() && !(a.is_i64() && b.is_i64()),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| equal(a, b)))
        }
        _ => expected == actual,
    }
}

/// Compares lists whose order means something: item by item.
pub(super) fn ordered(what: &str, expected: &[Value], actual: &[Value]) -> Vec<String> {
    let mut failures = Vec::new();
    for (i, (expected, actual)) in expected.iter().zip(actual).enumerate() {
        failures.extend(differences(&format!("{what} {}", i + 1), expected, actual));
    }
    let missing = expected.iter().skip(actual.len()).map(|item| format!("missing {what}: {item}"));
    let surplus = actual.iter().skip(expected.len()).map(|item| format!("surplus {what}: {item}"));
    failures.extend(missing.chain(surplus));
    failures
}

/// Compares lists without an order: every expected item must match an actual one of its own. Surplus items are shown
/// with the members that the case speaks of anywhere.
pub(super) fn unordered(what: &str, expected: &[Value], actual: &[Value], always_shown: &[&str]) -> Vec<String> {
    let owners = assign(expected, actual);
    let is_matched = |item: usize| owners.contains(&Some(item));
    let missing = (0..expected.len()).filter(|item| !is_matched(*item));
    let surplus = (0..actual.len()).filter(|item| owners[*item].is_none());
    let shown = |item: &Value| -> Value {
        let named = |name: &str| always_shown.contains(&name) || expected.iter().any(|item| item.get(name).is_some());
        let members = item.as_object().into_iter().flatten().filter(|(name, _)| named(name));
        Value::Object(members.map(|(name, value)| (name.clone(), value.clone())).collect::<Map<_, _>>())
    };
    let missing = missing.map(|item| format!("missing {what}: {}", expected[item]));
    missing.chain(surplus.map(|item| format!("surplus {what}: {}", shown(&actual[item])))).collect()
}

/// For each actual item the expected one it is matched with: a largest matching, by augmenting paths, because an
/// expected item that names little may match several actual ones.
fn assign(expected: &[Value], actual: &[Value]) -> Vec<Option<usize>> {
    let mut owners = vec![None; actual.len()];
    for item in 0..expected.len() {
        place(item, expected, actual, &mut vec![false; actual.len()], &mut owners);
    }
    owners
}

fn place(item: usize, expected: &[Value], actual: &[Value], seen: &mut [bool], owners: &mut [Option<usize>]) -> bool {
    for candidate in 0..actual.len() {
        if seen[candidate] || !differences("", &expected[item], &actual[candidate]).is_empty() {
            continue;
        }
        seen[candidate] = true;
        let is_free = match owners[candidate] {
            None => true,
            Some(owner) => place(owner, expected, actual, seen, owners),
        };
        if is_free {
            owners[candidate] = Some(item);
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn list(value: &Value) -> &[Value] {
        value.as_array().unwrap()
    }

    #[test]
    fn members_that_the_case_names_are_compared() {
        let check = |expected: Value, actual: Value, failures: &[&str]| {
            assert_eq!(differences("", &expected, &actual), failures, "{expected} / {actual}");
        };
        check(json!({"a": 1}), json!({"a": 1.0, "b": 2}), &[]);
        check(json!({"a": {"b": null}}), json!({"a": {"b": null, "c": 1}}), &[]);
        check(json!({"a": {"b": 1}}), json!({"a": {"b": "1"}}), &[r#"a.b: expected 1, found "1""#]);
        check(json!({"a": null}), json!({}), &["a: expected null, found no such member"]);
        check(json!({"a": [1, 2]}), json!({"a": [2, 1]}), &["a: expected [1,2], found [2,1]"]);
        check(
            json!(9_007_199_254_740_993_i64),
            json!(9_007_199_254_740_992_i64),
            &[": expected 9007199254740993, found 9007199254740992"],
        );
    }

    #[test]
    fn ordered_lists_are_complete() {
        let check = |expected: Value, actual: Value, failures: &[&str]| {
            assert_eq!(ordered("row", list(&expected), list(&actual)), failures, "{expected} / {actual}");
        };
        check(json!([{"a": 1}, {"a": 2}]), json!([{"a": 1, "b": 0}, {"a": 2}]), &[]);
        check(json!([{"a": 1}]), json!([{"a": 2}]), &["row 1.a: expected 1, found 2"]);
        check(json!([{"a": 1}]), json!([]), &[r#"missing row: {"a":1}"#]);
        check(json!([]), json!([{"a": 1}]), &[r#"surplus row: {"a":1}"#]);
    }

    #[test]
    fn lists_without_an_order_are_matched_one_to_one() {
        let check = |expected: Value, actual: Value, failures: &[&str]| {
            assert_eq!(unordered("alert", list(&expected), list(&actual), &["id"]), failures, "{expected} / {actual}");
        };
        check(json!([{"a": 1}, {"a": 2}]), json!([{"a": 2}, {"a": 1}]), &[]);
        // The first one that is placed must give way to the second.
        check(json!([{}, {"a": 1}]), json!([{"a": 1}, {"a": 2}]), &[]);
        check(json!([{"a": 1}, {"a": 1}]), json!([{"a": 1}]), &[r#"missing alert: {"a":1}"#]);
        check(
            json!([{"a": 1}]),
            json!([{"a": 1}, {"a": 1, "id": "x", "b": 3}]),
            &[r#"surplus alert: {"a":1,"id":"x"}"#],
        );
    }
}
