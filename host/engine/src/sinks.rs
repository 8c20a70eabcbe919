//! All the sinks of a stream, as one.

use std::collections::BTreeMap;
use std::{iter, mem, thread};

use tamis_model::aggregate::AggregateRow;
use tamis_model::alert::Alert;
use tamis_model::record::Record;
use tamis_model::{Error, Result};

use crate::checkpoint::{Checkpoint, CheckpointStore};
use crate::sink::{Settle, Sink, Unstaged};

/// Where the output of a stream goes. All are named in checkpoints.
pub struct Sinks {
    /// Alerts on their routes, and dead letters.
    pub records: Box<dyn Sink<Record>>,
    /// Where alerts go besides, each by the name that stands in checkpoints.
    pub alerts: Vec<(String, Box<dyn Sink<Alert>>)>,
    /// Where the rows of aggregates go; without it there may be no rule that emits rows.
    pub aggregates: Option<Box<dyn Sink<AggregateRow>>>,
}

/// The name of the record sink in checkpoints.
pub const RECORDS: &str = "records";
const AGGREGATES: &str = "aggregates";
/// About what an alert or a row takes, and a record beside its value.
const BYTES_BESIDE: usize = 1 << 10;

/// What is on its way to the sinks.
#[derive(Default)]
pub(crate) struct Output {
    pub records: Vec<Record>,
    pub alerts: Vec<Alert>,
    pub aggregates: Vec<AggregateRow>,
}

impl Output {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty() && self.alerts.is_empty() && self.aggregates.is_empty()
    }

    /// About how much memory it takes.
    pub fn bytes(&self) -> usize {
        let values: usize = self.records.iter().filter_map(|record| record.value.as_ref()).map(Vec::len).sum();
        values + (self.records.len() + self.alerts.len() + self.aggregates.len()) * BYTES_BESIDE
    }

    /// Forgets it and keeps the room.
    pub fn clear(&mut self) {
        let Self { records, alerts, aggregates } = self;
        records.clear();
        alerts.clear();
        aggregates.clear();
    }
}

impl Sinks {
    /// Gives everything to the sinks. Rows of aggregates go nowhere when there is no sink for them.
    pub(crate) fn write(&mut self, output: &Output) -> Result<()> {
        if !output.records.is_empty() {
            self.records.write(&output.records)?;
        }
        if !output.alerts.is_empty() {
            self.alerts.iter_mut().try_for_each(|(_, sink)| sink.write(&output.alerts))?;
        }
        match &mut self.aggregates {
            Some(sink) if !output.aggregates.is_empty() => sink.write(&output.aggregates),
            _ => Ok(()),
        }
    }

    /// Stages them all at a time, as each waits for the disk. What they staged by their names in checkpoints.
    fn stage(&mut self) -> Result<BTreeMap<String, serde_json::Value>> {
        let Self { records, alerts, aggregates } = self;
        thread::scope(|scope| {
            let alerts = alerts.iter_mut().map(|(name, sink)| (alert_sink(name), scope.spawn(|| sink.stage())));
            let aggregates = aggregates.iter_mut().map(|sink| (AGGREGATES.to_owned(), scope.spawn(|| sink.stage())));
            // They begin before this thread does its own part.
            let beside: Vec<_> = alerts.chain(aggregates).collect();
            let records = records.stage();
            let beside =
                beside.into_iter().map(|(name, staging)| (name, staging.join().expect("a sink does not panic")));
            let all = iter::once((RECORDS.to_owned(), records)).chain(beside.collect::<Vec<_>>());
            all.map(|(name, staged)| Ok((name, staged?))).collect()
        })
    }

    /// Stages them all, saves the checkpoint with what they staged, and commits that. What stands in the checkpoint already, of sinks
    /// that are not among these, stays there.
    pub fn save(&mut self, store: &mut dyn CheckpointStore, checkpoint: &mut Checkpoint) -> Result<()> {
        let mut staged = self.stage()?;
        staged.append(&mut checkpoint.staged);
        checkpoint.staged = staged;
        store.save(checkpoint)?;
        self.commit(&checkpoint.staged).map(drop)
    }

    /// Commits what a checkpoint says was staged. Returns whether it knows every sink.
    pub fn commit(&mut self, staged: &BTreeMap<String, serde_json::Value>) -> Result<bool> {
        let with_output = staged.iter().filter(|(_, staged)| !staged.is_null());
        let mut unknown: Vec<_> = with_output.map(|(name, _)| name).collect();
        let mut complete = true;
        let mut find = |name: &str| {
            unknown.retain(|other| *other != name);
            let staged = staged.get(name);
            complete &= staged.is_some();
            staged
        };
        if let Some(staged) = find(RECORDS) {
            self.records.commit(staged)?;
        }
        for (name, sink) in &mut self.alerts {
            if let Some(staged) = find(&alert_sink(name)) {
                sink.commit(staged)?;
            }
        }
        if let Some(sink) = &mut self.aggregates
            && let Some(staged) = find(AGGREGATES)
        {
            sink.commit(staged)?;
        }
        match unknown.first() {
            Some(name) => {
                Err(Error::invalid("go on with", format!("sink {name}"), "it has staged output and is not there"))
            }
            None => Ok(complete),
        }
    }

    /// Makes visible what sinks have gathered. Nothing was written since the last commit.
    pub fn settle(&mut self, what: Settle) -> Result<()> {
        self.records.settle(what)?;
        self.alerts.iter_mut().try_for_each(|(_, sink)| sink.settle(what))?;
        self.aggregates.iter_mut().try_for_each(|sink| sink.settle(what))
    }

    /// Takes the sink of records out; what these sinks get of them from now on goes nowhere.
    pub(crate) fn take_records(&mut self) -> Box<dyn Sink<Record>> {
        mem::replace(&mut self.records, Box::new(Unstaged(|_: &[Record]| Ok(()))))
    }
}

/// The name in checkpoints of a sink of alerts.
pub fn alert_sink(name: &str) -> String {
    format!("alerts/{name}")
}
