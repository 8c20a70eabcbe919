//! What tasks raise, on its way to lake and warehouse.
//!
//! Each task writes it in its own transactions, with the checkpoint that it belongs to: so it is in the topic once, whatever crashes, also
//! where alerts go to their routes at least once. It is written as CBOR, in which a number stays what it is to the last bit.

use serde::{Deserialize, Serialize};
use tamis_connectors::kafka::KafkaTransactions;
use tamis_engine::rules::Trip;
use tamis_engine::{Clock, Sink, SystemClock};
use tamis_model::aggregate::AggregateRow;
use tamis_model::alert::{Alert, Personal};
use tamis_model::error::Context as _;
use tamis_model::record::Record;
use tamis_model::{Error, Kind, Result};

/// Something that a task raised.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Outcome {
    /// An alert, as it stands in its topic, and what of it is personal.
    Alert(Box<Alert>, Personal),
    /// A row of an aggregate.
    Row(AggregateRow),
    /// A version was stopped.
    Trip(Trip),
}

impl Outcome {
    fn encode(&self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        ciborium::into_writer(self, &mut bytes).invalid("write", "what a rule raised")?;
        Ok(bytes)
    }

    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let mut outcome = ciborium::from_reader(bytes)
            .map_err(|error| Error::new(Kind::Corrupt, "read", "what a rule raised").because(error))?;
        if let Self::Alert(alert, personal) = &mut outcome {
            alert.personal = std::mem::take(personal);
        }
        Ok(outcome)
    }
}

/// Writes what a task raises to a topic, in the task's transactions.
#[derive(Clone)]
pub(super) struct Outcomes {
    pub transactions: KafkaTransactions,
    pub topic: String,
}

impl Outcomes {
    pub fn write_all(&self, outcomes: impl Iterator<Item = Outcome>) -> Result<()> {
        let now = SystemClock.now();
        let record = |outcome: Outcome| {
            Ok(Record {
                topic: self.topic.clone(),
                partition: Some(0),
                timestamp: now,
                key: None,
                value: Some(outcome.encode()?),
                value_is_json: false,
                headers: Vec::new(),
            })
        };
        self.transactions.write(&outcomes.map(record).collect::<Result<Vec<_>>>()?)
    }

    fn stage_all(&self) -> Result<serde_json::Value> {
        self.transactions.flush()?;
        Ok(serde_json::Value::Null)
    }
}

impl Sink<Alert> for Outcomes {
    fn write(&mut self, output: &[Alert]) -> Result<()> {
        let outcome = |alert: &Alert| Outcome::Alert(Box::new(alert.clone()), alert.personal.clone());
        self.write_all(output.iter().map(outcome))
    }

    fn stage(&mut self) -> Result<serde_json::Value> {
        self.stage_all()
    }

    fn commit(&mut self, _staged: &serde_json::Value) -> Result<()> {
        Ok(())
    }
}

impl Sink<AggregateRow> for Outcomes {
    fn write(&mut self, output: &[AggregateRow]) -> Result<()> {
        self.write_all(output.iter().cloned().map(Outcome::Row))
    }

    fn stage(&mut self) -> Result<serde_json::Value> {
        self.stage_all()
    }

    fn commit(&mut self, _staged: &serde_json::Value) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use serde_json::json;
    use tamis_model::alert::AlertMode;
    use tamis_model::rule::Severity;

    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let check = |outcome: Outcome| {
            let read = Outcome::decode(&outcome.encode().unwrap()).unwrap();
            let Outcome::Alert(alert, _) = &read else { return assert_eq!(read, outcome) };
            let Outcome::Alert(expected, personal) = outcome else { panic!("an alert was read") };
            assert_eq!((**alert).clone(), Alert { personal, ..*expected.clone() });
            // Names in their order, and numbers as they were.
            assert_eq!(serde_json::to_string(alert).unwrap(), serde_json::to_string(&expected).unwrap());
        };
        let context =
            [("z", json!(0.1 + 0.2)), ("a", json!([1, -1, u64::MAX, "x", null])), ("m", json!({"b": 1.0, "a": 2}))];
        let alert = Alert {
            alert_id: "0".repeat(32),
            rule: "card-testing".to_owned(),
            rule_version: 3,
            plugin_version: "1.0.0".to_owned(),
            plugin_sha256: "f".repeat(64),
            severity: Severity::High,
            mode: AlertMode::Shadow,
            event_time: "2026-03-18T00:00:00.000Z".to_owned(),
            generated_at: "2026-03-18T00:00:01.000Z".to_owned(),
            key: Some("é".to_owned()),
            payment_id: None,
            order_id: None,
            customer_id: Some("c1".to_owned()),
            criteria: vec!["count".to_owned()],
            context: context.into_iter().map(|(name, value)| (Arc::from(name), value)).collect(),
            lists: Arc::new(BTreeMap::from([("bins".to_owned(), 7)])),
            personal: Personal::default(),
        };
        let personal = Personal { key: true, context: vec!["z".to_owned()] };
        check(Outcome::Alert(Box::new(Alert { lists: Arc::default(), ..alert.clone() }), Personal::default()));
        check(Outcome::Alert(Box::new(alert), personal));
        check(Outcome::Row(AggregateRow {
            name: "payments".to_owned(),
            window: "1m".to_owned(),
            window_start: -1,
            shadow: false,
            json: "{}".to_owned(),
        }));
        check(Outcome::Trip(Trip { rule: "a".to_owned(), version: 1, trial: true, reason: "r".to_owned() }));
        assert_eq!(Outcome::decode(b"\xff").unwrap_err().kind(), Kind::Corrupt);
    }
}
