//! From the columns that a rule emits to the rows of its aggregate, as JSON.

use arrow_array::ArrayRef;
use serde_json::Value as Json;
use tamis_model::aggregate::{AggregateRow, WINDOW, WINDOW_START};
use tamis_model::rule::Value;
use tamis_model::{Error, Kind, Result};

use crate::context::{cell, json};
use crate::rules::RulePlan;

/// The rows that a rule emitted, in their order. Their members are the columns of its output.
pub(crate) fn rows(rule: &RulePlan, emitted: &[ArrayRef]) -> Result<Vec<AggregateRow>> {
    let rows = emitted.first().map_or(0, |column| column.len());
    (0..rows).map(|row| one(rule, emitted, row)).collect()
}

fn one(rule: &RulePlan, emitted: &[ArrayRef], row: usize) -> Result<AggregateRow> {
    let breach = |reason: String| Error::new(Kind::Plugin, "use a row of", rule).because(reason);
    let output = rule.manifest.output.as_ref().ok_or_else(|| breach("its manifest has no output".to_owned()))?;
    let mut object = serde_json::Map::new();
    let (mut window, mut window_start) = (None, None);
    for (column, array) in output.columns.iter().zip(emitted) {
        let value =
            cell(array, column.column_type, row).ok_or_else(|| breach(format!("row {row} has no {}", column.name)))?;
        match (&*column.name, &value) {
            (WINDOW, Value::Text(text)) => window = Some(text.clone()),
            (WINDOW_START, Value::Timestamp(start)) => window_start = Some(*start),
            _ => {}
        }
        let member = match value {
            Value::Text(text) if column.json => {
                serde_json::from_str(&text).map_err(|e| breach(format!("its {} is no JSON: {e}", column.name)))?
            }
            value => json(value),
        };
        object.insert(column.name.clone(), member);
    }
    let missing = |name| breach(format!("row {row} has no {name}"));
    Ok(AggregateRow {
        name: output.dataset.clone(),
        window: window.ok_or_else(|| missing(WINDOW))?,
        window_start: window_start.ok_or_else(|| missing(WINDOW_START))?,
        // A row is about all events of its window, so a canary has none of its own share.
        shadow: rule.role.is_trial(),
        json: Json::Object(object).to_string(),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Float64Array, StringArray, TimestampMicrosecondArray};
    use serde_json::json;
    use tamis_model::dead_letter::PluginRef;

    use super::*;

    fn rule() -> RulePlan {
        let manifest = json!({
            "name": "a", "version": "1.0.0", "title": "a", "world": "rule",
            "output": {"dataset": "volumes", "columns": [
                {"name": "window", "type": "text"}, {"name": "window_start", "type": "timestamp"},
                {"name": "mean", "type": "float64"}, {"name": "per_method", "type": "text", "json": true},
            ]},
        });
        let plugin = PluginRef { name: "a".to_owned(), version: "1.0.0".to_owned(), sha256: String::new() };
        let make = |_: &str| unreachable!("nothing runs");
        RulePlan::new("a", plugin, Arc::new(serde_json::from_value(manifest).unwrap()), "{}".to_owned(), Arc::new(make))
    }

    fn emitted(window: Option<&str>, per_method: &str) -> Vec<ArrayRef> {
        vec![
            Arc::new(StringArray::from(vec![window])),
            Arc::new(TimestampMicrosecondArray::from(vec![1_773_842_400_000_000])),
            Arc::new(Float64Array::from(vec![0.5])),
            Arc::new(StringArray::from(vec![per_method])),
        ]
    }

    #[test]
    fn members_are_the_columns_in_their_order() {
        let rows = rows(&rule(), &emitted(Some("1m"), r#"{"card": 2}"#)).unwrap();
        let json = r#"{"window":"1m","window_start":"2026-03-18T14:00:00.000Z","mean":0.5,"per_method":{"card":2}}"#;
        assert_eq!((rows[0].json.as_str(), rows[0].window_start), (json, 1_773_842_400_000));
        assert_eq!((rows[0].name.as_str(), rows[0].window.as_str(), rows[0].shadow), ("volumes", "1m", false));
    }

    #[test]
    fn a_row_without_a_window_or_with_broken_json_is_a_breach() {
        let check = |window, per_method, reason: &str| {
            let error = rows(&rule(), &emitted(window, per_method)).unwrap_err();
            assert!(error.kind() == Kind::Plugin && error.chain().contains(reason), "{}", error.chain());
        };
        check(None, "{}", "row 0 has no window");
        check(Some("1m"), "{", "its per_method is no JSON");
    }
}
