//! What a rule returned, checked against what it was given: afterwards nobody need ask whether an index is in bounds.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, new_empty_array};
use serde::de::IgnoredAny;
use tamis_model::aggregate::{WINDOW, WINDOW_START, is_window_name};
use tamis_model::manifest::Manifest;
use tamis_model::rule::{Finding, Judged, Keyed, NOT_JUDGED, Remembered, Severity, Subject, Value};
use tamis_model::schema::Column;
use tamis_model::strings::StringsBuf;
use tamis_model::time::Millis;

use crate::host::check_offsets;
use crate::lift::lift;
use crate::wire;

/// So that a key and its state go into one record of a changelog, whatever the key: no event has more than a megabyte. What a busy key would
/// have beyond that is refused, event by event, instead of the checkpoint.
const STATE_BYTES_MAX: usize = (1 << 20) - (8 << 10);

/// The outcome as the engine takes it, or the breach of contract in words.
pub(crate) fn checked(outcome: wire::RuleOutcome, given: &Keyed<'_>, manifest: &Manifest) -> Result<Judged, String> {
    let bounds = Bounds { given, manifest, values: manifest.finding_values() };
    let emitted = match (outcome.emitted, &manifest.output) {
        (Some(batch), Some(output)) => {
            let emitted = lift(batch, &output.columns)?;
            check_rows(&emitted, &output.columns)?;
            emitted
        }
        (None, Some(output)) => output.columns.iter().map(|c| new_empty_array(&c.column_type.arrow())).collect(),
        (Some(batch), None) => return Err(format!("{} emitted rows, but no output is declared", batch.rows)),
        (None, None) => Vec::new(),
    };
    // Collecting results would grow the list step by step.
    let mut findings = Vec::with_capacity(outcome.findings.len());
    for finding in outcome.findings {
        findings.push(bounds.finding(finding)?);
    }
    Ok(Judged {
        findings,
        emitted,
        states: states(outcome.states, given.keys.len())?,
        wakes: bounds.wakes(outcome.wakes)?,
        poisoned: Vec::new(),
        exhausted: false,
    })
}

/// Whether each row of an aggregate says which window it is about, and holds JSON where it must.
fn check_rows(emitted: &[ArrayRef], columns: &[Column]) -> Result<(), String> {
    for (array, column) in emitted.iter().zip(columns) {
        let is_window = column.name == WINDOW;
        if (is_window || column.name == WINDOW_START) && array.null_count() > 0 {
            return Err(format!("a row without its `{}`", column.name));
        }
        let Some(texts) = array.as_string_opt::<i32>().filter(|_| is_window || column.json) else { continue };
        for text in texts.iter().flatten() {
            if is_window && !is_window_name(text) {
                return Err(format!("a row of window {text:?}, which is no name"));
            }
            if column.json {
                let json: Result<IgnoredAny, _> = serde_json::from_str(text);
                json.map_err(|error| format!("a row whose `{}` is no JSON: {error}", column.name))?;
            }
        }
    }
    Ok(())
}

/// One state for each key.
pub(crate) fn states(states: wire::StringsBuf, keys: usize) -> Result<StringsBuf, String> {
    let count = states.offsets.len().saturating_sub(1);
    if count != keys {
        return Err(format!("{count} states for {keys} keys"));
    }
    if states.offsets.is_empty() {
        return Ok(StringsBuf::default());
    }
    check_offsets(&states.offsets, states.data.len()).map_err(|why| format!("states with {why}"))?;
    if states.data.len() > STATE_BYTES_MAX {
        let longest = states.offsets.windows(2).map(|pair| (pair[1] - pair[0]) as usize).max().unwrap_or(0);
        if longest > STATE_BYTES_MAX {
            return Err(format!("a state of {longest} bytes, and one key may have {STATE_BYTES_MAX}"));
        }
    }
    Ok(StringsBuf { offsets: states.offsets, data: states.data })
}

/// What indices may name.
struct Bounds<'a> {
    given: &'a Keyed<'a>,
    manifest: &'a Manifest,
    /// How many context values a finding must carry.
    values: usize,
}

