//! The stream that runs the rules, as the API sees it: how it is, and what it can be told.

use std::sync::Arc;

use serde::Serialize;
use tamis_engine::meters::Measures;
use tamis_engine::report::RuleGauge;
use tamis_engine::{Commands, Report, Restoring};
use tamis_model::position::Partition;
use tamis_model::time::Millis;
use tokio::sync::watch;
use utoipa::ToSchema;

/// The running stream, seen from outside. Whoever runs it keeps the other ends of both.
pub struct Streams {
    /// How it is.
    pub status: watch::Receiver<StreamStatus>,
    /// What it is told. It takes commands between batches.
    pub commands: Commands,
}

/// How a stream is.
#[derive(Clone, Debug)]
pub struct StreamStatus {
    /// What it does.
    pub state: StreamState,
    /// Since when it does that.
    pub since: Millis,
    /// Why it halted or failed: the whole chain of causes.
    pub error: Option<String>,
    /// How far it has come in taking its state back, since it started last.
    pub restoring: Restoring,
    /// The revision of the rule set that really runs.
    pub revision: u64,
    /// The last revision that the engine refused, and why; the one before it goes on. None since it took a later one.
    pub refused: Option<(u64, String)>,
    /// What it has done since its first checkpoint.
    pub report: Arc<Report>,
    /// How the versions that run are doing in this process.
    pub rules: Arc<Vec<RuleGauge>>,
    /// What was measured of it in this process.
    pub measures: Arc<Measures>,
    /// How many records partitions are behind, where that is known.
    pub lag: Arc<Vec<(Partition, u64)>>,
    /// When this was written.
    pub updated_at: Millis,
}

/// What a stream does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StreamState {
    /// It loads its checkpoint and its rules.
    Starting,
    /// It judges, or waits for records.
    Running,
    /// A rule whose failure policy is `halt` failed: nothing is skipped, somebody must look.
    Halted,
    /// It stopped on an error.
    Failed,
    /// It was told to.
    Stopped,
}

impl StreamState {
    /// Its stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Halted => "halted",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }
}

impl StreamStatus {
    /// A stream that starts.
    pub fn starting(now: Millis) -> Self {
        Self {
            state: StreamState::Starting,
            since: now,
            error: None,
            restoring: Restoring::default(),
            revision: 0,
            refused: None,
            report: Arc::default(),
            rules: Arc::default(),
            measures: Arc::default(),
            lag: Arc::default(),
            updated_at: now,
        }
    }
}
