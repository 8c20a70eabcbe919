//! How streams are, as others see them: one of a host, or the tasks that a host has together.

use tamis_engine::Report;
use tamis_engine::exchange::Part;
use tamis_engine::meters::Measures;
use tamis_engine::report::{Progress, RuleGauge};
use tamis_model::position::Partition;

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

impl From<&Progress<'_>> for Seen {
    fn from(progress: &Progress<'_>) -> Self {
        Self {
            report: progress.report.clone(),
            rules: progress.rules(),
            measures: progress.measures(),
            lag: progress.lag(),
            doing: Doing::Running,
        }
    }
}

impl Seen {
    /// Nothing yet, under rules of this revision.
    pub fn new(revision: u64) -> Self {
        Self { report: Report { revision, ..Report::default() }, ..Self::default() }
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
