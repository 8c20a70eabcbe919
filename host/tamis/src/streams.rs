//! `tamis run streams`: the topics of the home, or of Kafka, through its rules.

use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use tamis_connectors::kafka::{KafkaSink, KafkaSource, KafkaSourceSettings, KafkaTopics};
use tamis_connectors::topics::{ReaderSettings, WriterSettings};
use tamis_connectors::{
    AggregateFiles, AlertFiles, AlertRows, FileCheckpoints, SqliteWarehouse, TopicReader, TopicWriter,
};
use tamis_engine::outbox::Sinks;
use tamis_engine::report::{Progress, Report};
use tamis_engine::rules::{RuleSet, SHADOW_ALERTS};
use tamis_engine::stream::{Command, Stream, StreamParts, StreamSettings};
use tamis_engine::{Sink, Source, SystemClock};
use tamis_model::Result;
use tamis_model::alert::Alert;
use tamis_model::dead_letter::DEAD_LETTERS;
use tamis_model::record::Record;
use tokio::runtime::Handle;

use crate::plan::Plan;

/// The pipeline's name: in checkpoints, as the owner of the topics that it writes, and in the warehouse.
const PIPELINE: &str = "streams";
/// The same for the topics of Kafka, whose positions are others.
const KAFKA_PIPELINE: &str = "streams-kafka";

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
        if let Some(kafka) = &plan.kafka {
            KafkaTopics::new(kafka.connection.clone()).require(&topics(plan, &rules))?;
        }
        let mut stream = Stream::open(StreamParts {
            settings: StreamSettings {
                rows_max: plan.config.streams.rows_max,
                checkpoint_interval_ms: i64::try_from(plan.config.streams.checkpoint_interval_ms).unwrap_or(i64::MAX),
                bounded: until == Until::End,
                ..StreamSettings::default()
            },
            source: source(plan, until)?,
            schemas: plan.schemas.clone(),
            rules,
            sinks: sinks(plan, warehouse, runtime, also)?,
            checkpoints: Box::new(FileCheckpoints::open(plan.home.checkpoints(pipeline(plan)))?),
            clock: Arc::new(SystemClock),
        })?;
        let before = stream.report().clone();
        let report = stream.run(commands, observer)?;
        Ok(Finished { before, report })
    }
}

/// The topics that a home's streams read and write, each once.
pub fn topics(plan: &Plan, rules: &RuleSet) -> Vec<String> {
    let read = plan.schemas.iter().map(|schema| schema.name.as_str());
    let written = rules.rules.iter().map(|rule| rule.route.as_str()).chain([SHADOW_ALERTS, DEAD_LETTERS]);
    let mut topics: Vec<_> = read.chain(written).map(str::to_owned).collect();
    topics.sort_unstable();
    topics.dedup();
    topics
}

fn pipeline(plan: &Plan) -> &'static str {
    if plan.kafka.is_some() { KAFKA_PIPELINE } else { PIPELINE }
}

/// Where the records of a home's streams come from.
fn source(plan: &Plan, until: Until) -> Result<Box<dyn Source>> {
    let topics = plan.schemas.iter().map(|schema| schema.name.clone());
    Ok(match &plan.kafka {
        None => {
            let settings = ReaderSettings::new(topics);
            let settings = if until == Until::End { settings.until_end() } else { settings };
            Box::new(TopicReader::new(plan.home.topics(), settings)?)
        }
        Some(kafka) => {
            let settings = KafkaSourceSettings::new(topics, &kafka.group);
            let settings = if until == Until::End { settings.until_end() } else { settings };
            Box::new(KafkaSource::new(kafka.connection.clone(), settings))
        }
    })
}

/// Where the records that they write go.
fn records(plan: &Plan) -> Result<Box<dyn Sink<Record>>> {
    Ok(match &plan.kafka {
        None => {
            let partitions = plan.config.topics.iter().map(|(name, topic)| (name.clone(), topic.partitions)).collect();
            let settings = WriterSettings { partitions, ..WriterSettings::default() };
            Box::new(TopicWriter::open(plan.home.topics(), PIPELINE, settings)?)
        }
        Some(kafka) => Box::new(KafkaSink::at_least_once(&kafka.connection)?),
    })
}

/// Where the output of a home's streams goes.
fn sinks(
    plan: &Plan,
    warehouse: Arc<SqliteWarehouse>,
    runtime: Handle,
    also: Vec<(String, Box<dyn Sink<Alert>>)>,
) -> Result<Sinks> {
    let pipeline = pipeline(plan);
    let settle_after = Duration::from_millis(plan.config.streams.lake_interval_ms);
    let lake = AlertFiles::open(plan.home.lake().join("alerts"), pipeline, plan.pepper.clone(), settle_after)?;
    let mut alerts: Vec<(String, Box<dyn Sink<Alert>>)> = vec![
        ("lake".to_owned(), Box::new(lake)),
        ("warehouse".to_owned(), Box::new(AlertRows::new(warehouse, runtime, pipeline, plan.pepper.clone()))),
    ];
    alerts.extend(also);
    Ok(Sinks {
        records: records(plan)?,
        alerts,
        aggregates: Some(Box::new(AggregateFiles::open(&plan.home.lake(), pipeline, settle_after)?)),
    })
}
