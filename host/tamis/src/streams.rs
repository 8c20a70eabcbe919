//! `tamis run streams`: the topics of the home through its rules.

use std::num::NonZero;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use tamis_connectors::topics::{ReaderSettings, WriterSettings};
use tamis_connectors::{
    AggregateFiles, AlertFiles, AlertRows, FileCheckpoints, SqliteWarehouse, TopicReader, TopicWriter,
};
use tamis_engine::outbox::Sinks;
use tamis_engine::report::{Progress, Report};
use tamis_engine::rules::RuleSet;
use tamis_engine::stream::{Command, Stream, StreamParts, StreamSettings};
use tamis_engine::{Sink, SystemClock};
use tamis_model::Result;
use tamis_model::alert::Alert;
use tokio::runtime::Handle;

use crate::plan::Plan;

/// The pipeline's name: in checkpoints, as the owner of the topics that it writes, and in the warehouse.
pub(crate) const PIPELINE: &str = "streams";

/// More shards than this gain nothing: what they share would hold them up.
const SHARDS_MAX: usize = 32;

/// Until when topics are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// To where they end now; then all windows close.
    End,
    /// Until somebody says stop.
    Stopped,
}

/// What a run of the streams came to. Both reports count from the first run on.
pub struct Finished {
    /// As it stood when this run began.
    pub before: Report,
    /// As it stands now.
    pub report: Report,
}

/// A run of the streams of a home.
pub struct StreamRun<'a> {
    /// The home and how it works.
    pub plan: &'a Plan,
    /// The rules to begin with.
    pub rules: RuleSet,
    /// Until when.
    pub until: Until,
    /// Who sees every alert besides topic, lake and warehouse.
    pub also: Vec<(String, Box<dyn Sink<Alert>>)>,
}

impl StreamRun<'_> {
    /// Runs the streams. Must not be called on a thread of `runtime`: sinks block on it.
    pub fn run(
        self,
        warehouse: Arc<SqliteWarehouse>,
        runtime: Handle,
        commands: &Receiver<Command>,
        observer: &mut dyn FnMut(&Progress<'_>),
    ) -> Result<Finished> {
        let Self { plan, rules, until, also } = self;
        let topics = ReaderSettings::new(plan.schemas.iter().map(|schema| schema.name.clone()));
        let topics = if until == Until::End { topics.until_end() } else { topics };
        let shards = plan.config.streams.shards.unwrap_or_else(cores).clamp(1, SHARDS_MAX);
        // Each shard has its own part of a chunk.
        let topics = ReaderSettings { chunk_bytes: topics.chunk_bytes * shards, ..topics };
        let mut stream = Stream::open(StreamParts {
            settings: StreamSettings {
                rows_max: plan.config.streams.rows_max,
                shards,
                checkpoint_interval_ms: i64::try_from(plan.config.streams.checkpoint_interval_ms).unwrap_or(i64::MAX),
                bounded: until == Until::End,
                ..StreamSettings::default()
            },
            source: Box::new(TopicReader::new(plan.home.topics(), topics)?),
            schemas: plan.schemas.clone(),
            rules,
            sinks: sinks(plan, warehouse, runtime, also)?,
            checkpoints: Box::new(FileCheckpoints::open(plan.home.checkpoints(PIPELINE))?),
            clock: Arc::new(SystemClock),
        })?;
        let before = stream.report().clone();
        let report = stream.run(commands, observer)?;
        Ok(Finished { before, report })
    }
}

/// How many threads the machine can run at a time.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// How topics are laid out that are written to.
pub(crate) fn writer_settings(plan: &Plan) -> WriterSettings {
    let partitions = plan.config.topics.iter().map(|(name, topic)| (name.clone(), topic.partitions)).collect();
    WriterSettings { partitions, ..WriterSettings::default() }
}

/// Where the output of a home's streams goes.
fn sinks(
    plan: &Plan,
    warehouse: Arc<SqliteWarehouse>,
    runtime: Handle,
    also: Vec<(String, Box<dyn Sink<Alert>>)>,
) -> Result<Sinks> {
    let writer = writer_settings(plan);
    let settle_after = Duration::from_millis(plan.config.streams.lake_interval_ms);
    let lake = AlertFiles::open(plan.home.lake().join("alerts"), PIPELINE, plan.pepper.clone(), settle_after)?;
    let mut alerts: Vec<(String, Box<dyn Sink<Alert>>)> = vec![
        ("lake".to_owned(), Box::new(lake)),
        ("warehouse".to_owned(), Box::new(AlertRows::new(warehouse, runtime, PIPELINE, plan.pepper.clone()))),
    ];
    alerts.extend(also);
    Ok(Sinks {
        records: Box::new(TopicWriter::open(plan.home.topics(), PIPELINE, writer)?),
        alerts,
        aggregates: Some(Box::new(AggregateFiles::open(&plan.home.lake(), PIPELINE, settle_after)?)),
    })
}
