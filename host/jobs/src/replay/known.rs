//! Alerts that are there already, by their ids, and sinks that pass on what is missing.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde::Deserialize;
use tamis_connectors::lake::alert_lines;
use tamis_connectors::topics::Topics;
use tamis_engine::{Settle, Sink, read_to_end};
use tamis_model::alert::Alert;
use tamis_model::dead_letter::DEAD_LETTERS;
use tamis_model::error::Context;
use tamis_model::position::Positions;
use tamis_model::record::Record;
use tamis_model::{Error, Kind, Result};

/// The header of alerts that a replay puts where no stream does; it says which.
const REPLAY: &str = "tamis.replay";
/// Ids that are kept in memory, some 32 bytes each.
const IDS_MAX: usize = 20_000_000;

/// The ids of the alerts in a place.
#[derive(Debug, Default)]
pub struct Known(BTreeSet<u128>);

#[derive(Deserialize)]
struct Identified {
    alert_id: String,
}

impl Known {
    /// Those in a topic; what is no alert is passed over. Returns how many records there are that no replay has written.
    pub fn in_topic(&mut self, topics: &Topics, topic: &str) -> Result<u64> {
        let mut source = topics.stretch(&[topic.to_owned()], None, None)?;
        source.open(&Positions::default())?;
        let mut foreign = 0;
        for partition in source.partitions()? {
            read_to_end(&mut *source, &partition, &mut |chunk| {
                for record in chunk.origins().map(|origin| chunk.record(origin)) {
                    foreign += u64::from(record.headers.iter().all(|(name, _)| name != REPLAY));
                    if let Some(id) = record.value.and_then(|value| alert_id(&value)) {
                        self.add(id)?;
                    }
                }
                Ok(())
            })?;
        }
        Ok(foreign)
    }

    /// Those of a rule in the lake's folder of alerts.
    pub fn in_lake(&mut self, alerts: &Path, rule: &str) -> Result<()> {
        alert_lines(alerts, rule, &mut |line| alert_id(line).map_or(Ok(()), |id| self.add(id)))
    }

    /// Whether an alert was not there, and is now.
    fn adds(&mut self, id: &str) -> Result<bool> {
        let id = u128::from_str_radix(id, 16).corrupt("read the id of alert", id)?;
        let is_new = !self.0.contains(&id);
        self.add(id)?;
        Ok(is_new)
    }

    fn add(&mut self, id: u128) -> Result<()> {
        if self.0.len() >= IDS_MAX && !self.0.contains(&id) {
            let reason = format!("there are more than {IDS_MAX} of them; replay fewer rules at a time");
            return Err(Error::new(Kind::Invalid, "compare with", "the alerts that are there").because(reason));
        }
        self.0.insert(id);
        Ok(())
    }
}

fn alert_id(json: &[u8]) -> Option<u128> {
    let identified: Identified = serde_json::from_slice(json).ok()?;
    u128::from_str_radix(&identified.alert_id, 16).ok()
}

/// How many alerts went to a place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WrittenCounts {
    /// They were missing.
    pub written: u64,
    /// They were there.
    pub there: u64,
}

/// The same, shared with who prints them.
pub type Written = Arc<Mutex<WrittenCounts>>;

/// A sink of records or alerts that passes on what is missing behind it. Of records, alerts go to their route or to another topic; dead
/// letters are left out: the run that was live has written them.
pub struct Redirected<T> {
    /// The sink behind.
    pub sink: Box<dyn Sink<T>>,
    /// What it holds.
    pub known: Known,
    /// Where all alerts go instead of to their routes.
    pub elsewhere: Option<Elsewhere>,
    /// What was passed on.
    pub written: Written,
}

/// A topic for the alerts of a replay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elsewhere {
    /// The topic.
    pub topic: String,
    /// The run that writes to it.
    pub run: String,
}

impl<T> Redirected<T> {
    fn is_missing(&mut self, id: &str) -> Result<bool> {
        let is_missing = self.known.adds(id)?;
        let mut counts = self.written.lock().expect("nobody panics with it");
        counts.written += u64::from(is_missing);
        counts.there += u64::from(!is_missing);
        Ok(is_missing)
    }
}

impl Sink<Record> for Redirected<Record> {
    fn write(&mut self, output: &[Record]) -> Result<()> {
        let mut missing = Vec::new();
        for record in output.iter().filter(|record| record.topic != DEAD_LETTERS) {
            let value = record.value.as_deref().unwrap_or_default();
            let identified: Identified =
                serde_json::from_slice(value).corrupt("read the id of an alert for", &record.topic)?;
            if self.is_missing(&identified.alert_id)? {
                let mut record = record.clone();
                if let Some(Elsewhere { topic, run }) = &self.elsewhere {
                    record.topic.clone_from(topic);
                    record.headers.push((REPLAY.to_owned(), run.clone().into_bytes()));
                }
                missing.push(record);
            }
        }
        self.sink.write(&missing)
    }

    fn stage(&mut self) -> Result<serde_json::Value> {
        self.sink.stage()
    }

    fn commit(&mut self, staged: &serde_json::Value) -> Result<()> {
        self.sink.commit(staged)
    }

    fn settle(&mut self, what: Settle) -> Result<()> {
        self.sink.settle(what)
    }
}

impl Sink<Alert> for Redirected<Alert> {
    fn write(&mut self, output: &[Alert]) -> Result<()> {
        let mut missing = Vec::new();
        for alert in output {
            if self.is_missing(&alert.alert_id)? {
                missing.push(alert.clone());
            }
        }
        self.sink.write(&missing)
    }

    fn stage(&mut self) -> Result<serde_json::Value> {
        self.sink.stage()
    }

    fn commit(&mut self, staged: &serde_json::Value) -> Result<()> {
        self.sink.commit(staged)
    }

    fn settle(&mut self, what: Settle) -> Result<()> {
        self.sink.settle(what)
    }
}
