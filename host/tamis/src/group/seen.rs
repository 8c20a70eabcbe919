//! How streams are, as others see them: one of a host, or the tasks that a host has together.

use std::sync::Arc;

use tamis_api::{StreamState, StreamStatus};
use tamis_engine::exchange::Part;
use tamis_engine::meters::Measures;
use tamis_engine::report::{Progress, RuleGauge};
use tamis_engine::{Report, Restoring};
use tamis_model::position::Partition;
use tamis_model::time::Millis;
use tamis_model::{Error, Kind};

/// How streams are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// What they have done.
    pub report: Report,
    /// How the versions that run are doing.
    pub rules: Vec<RuleGauge>,
    /// What was measured.
    pub measures: Measures,
    /// How many records partitions are behind.
    pub lag: Vec<(Partition, u64)>,
    /// How far they have come in taking their state back, where nobody else tells it.
    pub restoring: Option<Restoring>,
    /// What they do.
    pub doing: Doing,
}

/// What streams do.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Doing {
    /// They judge, or wait for records.
    #[default]
    Running,
    /// Some of them take their state back.
    Starting,
    /// Some of them have failed and will begin again.
    Failed(String),
}

impl Doing {
    /// The same as others know it.
    pub fn state(&self) -> StreamState {
        match self {
            Self::Running => StreamState::Running,
            Self::Starting => StreamState::Starting,
            Self::Failed(_) => StreamState::Failed,
        }
    }

    /// What failed.
    pub fn error(&self) -> Option<Error> {
        match self {
            Self::Running | Self::Starting => None,
            Self::Failed(why) => Some(Error::new(Kind::Outage, "run", "a part of the streams").because(why.clone())),
        }
    }
}

impl From<&Progress<'_>> for Seen {
    fn from(progress: &Progress<'_>) -> Self {
        Self {
            report: progress.report.clone(),
            rules: progress.rules(),
            measures: progress.measures(),
            lag: progress.lag(),
            restoring: None,
            doing: Doing::Running,
        }
    }
}

impl Seen {
    /// Nothing yet, under rules of this revision.
    pub fn new(revision: u64) -> Self {
        Self { report: Report { revision, ..Report::default() }, ..Self::default() }
    }

    /// Writes it where others look.
    pub fn write(self, status: &mut StreamStatus, now: Millis) {
        let state = self.doing.state();
        if status.state != state {
            (status.state, status.since) = (state, now);
        }
        status.error = self.doing.error().map(|error| error.chain());
        status.restoring = self.restoring.unwrap_or(status.restoring);
        status.revision = self.report.revision;
        status.report = Arc::new(self.report);
        status.rules = Arc::new(self.rules);
        status.measures = Arc::new(self.measures);
        status.lag = Arc::new(self.lag);
        status.updated_at = now;
    }

    /// Adds how a task of this part is. Records that the exchange hands on are counted where they were read.
    pub fn add(&mut self, part: &Part, mut other: Self) {
        if matches!(part, Part::Keyed { .. }) {
            other.report.counts.topics.clear();
        }
        self.report.add(&other.report);
        for gauge in other.rules {
            let is_same = |own: &&mut RuleGauge| (&own.rule, own.version) == (&gauge.rule, gauge.version);
            match self.rules.iter_mut().find(is_same) {
                Some(own) => own.add(&gauge),
                None => self.rules.push(gauge),
            }
        }
        self.measures.add(&other.measures);
        self.lag.extend(other.lag);
        self.doing = std::mem::take(&mut self.doing).max(other.doing);
    }
}
