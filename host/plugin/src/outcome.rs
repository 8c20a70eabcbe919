//! What a rule returned, checked against what it was given: afterwards nobody need ask whether an index is in bounds.

use arrow_array::new_empty_array;
use tamis_model::manifest::Manifest;
use tamis_model::rule::{Finding, Judged, Keyed, NOT_JUDGED, Remembered, Severity, Subject, Value};
use tamis_model::strings::StringsBuf;
use tamis_model::time::Millis;

use crate::host::check_offsets;
use crate::lift::lift;
use crate::wire;

/// The outcome as the engine takes it, or the breach of contract in words.
pub(crate) fn checked(outcome: wire::RuleOutcome, given: &Keyed<'_>, manifest: &Manifest) -> Result<Judged, String> {
    let bounds = Bounds { given, manifest, values: manifest.finding_values() };
    let emitted = match (outcome.emitted, &manifest.output) {
        (Some(batch), Some(output)) => lift(batch, &output.columns)?,
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
