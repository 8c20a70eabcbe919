//! What the tasks of a group raise, from its topic to lake and warehouse, each once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tamis_connectors::FileCheckpoints;
use tamis_connectors::kafka::{KafkaSource, KafkaSourceSettings};
use tamis_engine::rules::Trip;
use tamis_engine::{Checkpoint, CheckpointStore, Chunk, Clock, Read, Settle, Sinks, Source, SystemClock, Unstaged};
use tamis_model::Result;
use tamis_model::aggregate::AggregateRow;
use tamis_model::alert::Alert;
use tamis_model::error::Context as _;
use tamis_model::position::{Partition, Positions};
use tamis_model::record::Record;
use tamis_model::time::Millis;
use tokio::runtime::Handle;

use super::Topics;
use super::outcome::Outcome;
use crate::host::Host;
use crate::kafka::KafkaPlan;
use crate::streams::{Stores, home_mark, sinks};

/// The name under which lake and warehouse know whose output it is.
const PIPELINE: &str = "delivery";
/// Between two looks at a topic that has nothing new.
const LOOK_EVERY_MS: u64 = 20;
/// Between two checkpoints.
const CHECKPOINT_EVERY_MS: Millis = 1_000;

/// Delivers until `stop` is set.
pub(crate) fn deliver(host: &Host, kafka: &KafkaPlan, runtime: &Handle, stop: &AtomicBool) -> Result<()> {
    let mut delivery = Delivery::open(host, kafka, runtime)?;
    let mut chunk = Chunk::default();
    while !stop.load(Ordering::Relaxed) {
        match delivery.source.read(&delivery.partition, &mut chunk)? {
            Read::Records => delivery.take(&chunk)?,
            _ => SystemClock.sleep(LOOK_EVERY_MS),
        }
        if SystemClock.now() - delivery.saved_at >= CHECKPOINT_EVERY_MS {
            delivery.save()?;
            delivery.sinks.settle(Settle::Due)?;
        }
    }
    delivery.save()?;
    delivery.sinks.settle(Settle::All)
}

struct Delivery {
    source: KafkaSource,
    /// The only one of the topic.
    partition: Partition,
    sinks: Sinks,
    checkpoints: FileCheckpoints,
    /// The next one.
    checkpoint: Checkpoint,
    saved_at: Millis,
    has_news: bool,
    host: Host,
    runtime: Handle,
}

impl Delivery {
    /// Goes on at the last checkpoint.
    fn open(host: &Host, kafka: &KafkaPlan, runtime: &Handle) -> Result<Self> {
        let topic = Topics::of(kafka).outcomes;
        let partition = Partition { topic: topic.clone(), number: 0 };
        let stores = Stores {
            warehouse: Arc::clone(&host.warehouse),
            runtime: runtime.clone(),
            also: Vec::new(),
            influx: host.influx.clone(),
        };
        // Where records went to, their tasks have written.
        let records = Box::new(Unstaged(|_: &[Record]| Ok(())));
        let mut sinks = sinks(&host.plan, PIPELINE, records, stores)?;
        home_mark(&host.plan, kafka, PIPELINE, "this home")?;
        let mut checkpoints = FileCheckpoints::open(host.plan.home.checkpoints(PIPELINE))?;
        let last = checkpoints.latest()?;
        if let Some(last) = &last {
            sinks.commit(&last.staged)?;
        }
        let checkpoint = last.map_or_else(Checkpoint::default, |last| Checkpoint { number: last.number + 1, ..last });
        let mut source = KafkaSource::new(
            kafka.connection.clone(),
            KafkaSourceSettings::new([topic], format!("{}.{PIPELINE}", kafka.group)),
        );
        source.open(&checkpoint.positions)?;
        let (host, runtime, saved_at) = (host.clone(), runtime.clone(), SystemClock.now());
        let mut delivery =
            Self { source, partition, sinks, checkpoints, checkpoint, saved_at, has_news: false, host, runtime };
        if delivery.checkpoint.number == 0 {
            // So that everything written later can be undone.
            delivery.has_news = true;
            delivery.save()?;
        }
        Ok(delivery)
    }

    fn take(&mut self, chunk: &Chunk) -> Result<()> {
        let (mut alerts, mut rows): (Vec<Alert>, Vec<AggregateRow>) = Default::default();
        for record in chunk.framed() {
            let place = || format!("{} offset {}", self.partition, record.offset);
            match Outcome::decode(record.value.unwrap_or_default()).corrupt("deliver", place())? {
                Outcome::Alert(alert, _) => alerts.push(*alert),
                Outcome::Row(row) => rows.push(row),
                Outcome::Trip(trip) => self.record(&trip)?,
            }
            self.checkpoint.positions.set(&self.partition, record.offset + 1);
        }
        self.has_news = true;
        if !alerts.is_empty() {
            self.sinks.alerts.iter_mut().try_for_each(|(_, sink)| sink.write(&alerts))?;
        }
        match &mut self.sinks.aggregates {
            Some(sink) if !rows.is_empty() => sink.write(&rows),
            _ => Ok(()),
        }
    }

    /// The registry takes a version that was stopped out of the rules of all hosts. One that is not there any more is nobody's concern.
    fn record(&self, trip: &Trip) -> Result<()> {
        let recorded = self.runtime.block_on(self.host.registry.record_trip(trip, SystemClock.now()));
        match recorded {
            Err(error) if !error.can_retry() => {
                tracing::error!("{}", error.chain());
                Ok(())
            }
            recorded => recorded,
        }
    }

    fn save(&mut self) -> Result<()> {
        self.saved_at = SystemClock.now();
        // Behind the last outcome stands the mark of its transaction, which retention may leave nothing of but where it was.
        let mut positions = self.checkpoint.positions.clone();
        self.source.note(&mut positions);
        if !std::mem::take(&mut self.has_news) && positions == self.checkpoint.positions {
            return Ok(());
        }
        self.checkpoint.positions = positions;
        self.checkpoint.staged.clear();
        self.sinks.save(&mut self.checkpoints, &mut self.checkpoint)?;
        self.checkpoint.number += 1;
        let positions: &Positions = &self.checkpoint.positions;
        self.source.release(positions)
    }
}
