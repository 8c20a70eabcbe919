//! Whether the host does what it is there for: asked by whatever watches it, and answered truthfully.

use std::sync::Weak;
use std::time::{Duration, Instant};

use serde::Serialize;
use tamis_connectors::topics::Topics;
use tamis_engine::Restoring;
use tamis_model::error::Context;
use tamis_model::time::Millis;
use tokio::sync::Mutex;
use utoipa::ToSchema;

use crate::app::App;
use crate::problem::Problem;
use crate::streams::{StreamState, StreamStatus};

/// A stream writes down how it is each second; one that has not for so long hangs, or is busy with what takes too long.
const SILENT_MS_MAX: i64 = 30_000;
/// How long an answer of the disk holds: whoever asks needs no token.
const DISK_ANSWER_HOLDS: Duration = Duration::from_secs(1);
/// A name that no topic can have.
const PROBE: &str = ".ready";
/// More than a file system keeps beside a name.
const PROBE_BYTES: [u8; 4096] = [b'.'; 4096];

/// What was found out about the disk last, and when.
#[derive(Default)]
pub(crate) struct Readiness(Mutex<Option<(Instant, Result<(), String>)>>);

/// Whether the host is ready.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReadinessReport {
    /// Whether all of it is.
    pub ready: bool,
    /// Each part of it.
    parts: Vec<PartReport>,
}

/// Whether a part of the host is ready.
#[derive(Debug, Serialize, ToSchema)]
struct PartReport {
    /// Which.
    part: Part,
    /// Whether it is.
    ready: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// What must be ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// It judges by the rules as they are now.
    Stream,
    /// It answers.
    Catalogue,
    /// It can be written.
    Disk,
    /// Topics go into it. Told by a host that archives.
    Archive,
    /// What a group of hosts raises goes to lake and warehouse. Told by the host of a group that serves.
    Delivery,
}

/// Work beside the streams that a host is there for.
pub struct BesideStreams {
    /// Which.
    pub part: Part,
    /// Whoever does it holds this for as long as it goes on, pauses after outages included.
    pub held: Weak<()>,
}

/// Whether a host is ready now that has nothing but streams, and is told the rules by another one.
pub(crate) fn of_streams(status: &StreamStatus, now: Millis) -> ReadinessReport {
    report([(Part::Stream, judges(status, 0, now))])
}

/// Whether the host is ready now.
pub(crate) async fn readiness(app: &App) -> ReadinessReport {
    let newest = app.catalog().rule_set_revision().await.map_err(|_| "it does not answer".to_owned());
    let (stream, catalogue) = match newest {
        Ok(newest) => (stream(app, newest).await, Ok(())),
        Err(reason) => (Err("nobody knows what is to run".to_owned()), Err(reason)),
    };
    let beside = app.api.beside.iter().map(|work| (work.part, work.goes_on()));
    let parts = [(Part::Stream, stream), (Part::Catalogue, catalogue), (Part::Disk, disk(app).await)];
    report(parts.into_iter().chain(beside))
}

fn report(parts: impl IntoIterator<Item = (Part, Result<(), String>)>) -> ReadinessReport {
    let report = |(part, found): (_, Result<_, _>)| PartReport { part, ready: found.is_ok(), reason: found.err() };
    let parts: Vec<_> = parts.into_iter().map(report).collect();
    ReadinessReport { ready: parts.iter().all(|part| part.ready), parts }
}

impl BesideStreams {
    fn goes_on(&self) -> Result<(), String> {
        match self.held.strong_count() {
            0 => Err("it has failed, and does not begin again before the next start".to_owned()),
            _ => Ok(()),
        }
    }
}

/// It judges by the newest rules, or there is none that runs.
async fn stream(app: &App, newest: u64) -> Result<(), String> {
    let judges = judges(&app.api.streams.status.borrow(), newest, app.now());
    if judges.is_err() && app.catalog().running_rules().await.is_ok_and(|running| running.rules.is_empty()) {
        return Ok(());
    }
    judges
}

/// It judges by the rules of this revision or a later one. Names and causes are for those who have a token.
fn judges(status: &StreamStatus, newest: u64, now: Millis) -> Result<(), String> {
    let StreamStatus { state, revision, restoring, .. } = *status;
    let silent_ms = now - status.updated_at;
    Err(match (state, &status.refused) {
        (StreamState::Running, _) if silent_ms > SILENT_MS_MAX => {
            format!("nothing has been heard of it for {} s", silent_ms / 1000)
        }
        (StreamState::Running, _) if revision >= newest => return Ok(()),
        (StreamState::Running, Some((refused, _))) if *refused >= newest => {
            format!("the engine refused revision {refused} of the rules, and goes on with {revision}")
        }
        (StreamState::Running, _) => format!("it runs revision {revision} of the rules, the newest is {newest}"),
        (StreamState::Starting, _) if restoring.entries < restoring.of => {
            let Restoring { entries, of } = restoring;
            format!("it is starting, and has taken back {entries} of at most {of} entries of its state")
        }
        (state, _) => format!("it is {}", state.name()),
    })
}

/// A file can be written where the topics are, or the brokers that have them answer.
async fn disk(app: &App) -> Result<(), String> {
    let mut last = app.readiness.0.lock().await;
    if let Some((at, found)) = &*last
        && at.elapsed() < DISK_ANSWER_HOLDS
    {
        return found.clone();
    }
    let topics = app.api.topics.clone();
    let written = app.read_files(move || match topics {
        Topics::Folder(folder) => {
            let probe = folder.join(PROBE);
            let written = std::fs::write(&probe, PROBE_BYTES).and_then(|()| std::fs::remove_file(&probe));
            written.outage("write", probe.display())
        }
        Topics::Kafka { topics, .. } => topics.require(&[]),
    });
    let found = written.await.map_err(|problem: Problem| {
        tracing::error!("{}", problem.logged().unwrap_or("the disk cannot be written"));
        "it cannot be written".to_owned()
    });
    *last = Some((Instant::now(), found.clone()));
    found
}