impl Bounds<'_> {
    fn finding(&self, finding: wire::Finding) -> Result<Finding, String> {
        let (criteria, declared) = (finding.criteria, self.manifest.criteria.len());
        if u64::from(criteria) >> declared != 0 {
            return Err(format!("a finding with criteria {criteria:#b}, {declared} are declared"));
        }
        let values = finding.context.len();
        if values != self.values {
            return Err(format!("a finding with {values} context values, {} are declared", self.values));
        }
        Ok(Finding {
            subject: self.subject(finding.subject)?,
            severity: severity(finding.severity),
            criteria,
            context: finding.context.into_iter().map(value).collect(),
        })
    }

    fn subject(&self, subject: wire::Subject) -> Result<Subject, String> {
        match subject {
            wire::Subject::Row(row) => self.row(row).map(Subject::Row),
            wire::Subject::Remembered(event) => self.remembered(event).map(Subject::Remembered),
            wire::Subject::Window(wire::Window { group, start, end }) => {
                if start >= end {
                    return Err(format!("a finding on the window [{start}, {end}), which is empty"));
                }
                Ok(Subject::Window { group: self.group(group)?, start, end })
            }
        }
    }

    fn row(&self, row: u32) -> Result<u32, String> {
        if row as usize >= self.given.rows {
            return Err(format!("a finding on row {row} of {}", self.given.rows));
        }
        if self.given.groups.get(row as usize) == Some(&NOT_JUDGED) {
            return Err(format!("a finding on row {row}, which is not judged"));
        }
        Ok(row)
    }

    fn group(&self, group: u32) -> Result<u32, String> {
        if group as usize >= self.given.keys.len() {
            return Err(format!("a finding on key {group} of {}", self.given.keys.len()));
        }
        Ok(group)
    }

    fn remembered(&self, event: wire::Remembered) -> Result<Remembered, String> {
        if !self.manifest.remembers {
            return Err("a finding on a remembered event, but the manifest does not say that it remembers".to_owned());
        }
        if usize::from(event.input) >= self.manifest.inputs.len() {
            return Err(format!("a finding on input {} of {}", event.input, self.manifest.inputs.len()));
        }
        Ok(Remembered {
            group: self.group(event.group)?,
            input: event.input,
            time: event.time,
            id: event.id,
            order_id: event.order_id,
            customer_id: event.customer_id,
        })
    }

    fn wakes(&self, wakes: Vec<Millis>) -> Result<Vec<Millis>, String> {
        if wakes.len() != self.given.keys.len() {
            return Err(format!("{} wakes for {} keys", wakes.len(), self.given.keys.len()));
        }
        Ok(wakes)
    }
}

fn severity(severity: wire::Severity) -> Severity {
    match severity {
        wire::Severity::Info => Severity::Info,
        wire::Severity::Warning => Severity::Warning,
        wire::Severity::High => Severity::High,
        wire::Severity::Critical => Severity::Critical,
    }
}

fn value(value: wire::Value) -> Value {
    match value {
        wire::Value::Null => Value::Null,
        wire::Value::Text(text) => Value::Text(text),
        wire::Value::Int64(value) => Value::Int64(value),
        wire::Value::Float64(value) => Value::Float64(value),
        wire::Value::Boolean(value) => Value::Boolean(value),
        wire::Value::Timestamp(time) => Value::Timestamp(time),
        wire::Value::Decimal(hundredths) => Value::Decimal(hundredths),
        wire::Value::Texts(texts) => Value::Texts(texts),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{StringArray, TimestampMicrosecondArray};
    use tamis_model::schema::ColumnType;

    use super::*;

    #[track_caller]
    fn check(window: Option<&str>, start: Option<i64>, methods: Option<&str>, expected: Result<(), &str>) {
        let column = |name: &str, column_type, json| {
            let (name, required, personal, pseudonym) = (name.to_owned(), false, false, false);
            Column { name, column_type, required, personal, pseudonym, json, fields: Vec::new() }
        };
        let columns = [
            column("window", ColumnType::Text, false),
            column("window_start", ColumnType::Timestamp, false),
            column("methods", ColumnType::Text, true),
        ];
        let emitted: [ArrayRef; 3] = [
            Arc::new(StringArray::from(vec![Some("1m"), window])),
            Arc::new(TimestampMicrosecondArray::from(vec![Some(0), start])),
            Arc::new(StringArray::from(vec![None, methods])),
        ];
        assert_eq!(check_rows(&emitted, &columns), expected.map_err(str::to_owned));
    }

    #[test]
    fn a_row_says_which_window_it_is_about_and_holds_json() {
        check(Some("5m"), Some(1), Some("{}"), Ok(()));
        check(Some("5m"), Some(1), None, Ok(()));
        check(None, Some(1), None, Err("a row without its `window`"));
        check(Some("5m"), None, None, Err("a row without its `window_start`"));
        check(Some("a/b"), Some(1), None, Err("a row of window \"a/b\", which is no name"));
        check(Some(""), Some(1), None, Err("a row of window \"\", which is no name"));
        let error = "a row whose `methods` is no JSON: EOF while parsing an object at line 1 column 1";
        check(Some("5m"), Some(1), Some("{"), Err(error));
    }
}
