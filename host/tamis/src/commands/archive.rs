//! `tamis run archive`: what the topics hold, into Bronze.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde::Serialize;
use tamis_catalog::run_details::RunFile;
use tamis_catalog::runs::{RunEnd, RunState};
use tamis_connectors::kafka::{KafkaSource, KafkaSourceSettings, KafkaTopics};
use tamis_connectors::lake::{ArchiveSettings, ArchiveWriter, ORIGIN_HOME};
use tamis_connectors::topics::ReaderSettings;
use tamis_connectors::{FileCheckpoints, ProcessLock, TopicReader};
use tamis_engine::{Clock, Source, SystemClock};
use tamis_jobs::archive::{Archive, ArchiveReport};
use tamis_model::Result;
use tamis_model::accounting::RowCounts;
use tamis_model::error::Context;
use tamis_model::time::utc_date;
use tokio::runtime::Handle;

use super::runtime;
use crate::home::Home;
use crate::host::Host;
use crate::plan::Plan;
use crate::streams::Until;
use crate::table::{Row, grouped, print};

/// The job's name, and that of its checkpoints.
const JOB: &str = "archive";
/// The name of its checkpoints for the topics of Kafka, whose positions are others.
const KAFKA_JOB: &str = "archive-kafka";

/// What was archived of a topic.
#[derive(Debug, Serialize)]
struct TopicRow {
    topic: String,
    objects: u64,
    records: u64,
}

impl Row for TopicRow {
    const HEAD: &'static [&'static str] = &["TOPIC", "#OBJECTS", "#RECORDS"];

    fn cells(&self) -> Vec<String> {
        vec![self.topic.clone(), grouped(self.objects), grouped(self.records)]
    }
}

/// The command: archives to where the topics end now.
pub fn command(home: Home, brokers: Option<String>, json: bool) -> Result<ExitCode> {
    let runtime = runtime()?;
    let host = runtime.block_on(Host::open(Plan::new(home, None)?.with_brokers(brokers)?))?;
    let held = lock(&host.plan.home)?;
    let report = run_archive(&host, &held, runtime.handle(), Until::End, &AtomicBool::new(false))?;
    let row = |(topic, archived): (String, _)| {
        let tamis_jobs::archive::Archived { objects, records } = archived;
        TopicRow { topic, objects, records }
    };
    print(&report.into_iter().map(row).collect::<Vec<_>>(), json).outage("write to", "standard output")?;
    Ok(ExitCode::SUCCESS)
}

/// The right to write the archive of a home.
pub(crate) fn lock(home: &Home) -> Result<ProcessLock> {
    ProcessLock::acquire(&home.root().join("archive.lock"), "another run is at work")
}

/// Archives the topics of a home as a run of the catalogue, while its `lock` is held, until they end or `stop` is set. Must not be called
/// on a thread of `runtime`.
pub(crate) fn run_archive(
    host: &Host,
    _held: &ProcessLock,
    runtime: &Handle,
    until: Until,
    stop: &AtomicBool,
) -> Result<ArchiveReport> {
    let catalog = host.catalog();
    let started = SystemClock.now();
    let id = tamis_jobs::nightly::run_id(&SystemClock);
    runtime.block_on(catalog.start_run(&id, JOB, &utc_date(started), started))?;
    let mut report = ArchiveReport::new();
    let result = archive(&host.plan, until).and_then(|archive| archive.run(stop, &mut report));
    let recorded = runtime.block_on(catalog.record_source(&id, &accounts(&report), &[]));
    let result = result.and(recorded);
    let (state, error) = match &result {
        Ok(()) => (RunState::Succeeded, None),
        Err(error) => (RunState::Failed, Some(error.chain())),
    };
    let closed =
        runtime.block_on(catalog.finish_run(&id, &RunEnd { state, quality_score: None, error }, SystemClock.now()));
    result.and(closed).map(|()| report)
}

fn archive(plan: &Plan, until: Until) -> Result<Archive> {
    let config = &plan.config.archive;
    let (source, checkpoints, origin): (Box<dyn Source>, _, _) = match &plan.kafka {
        None => {
            let topics = ReaderSettings::new(&config.topics);
            let topics = if until == Until::End { topics.until_end() } else { topics };
            (Box::new(TopicReader::new(plan.home.topics(), topics)?), JOB, ORIGIN_HOME.to_owned())
        }
        Some(kafka) => {
            let group = format!("{}.{JOB}", kafka.group);
            let topics = KafkaSourceSettings::new(config.topics.iter().cloned(), group).unhurried();
            let topics = if until == Until::End { topics.until_end() } else { topics };
            let origin = format!("Kafka cluster {}", KafkaTopics::new(kafka.connection.clone()).cluster_id()?);
            (Box::new(KafkaSource::new(kafka.connection.clone(), topics)), KAFKA_JOB, origin)
        }
    };
    let settings = ArchiveSettings {
        object_bytes_max: u64::from(config.object_mib_max) << 20,
        interval_ms: i64::from(config.interval_ms),
    };
    Ok(Archive {
        source,
        until_end: until == Until::End,
        writer: ArchiveWriter::open(plan.home.lake().join("bronze"), settings)?.of(&origin, &config.topics)?,
        checkpoints: Box::new(FileCheckpoints::open(plan.home.checkpoints(checkpoints))?),
        clock: Arc::new(SystemClock),
    })
}

/// Every record that was read is in an object.
fn accounts(report: &ArchiveReport) -> Vec<RunFile> {
    let account = |(topic, archived): (&String, &tamis_jobs::archive::Archived)| RunFile {
        source: "topics".to_owned(),
        original_path: topic.clone(),
        sha256: String::new(),
        counts: RowCounts { rows_in: archived.records, rows_out: archived.records, ..RowCounts::default() },
        quarantined: None,
    };
    report.iter().map(account).collect()
}
