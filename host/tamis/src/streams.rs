//! `tamis run streams`: the topics of the home, or of Kafka, through its rules.

use std::num::NonZero;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use tamis_connectors::checkpoints::HomeMark;
use tamis_connectors::kafka::{
    KafkaChangelog, KafkaGroup, KafkaSink, KafkaSource, KafkaSourceSettings, KafkaTopics, KafkaTransactions,
};
use tamis_connectors::topics::{ReaderSettings, WriterSettings};
use tamis_connectors::{
    AggregateFiles, AlertFiles, AlertRows, FileCheckpoints, Influx, SqliteWarehouse, TopicReader, TopicWriter,
};
use tamis_engine::report::{Progress, Report};
use tamis_engine::rules::{RuleSet, SHADOW_ALERTS};
use tamis_engine::sinks::Sinks;
use tamis_engine::stream::{Command, Stream, StreamParts, StreamSettings};
use tamis_engine::{CheckpointStore, Decisions, Restoring, Sink, Source, SystemClock, Told, Watched};
use tamis_model::Result;
use tamis_model::aggregate::AggregateRow;
use tamis_model::alert::Alert;
use tamis_model::dead_letter::DEAD_LETTERS;
use tamis_model::record::Record;
use tokio::runtime::Handle;

use crate::kafka::{Delivery, KafkaPlan};
use crate::plan::Plan;

/// The pipeline's name: in checkpoints, as the owner of the topics that it writes, and in the warehouse.
const PIPELINE: &str = "streams";
/// The same for the topics of Kafka, whose positions are others.
const KAFKA_PIPELINE: &str = "streams-kafka";

/// The owner of topics of the home into which the host itself puts events: those of decisions, and the demo's.
pub(crate) const INLET: &str = "inlet";

/// The lake, as checkpoints name it among the sinks of alerts.
pub(crate) const LAKE: &str = "lake";
/// The warehouse, in the same way.
pub(crate) const WAREHOUSE: &str = "warehouse";

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

/// Who looks on while streams run, besides the one to whom each step is shown.
pub(crate) struct Onlookers {
    /// Who sees every alert besides topic, lake and warehouse.
    pub alerts: Vec<(String, Box<dyn Sink<Alert>>)>,
    /// Who is told how far the streams have come in taking their state back.
    pub restoring: Box<dyn FnMut(Restoring) + Send>,
}

impl Default for Onlookers {
    /// Nobody.
    fn default() -> Self {
        Self { alerts: Vec::new(), restoring: Box::new(|_| {}) }
    }
}

