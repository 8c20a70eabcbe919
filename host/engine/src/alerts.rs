//! From a rule's finding to an alert (contracts 3, "Alert").

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use tamis_model::alert::{Alert, Personal, Trigger, alert_id};
use tamis_model::dead_letter::{DeadLetter, FailedRule};
use tamis_model::position::Partition;
use tamis_model::rule::{Finding, Poisoned, Subject};
use tamis_model::strings::Strings;
use tamis_model::time::{Millis, rfc3339_millis};
use tamis_model::{Error, Kind, Result};

use crate::context::bounded;
use crate::plan::{Layout, TopicPlan};
use crate::rules::RulePlan;
use crate::share::Share;

/// The rule whose findings become alerts, and what it is laid over.
#[derive(Clone, Copy)]
pub(crate) struct Author<'a> {
    pub rule: &'a RulePlan,
    pub layout: &'a Layout,
    pub topics: &'a [TopicPlan],
    /// The keys whose alerts count.
    pub share: Share,
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
    /// As its record holds it.
    pub json: Vec<u8>,
    /// The time in `event_time`.
    pub time: Millis,
    /// The time of the record that it is about, when that was judged just now: not of windows, nor of what the rule remembered.
    pub triggered_at: Option<Millis>,
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
    /// Makes the alert of a finding; none when another version of the rule speaks for its key. Fails when the finding refers to
    /// something that the rule was not given.
    pub fn raise(&self, judging: &Judging<'_>, finding: Finding, generated_at: &str) -> Result<Option<Raised>> {
        let row = match finding.subject {
            Subject::Row(row) => Some(row as usize),
            Subject::Remembered(_) | Subject::Window { .. } => None,
        };
        let context = self.layout.context.compose(finding.context, judging, row);
        let context = context.ok_or_else(|| self.breach("it has not one value for each column that it must carry"))?;
        let cause = self.cause(judging, finding.subject).ok_or_else(|| self.breach("it names no row or key"))?;
        if !self.counts(cause.key.as_deref(), cause.event.as_ref()) {
            return Ok(None);
        }
        let key = cause.key.as_deref().unwrap_or_default();
        let layout = self.layout.inputs.get(cause.input).ok_or_else(|| self.breach("it names no input"))?;
        let topic = &self.topics[layout.topic].schema.name;
        let trigger = match &cause.event {
            Some(event) => Trigger::Event { topic, id: &event.id },
            None => Trigger::Window { key, start: cause.time },
        };
        let mode = self.rule.role.alert_mode();
        let alert_id = alert_id(mode, &self.rule.name, trigger);
        // The id was made of the texts as they are; what is shown of them is bounded.
        let record_key = bounded(match (&cause.key, &cause.event) {
            (None, Some(event)) => event.id.clone(),
            _ => key.to_owned(),
        });
        let (payment_id, order_id, customer_id) = match cause.event {
            Some(event) => (event.payment_id, event.order_id, event.customer_id),
            None => (None, None, None),
        };
        let cut = |text: Option<String>| text.map(bounded);
        let declared = &self.rule.manifest.context;
        let alert = Alert {
            alert_id,
            rule: self.rule.name.clone(),
            rule_version: self.rule.version,
            plugin_version: self.rule.plugin.version.clone(),
            plugin_sha256: self.rule.plugin.sha256.clone(),
            severity: finding.severity,
            mode,
            event_time: rfc3339_millis(cause.time),
            generated_at: generated_at.to_owned(),
            key: cut(cause.key),
            payment_id: cut(payment_id),
            order_id: cut(order_id),
            customer_id: cut(customer_id),
            criteria: self.criteria(finding.criteria)?,
            context,
            lists: Arc::clone(&self.rule.lists),
            personal: Personal {
                key: layout.personal_key,
                context: declared.iter().filter(|c| c.personal).map(|c| c.name.clone()).collect(),
            },
        };
        Ok(Some(Raised {
            json: alert.json().into_bytes(),
            alert,
            time: cause.time,
            triggered_at: row.map(|_| cause.time),
            record_key,
        }))
    }

    /// Whether what the rule says of a row counts.
    pub fn row_counts(&self, judging: &Judging<'_>, row: u32) -> bool {
        self.share == Share::All
            || self
                .cause(judging, Subject::Row(row))
                .is_some_and(|cause| self.counts(cause.key.as_deref(), cause.event.as_ref()))
    }

    /// The dead letter of a key on which the rule failed when time moved on. `value` is its state.
    pub fn key_letter(&self, key: &[u8], state: &[u8], watermark: Millis, poisoned: &Poisoned) -> DeadLetter {
        let topic = self.topics[self.layout.inputs[0].topic].schema.name.clone();
        DeadLetter {
            partition: Partition { topic, number: 0 },
            offset: None,
            timestamp: watermark.max(0),
            key: Some(key.to_vec()),
            value: Some(state.to_vec()),
            reason: poisoned.reason.name(),
            message: poisoned.message.clone(),
            rule: Some(self.failed()),
            attempt: 1,
        }
    }

    /// The rule as dead letters name it.
    pub fn failed(&self) -> FailedRule {
        let RulePlan { name, version, plugin, role, .. } = self.rule;
        FailedRule { name: name.clone(), version: *version, mode: role.alert_mode(), plugin: plugin.clone() }
    }

    /// Whether what the rule says counts: by its key, else by the customer, else by the event.
    fn counts(&self, key: Option<&str>, event: Option<&Event>) -> bool {
        let customer = || event.map(|event| event.customer_id.as_deref().unwrap_or(&event.id));
        self.share.has(&self.rule.name, key.or_else(customer).unwrap_or_default())
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
        // Where there is only one, it is the rule itself (contracts 3).
        let name = |criterion: &String| if names.len() == 1 { &self.rule.name } else { criterion }.clone();
        Ok(names.iter().enumerate().filter(holds).map(|(_, criterion)| name(criterion)).collect())
    }

    fn breach(&self, reason: &str) -> Error {
        Error::new(Kind::Plugin, "use a finding of", self.rule).because(reason)
    }
}
