//! What two states of a thing differ in: the members that history and audit log show.

use serde_json::{Map, Value};

/// The differing members of two JSON values, before and after: of objects those that differ, at all depths,
/// where one is absent on one side it is left out there; of anything else the whole values.
pub(crate) fn diff(before: &Value, after: &Value) -> (Value, Value) {
    let (Value::Object(old), Value::Object(new)) = (before, after) else {
        return (before.clone(), after.clone());
    };
    let (mut less, mut more) = (Map::new(), Map::new());
    for name in old.keys().chain(new.keys().filter(|name| !old.contains_key(*name))) {
        let (from, to) = match (old.get(name), new.get(name)) {
            (Some(from), Some(to)) if from == to => continue,
            (Some(from), Some(to)) => {
                let (from, to) = diff(from, to);
                (Some(from), Some(to))
            }
            (from, to) => (from.cloned(), to.cloned()),
        };
        less.extend(from.map(|value| (name.clone(), value)));
        more.extend(to.map(|value| (name.clone(), value)));
    }
    (Value::Object(less), Value::Object(more))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_differs_is_kept() {
        let check = |before: Value, after: Value, less: Value, more: Value| {
            assert_eq!(diff(&before, &after), (less, more), "{before} -> {after}");
        };
        check(json!({"a": 1, "b": 2}), json!({"a": 1, "b": 3}), json!({"b": 2}), json!({"b": 3}));
        check(json!({"a": 1}), json!({"a": 1}), json!({}), json!({}));
        check(json!({"a": 1}), json!({"b": 2}), json!({"a": 1}), json!({"b": 2}));
        check(json!({"c": {"x": 1, "y": 2}}), json!({"c": {"x": 1}}), json!({"c": {"y": 2}}), json!({"c": {}}));
        check(json!({"a": [1, 2]}), json!({"a": [2]}), json!({"a": [1, 2]}), json!({"a": [2]}));
        check(json!({"t": null}), json!({"t": {"v": 1}}), json!({"t": null}), json!({"t": {"v": 1}}));
        check(Value::Null, json!({"a": 1}), Value::Null, json!({"a": 1}));
    }
}