/// A run of the streams of a home.
pub(crate) struct StreamRun<'a> {
    /// The home and how it works.
    pub plan: &'a Plan,
    /// The rules to begin with.
    pub rules: RuleSet,
    /// Until when.
    pub until: Until,
    /// Who looks on.
    pub onlookers: Onlookers,
    /// Who sees every row of aggregates besides the lake.
    pub influx: Option<Influx>,
    /// Who waits for what it makes of single records.
    pub decisions: Decisions,
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
        let Self { plan, rules, until, onlookers, influx, decisions } = self;
        let Onlookers { alerts, restoring } = onlookers;
        if let Some(kafka) = &plan.kafka {
            KafkaTopics::new(kafka.connection.clone()).require(&topics(plan, &rules))?;
        }
        let shards = plan.config.streams.shards.unwrap_or_else(cores).clamp(1, SHARDS_MAX);
        let (source, Outlet { records, checkpoints }) = ends(plan, until, shards)?;
        let mut stream = Stream::open(StreamParts {
            settings: StreamSettings {
                rows_max: plan.config.streams.rows_max,
                shards,
                checkpoint_interval_ms: i64::try_from(plan.checkpoint_interval_ms()).unwrap_or(i64::MAX),
                bounded: until == Until::End,
                commits: plan.kafka.as_ref().map_or(Delivery::AtLeastOnce, |kafka| kafka.delivery).commits(),
                ..StreamSettings::default()
            },
            source,
            schemas: plan.schemas.clone(),
            rules,
            sinks: sinks(plan, pipeline(plan), records, Stores { warehouse, runtime, also: alerts, influx })?,
            checkpoints: Box::new(Told { store: checkpoints, tell: restoring }),
            clock: Arc::new(SystemClock),
            decisions,
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

/// The topics that a home's streams read and write, each once.
pub fn topics(plan: &Plan, rules: &RuleSet) -> Vec<String> {
    let read = plan.schemas.iter().map(|schema| schema.name.as_str());
    let written = rules.rules.iter().map(|rule| rule.route.as_str()).chain([SHADOW_ALERTS, DEAD_LETTERS]);
    let mut topics: Vec<_> = read.chain(written).map(str::to_owned).collect();
    topics.sort_unstable();
    topics.dedup();
    topics
}

/// The name under which checkpoints, lake and warehouse know the streams of a home.
pub(crate) fn pipeline(plan: &Plan) -> &'static str {
    if plan.kafka.is_some() { KAFKA_PIPELINE } else { PIPELINE }
}

/// Where records come from, where they go, and what remembers how far that is.
fn ends(plan: &Plan, until: Until, shards: usize) -> Result<(Box<dyn Source>, Outlet)> {
    let topics = plan.schemas.iter().map(|schema| schema.name.clone());
    match &plan.kafka {
        None => {
            let read = ReaderSettings::new(topics);
            let read = if until == Until::End { read.until_end() } else { read };
            // Each shard has its own part of a chunk.
            let read = ReaderSettings { chunk_bytes: read.chunk_bytes * shards, ..read };
            Ok((Box::new(TopicReader::new(plan.home.topics(), read)?), outlet(plan, None)?))
        }
        Some(kafka) => {
            let read = KafkaSourceSettings::new(topics, &kafka.group);
            let read = if until == Until::End { read.until_end() } else { read };
            let read = KafkaSourceSettings { chunk_bytes: read.chunk_bytes * shards, ..read };
            let source = KafkaSource::new(kafka.connection.clone(), read);
            let outlet = outlet(plan, Some(source.group()))?;
            Ok((Box::new(source), outlet))
        }
    }
}

/// Where the records of a home's streams go, and what remembers how far they are.
pub(crate) struct Outlet {
    pub records: Box<dyn Sink<Record>>,
    pub checkpoints: Box<dyn CheckpointStore>,
}

/// That of the streams of this home. `group` is told the positions, if any is. With `exactly_once` whoever had it before is fenced.
pub(crate) fn outlet(plan: &Plan, group: Option<KafkaGroup>) -> Result<Outlet> {
    let in_home = || FileCheckpoints::open(plan.home.checkpoints(pipeline(plan)));
    let Some(kafka) = &plan.kafka else {
        let records = Box::new(TopicWriter::open(plan.home.topics(), PIPELINE, writer_settings(plan))?);
        return Ok(Outlet { records, checkpoints: Box::new(in_home()?) });
    };
    let connection = &kafka.connection;
    let name = format!("{}.streams", kafka.group);
    let kept_in = match kafka.delivery {
        Delivery::AtLeastOnce => "this home".to_owned(),
        Delivery::ExactlyOnce => format!("the topic of {name}"),
    };
    let mark = home_mark(plan, kafka, KAFKA_PIPELINE, &kept_in)?;
    let (records, checkpoints): (_, Box<dyn CheckpointStore>) = match kafka.delivery {
        Delivery::AtLeastOnce => (KafkaSink::at_least_once(connection)?, Box::new(in_home()?)),
        Delivery::ExactlyOnce => {
            let transactions = KafkaTransactions::open(connection, &name, kafka.transaction_max)?;
            let (topic, replication) = (format!("{name}.changelog"), kafka.topics.replication);
            let changelog = KafkaChangelog::open(connection.clone(), &topic, replication, transactions.clone(), group)?;
            (KafkaSink::exactly_once(transactions), Box::new(changelog))
        }
    };
    let mut checkpoints = mark.checkpoints(checkpoints);
    if !checkpoints.goes_on()? {
        AlertFiles::deal_left(plan.home.lake().join("alerts"), KAFKA_PIPELINE)?;
        AggregateFiles::deal_left(&plan.home.lake(), KAFKA_PIPELINE)?;
    }
    Ok(Outlet { records: mark.sink(records), checkpoints: Box::new(checkpoints) })
}

/// The home's mark for a pipeline over this cluster; an error when it is another cluster's.
pub(crate) fn home_mark(plan: &Plan, kafka: &KafkaPlan, pipeline: &str, kept_in: &str) -> Result<HomeMark> {
    let file = plan.home.checkpoints(pipeline).with_extension("json");
    let cluster = KafkaTopics::new(kafka.connection.clone()).cluster_id()?;
    HomeMark::open(&file, &cluster, kept_in, tamis_jobs::nightly::run_id(&SystemClock))
}

/// How topics are laid out that are written to.
pub(crate) fn writer_settings(plan: &Plan) -> WriterSettings {
    let partitions = plan.config.topics.iter().map(|(name, topic)| (name.clone(), topic.partitions)).collect();
    WriterSettings { partitions, ..WriterSettings::default() }
}

/// What a home keeps of its streams' output.
pub(crate) struct Stores {
    pub warehouse: Arc<SqliteWarehouse>,
    /// The sinks block on it.
    pub runtime: Handle,
    /// Who sees every alert besides.
    pub also: Vec<(String, Box<dyn Sink<Alert>>)>,
    /// Who sees every row of aggregates besides.
    pub influx: Option<Influx>,
}

/// Where the output of a home's streams goes. `pipeline` is the name under which lake and warehouse know whose it is.
pub(crate) fn sinks(plan: &Plan, pipeline: &str, records: Box<dyn Sink<Record>>, stores: Stores) -> Result<Sinks> {
    let Stores { warehouse, runtime, also, influx } = stores;
    let settle_after = Duration::from_millis(plan.config.streams.lake_interval_ms);
    let lake = AlertFiles::open(plan.home.lake().join("alerts"), pipeline, plan.pepper.clone(), settle_after)?;
    let mut alerts: Vec<(String, Box<dyn Sink<Alert>>)> = vec![
        (LAKE.to_owned(), Box::new(lake)),
        (WAREHOUSE.to_owned(), Box::new(AlertRows::new(warehouse, runtime, pipeline, plan.pepper.clone()))),
    ];
    alerts.extend(also);
    let aggregates: Box<dyn Sink<AggregateRow>> =
        Box::new(AggregateFiles::open(&plan.home.lake(), pipeline, settle_after)?);
    Ok(Sinks {
        records,
        alerts,
        aggregates: Some(match influx {
            Some(influx) => Box::new(Watched { sink: aggregates, watcher: Box::new(influx) }),
            None => aggregates,
        }),
    })
}
