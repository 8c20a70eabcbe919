//! From a rule's finding to an alert (contracts 3, "Alert").

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use serde_json::{Map, Number, Value as Json};
use tamis_model::alert::{Alert, Personal, Trigger, alert_id};
use tamis_model::rule::{Finding, Subject, Value};
use tamis_model::strings::Strings;
use tamis_model::time::{Millis, rfc3339_millis};
use tamis_model::{Error, Kind, Result};

use crate::plan::{Layout, TopicPlan};
use crate::rules::RulePlan;

/// The rule whose findings become alerts, and what it is laid over.
#[derive(Clone, Copy)]
pub(crate) struct Author<'a> {
    pub rule: &'a RulePlan,
    pub layout: &'a Layout,
    pub topics: &'a [TopicPlan],
}

/// What a rule was given, as far as its findings refer to it.
#[derive(Clone, Copy)]
pub(crate) struct Judging<'a> {
    /// The declared input that all rows are from.
    pub input: usize,
    /// The decoded columns of the topic; none when there were no rows.
    pub columns: &'a [ArrayRef],
    pub times: &'a [Millis],
    /// Empty for rules without a key.
    pub groups: &'a [u32],
    pub keys: Strings<'a>,
}

/// An alert, and what only its topic record needs.
pub(crate) struct Raised {
    pub alert: Alert,
    /// The time in `event_time`.
    pub time: Millis,
    /// The key of its record: the alert's, or what names the trigger.
    pub record_key: String,
}

/// What made the rule fire.
struct Cause {
    /// The declared input that the trigger is from.
    input: usize,
    time: Millis,
    key: Option<String>,
    /// None for windows.
    event: Option<Event>,
}

/// The event that made the rule fire.
struct Event {
    id: String,
    payment_id: Option<String>,
    order_id: Option<String>,
    customer_id: Option<String>,
}

impl Author<'_> {
    /// Makes the alert of a finding. Fails when the finding refers to something that the rule was not given.
    pub fn raise(&self, judging: &Judging<'_>, finding: Finding, generated_at: &str) -> Result<Raised> {
        let cause = self.cause(judging, finding.subject).ok_or_else(|| self.breach("it names no row or key"))?;
        let key = cause.key.as_deref().unwrap_or_default();
        let layout = self.layout.inputs.get(cause.input).ok_or_else(|| self.breach("it names no input"))?;
        let topic = &self.topics[layout.topic].schema.name;
        let trigger = match &cause.event {
            Some(event) => Trigger::Event { topic, id: &event.id },
            None => Trigger::Window { key, start: cause.time },
        };
        let mode = self.rule.mode.alert_mode();
        let alert_id = alert_id(mode, &self.rule.name, trigger);
        let record_key = match (&cause.key, &cause.event) {
            (None, Some(event)) => event.id.clone(),
            _ => key.to_owned(),
        };
        let (payment_id, order_id, customer_id) = match cause.event {
            Some(event) => (event.payment_id, event.order_id, event.customer_id),
            None => (None, None, None),
        };
        let declared = &self.rule.manifest.context;
        let alert = Alert {
            alert_id,
            rule: self.rule.name.clone(),
            plugin_version: self.rule.plugin.version.clone(),
            plugin_sha256: self.rule.plugin.sha256.clone(),
            severity: finding.severity,
            mode,
            event_time: rfc3339_millis(cause.time),
            generated_at: generated_at.to_owned(),
            key: cause.key,
            payment_id,
            order_id,
            customer_id,
            criteria: self.criteria(finding.criteria)?,
            context: self.context(finding.context)?,
            personal: Personal {
                key: layout.personal_key,
                context: declared.iter().filter(|c| c.personal).map(|c| c.name.clone()).collect(),
            },
        };
        Ok(Raised { alert, time: cause.time, record_key })
    }

    fn cause(&self, judging: &Judging<'_>, subject: Subject) -> Option<Cause> {
        let key = |group: u32| {
            let group = usize::try_from(group).ok().filter(|group| *group < judging.keys.len())?;
            Some(String::from_utf8_lossy(judging.keys.get(group)).into_owned())
        };
        match subject {
            Subject::Row(row) => {
                let row = row as usize;
                let time = *judging.times.get(row)?;
                let key = if self.layout.keyed { Some(key(*judging.groups.get(row)?)?) } else { None };
                Some(Cause { input: judging.input, time, key, event: Some(self.event(judging, row)?) })
            }
            Subject::Remembered(event) => {
                let input = usize::from(event.input);
                let topic = &self.topics[self.layout.inputs.get(input)?.topic].schema;
                let payment_id = (topic.id == "payment_id").then(|| event.id.clone());
                let (order_id, customer_id) = (event.order_id, event.customer_id);
                let named = Event { id: event.id, payment_id, order_id, customer_id };
                Some(Cause { input, time: event.time, key: Some(key(event.group)?), event: Some(named) })
            }
            Subject::Window { group, start, end: _ } => {
                Some(Cause { input: judging.input, time: start, key: Some(key(group)?), event: None })
            }
        }
    }

    fn event(&self, judging: &Judging<'_>, row: usize) -> Option<Event> {
        let identities = &self.topics[self.layout.inputs[judging.input].topic].identities;
        let text = |column: Option<usize>| {
            let column = judging.columns.get(column?)?.as_string::<i32>();
            column.is_valid(row).then(|| column.value(row).to_owned())
        };
        Some(Event {
            id: text(Some(identities.id))?,
            payment_id: text(identities.payment_id),
            order_id: text(identities.order_id),
            customer_id: text(identities.customer_id),
        })
    }

    fn criteria(&self, bits: u32) -> Result<Vec<String>> {
        let names = &self.rule.manifest.criteria;
        if u64::from(bits) >> names.len() != 0 {
            return Err(self.breach("it names a criterion that is not declared"));
        }
        let holds = |(i, _): &(usize, &String)| bits >> i & 1 == 1;
        Ok(names.iter().enumerate().filter(holds).map(|(_, name)| name.clone()).collect())
    }

    fn context(&self, values: Vec<Value>) -> Result<Map<String, Json>> {
        let declared = &self.rule.manifest.context;
        if declared.len() != values.len() {
            return Err(self.breach("it has not one value for each declared context column"));
        }
        Ok(declared.iter().zip(values).map(|(column, value)| (column.name.clone(), json(value))).collect())
    }

    fn breach(&self, reason: &str) -> Error {
        let object = format!("a finding of rule {} ({})", self.rule.name, self.rule.plugin.name);
        Error::new(Kind::Plugin, "use", object).because(reason)
    }
}

