//! Alerts that are there already, by their ids, and sinks that pass on what is missing.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde::Deserialize;
use tamis_connectors::TopicReader;
use tamis_connectors::lake::alert_lines;
use tamis_connectors::topics::ReaderSettings;
use tamis_engine::{Chunk, Read, Settle, Sink, Source};
use tamis_model::alert::Alert;
use tamis_model::dead_letter::DEAD_LETTERS;
use tamis_model::error::Context;
use tamis_model::position::Positions;
use tamis_model::record::Record;
use tamis_model::{Error, Kind, Result};

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
    /// Those in a topic; what is no alert is passed over.
    pub fn in_topic(&mut self, topics: &Path, topic: &str) -> Result<()> {
        let mut source = TopicReader::new(topics, ReaderSettings::new([topic]).until_end())?;
        source.open(&Positions::default())?;
        let mut chunk = Chunk::default();
        for partition in source.partitions()? {
            while source.read(&partition, &mut chunk)? == Read::Records {
                let values = chunk.origins().filter_map(|origin| chunk.record(origin).value);
                for id in values.filter_map(|value| alert_id(&value)) {
                    self.add(id)?;
                }
            }
        }
        Ok(())
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
pub struct Redirected<S> {
    /// The sink behind.
    pub sink: S,
    /// What it holds.
    pub known: Known,
    /// The topic that all alerts go to.
    pub topic: Option<String>,
    /// What was passed on.
    pub written: Written,
}

impl<S> Redirected<S> {
    fn is_missing(&mut self, id: &str) -> Result<bool> {
        let is_missing = self.known.adds(id)?;
        let mut counts = self.written.lock().expect("nobody panics with it");
        counts.written += u64::from(is_missing);
        counts.there += u64::from(!is_missing);
        Ok(is_missing)
    }
}

impl<S: Sink<Record>> Sink<Record> for Redirected<S> {
    fn write(&mut self, output: &[Record]) -> Result<()> {
        let mut missing = Vec::new();
        for record in output.iter().filter(|record| record.topic != DEAD_LETTERS) {
            let value = record.value.as_deref().unwrap_or_default();
            let identified: Identified =
                serde_json::from_slice(value).corrupt("read the id of an alert for", &record.topic)?;
            if self.is_missing(&identified.alert_id)? {
                let topic = self.topic.clone().unwrap_or_else(|| record.topic.clone());
                missing.push(Record { topic, ..record.clone() });
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

impl<S: Sink<Alert>> Sink<Alert> for Redirected<S> {
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
