//! `tamis run streams`: the topics of the home, or of Kafka, through its rules.

use std::num::NonZero;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use tamis_connectors::checkpoints::HomeMark;
use tamis_connectors::kafka::{
    KafkaChangelog, KafkaSink, KafkaSource, KafkaSourceSettings, KafkaTopics, KafkaTransactions,
};
use tamis_connectors::topics::{ReaderSettings, WriterSettings};
use tamis_connectors::{
    AggregateFiles, AlertFiles, AlertRows, FileCheckpoints, Influx, SqliteWarehouse, TopicReader, TopicWriter,
};
use tamis_engine::outbox::Sinks;
use tamis_engine::report::{Progress, Report};
use tamis_engine::rules::{RuleSet, SHADOW_ALERTS};
use tamis_engine::stream::{Command, Stream, StreamParts, StreamSettings};
use tamis_engine::{CheckpointStore, Decisions, Sink, Source, SystemClock, Watched};
use tamis_model::Result;
use tamis_model::aggregate::AggregateRow;
use tamis_model::alert::Alert;
use tamis_model::dead_letter::DEAD_LETTERS;
use tamis_model::record::Record;
use tokio::runtime::Handle;

use crate::kafka::{Delivery, KafkaPlan};
use crate::plan::Plan;

/// The pipeline's name: in checkpoints, as the owner of the topics that it writes, and in the warehouse.
pub(crate) const PIPELINE: &str = "streams";
/// The same for the topics of Kafka, whose positions are others.
const KAFKA_PIPELINE: &str = "streams-kafka";

/// The owner of topics of the home into which the host itself puts events: those of decisions, and the demo's.
pub(crate) const INLET: &str = "inlet";

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
        let Self { plan, rules, until, also, influx, decisions } = self;
        if let Some(kafka) = &plan.kafka {
            KafkaTopics::new(kafka.connection.clone()).require(&topics(plan, &rules))?;
        }
        let shards = plan.config.streams.shards.unwrap_or_else(cores).clamp(1, SHARDS_MAX);
        let pipeline = if plan.kafka.is_some() { KAFKA_PIPELINE } else { PIPELINE };
        let Ends { source, records, checkpoints } = ends(plan, until, shards)?;
        let mut stream = Stream::open(StreamParts {
            settings: StreamSettings {
                rows_max: plan.config.streams.rows_max,
                shards,
                checkpoint_interval_ms: i64::try_from(plan.checkpoint_interval_ms()).unwrap_or(i64::MAX),
                bounded: until == Until::End,
                ..StreamSettings::default()
            },
            source,
            schemas: plan.schemas.clone(),
            rules,
            sinks: sinks(plan, pipeline, records, Stores { warehouse, runtime, also, influx })?,
            checkpoints,
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

/// Where records come from and go to, and what remembers how far that is.
struct Ends {
    source: Box<dyn Source>,
    records: Box<dyn Sink<Record>>,
    checkpoints: Box<dyn CheckpointStore>,
}

fn ends(plan: &Plan, until: Until, shards: usize) -> Result<Ends> {
    match &plan.kafka {
        None => ends_in_home(plan, until, shards),
        Some(kafka) => ends_in_kafka(plan, kafka, until, shards),
    }
}

fn ends_in_home(plan: &Plan, until: Until, shards: usize) -> Result<Ends> {
    let read = ReaderSettings::new(plan.schemas.iter().map(|schema| schema.name.clone()));
    let read = if until == Until::End { read.until_end() } else { read };
    // Each shard has its own part of a chunk.
    let read = ReaderSettings { chunk_bytes: read.chunk_bytes * shards, ..read };
    Ok(Ends {
        source: Box::new(TopicReader::new(plan.home.topics(), read)?),
        records: Box::new(TopicWriter::open(plan.home.topics(), PIPELINE, writer_settings(plan))?),
        checkpoints: Box::new(FileCheckpoints::open(plan.home.checkpoints(PIPELINE))?),
    })
}

fn ends_in_kafka(plan: &Plan, kafka: &KafkaPlan, until: Until, shards: usize) -> Result<Ends> {
    let read = KafkaSourceSettings::new(plan.schemas.iter().map(|schema| schema.name.clone()), &kafka.group);
    let read = if until == Until::End { read.until_end() } else { read };
    let read = KafkaSourceSettings { chunk_bytes: read.chunk_bytes * shards, ..read };
    let connection = &kafka.connection;
    let source = KafkaSource::new(connection.clone(), read);
    let name = format!("{}.streams", kafka.group);
    let kept_in = match kafka.delivery {
        Delivery::AtLeastOnce => "this home".to_owned(),
        Delivery::ExactlyOnce => format!("the topic of {name}"),
    };
    let mark = home_mark(plan, kafka, KAFKA_PIPELINE, &kept_in)?;
    let (records, checkpoints): (_, Box<dyn CheckpointStore>) = match kafka.delivery {
        Delivery::AtLeastOnce => (
            KafkaSink::at_least_once(connection)?,
            Box::new(FileCheckpoints::open(plan.home.checkpoints(KAFKA_PIPELINE))?),
        ),
        Delivery::ExactlyOnce => {
            let transactions = KafkaTransactions::open(connection, &name, kafka.transaction_max)?;
            let (topic, replication) = (format!("{name}.changelog"), kafka.topics.replication);
            let (connection, group) = (connection.clone(), source.group());
            let changelog = KafkaChangelog::open(connection, &topic, replication, transactions.clone(), group)?;
            (KafkaSink::exactly_once(transactions), Box::new(changelog))
        }
    };
    let mut checkpoints = mark.checkpoints(checkpoints);
    if !checkpoints.goes_on()? {
        AlertFiles::deal_left(plan.home.lake().join("alerts"), KAFKA_PIPELINE)?;
        AggregateFiles::deal_left(&plan.home.lake(), KAFKA_PIPELINE)?;
    }
    Ok(Ends { source: Box::new(source), records: mark.sink(records), checkpoints: Box::new(checkpoints) })
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
        ("lake".to_owned(), Box::new(lake)),
        ("warehouse".to_owned(), Box::new(AlertRows::new(warehouse, runtime, pipeline, plan.pepper.clone()))),
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