/// A context value as JSON. Amounts are numbers: exact up to ten million million, where a double still tells cents
/// apart, and the nearest double beyond.
fn json(value: Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Text(text) => Json::String(text),
        Value::Int64(number) => number.into(),
        Value::Float64(number) => Number::from_f64(number).map_or(Json::Null, Json::Number),
        Value::Boolean(truth) => Json::Bool(truth),
        Value::Timestamp(time) => Json::String(rfc3339_millis(time)),
        Value::Decimal(hundredths) if hundredths % 100 == 0 => (hundredths / 100).into(),
        Value::Decimal(hundredths) => (hundredths as f64 / 100.0).into(),
        Value::Texts(texts) => texts.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn context_values_are_json_as_the_contract_writes_them() {
        let check = |value: Value, expected: &str| assert_eq!(json(value).to_string(), expected);
        check(Value::Decimal(123_456), "1234.56");
        check(Value::Decimal(-1), "-0.01");
        check(Value::Decimal(150_000), "1500");
        check(Value::Decimal(110), "1.1");
        check(Value::Decimal(999_999_999_999_999), "9999999999999.99");
        check(Value::Timestamp(1_773_842_400_000), r#""2026-03-18T14:00:00.000Z""#);
        check(Value::Float64(f64::NAN), "null");
        check(Value::Float64(0.05), "0.05");
        check(Value::Int64(i64::MIN), "-9223372036854775808");
        check(Value::Texts(vec!["a".into(), "é".into()]), r#"["a","é"]"#);
        check(Value::Null, "null");
    }

    proptest::proptest! {
        #[test]
        fn amounts_print_exactly_while_a_double_tells_cents_apart(hundredths in -1_000_000_000_000_000_i64..1_000_000_000_000_000) {
            let printed = json(Value::Decimal(hundredths)).to_string();
            let (whole, cents) = printed.split_once('.').unwrap_or((&printed, ""));
            let read = format!("{whole}{cents:0<2}").parse::<i64>().unwrap();
            proptest::prop_assert_eq!(read, hundredths);
        }
    }
}
