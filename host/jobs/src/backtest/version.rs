//! A version at work in a stream of its own.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tamis_connectors::topics::Found;
use tamis_engine::memory::MemoryCheckpoints;
use tamis_engine::rules::{OnFailure, Role, RulePlan};
use tamis_engine::{Decisions, RuleSet, Step, Stream, StreamParts, StreamSettings};
use tamis_model::Result;

use super::code::{Meter, metered};
use super::comparison::{Comparison, Side};
use super::sinks::Output;
use super::{BacktestContext, Window};

/// A version at work.
pub(super) struct VersionRun {
    pub plan: RulePlan,
    pub side: Side,
    pub stream: Stream,
    pub meter: Arc<Meter>,
    pub output: Output,
    /// How long its steps took.
    pub took: Duration,
    finished: bool,
}

impl VersionRun {
    /// A version before the first record. Its alerts count, and what it fails on is told, whatever its role and policy are.
    pub fn open(
        context: &BacktestContext,
        window: Window,
        found: &Found,
        plan: &RulePlan,
        side: Side,
        comparison: &Arc<Mutex<Comparison>>,
    ) -> Result<Self> {
        let plan = RulePlan { role: Role::Active, on_failure: OnFailure::DeadLetter, ..plan.clone() };
        let meter = Arc::new(Meter::default());
        let output = Output::new(window, context.bounds.examples_max);
        let settings = StreamSettings {
            rows_max: context.rows_max,
            checkpoint_interval_ms: i64::MAX,
            bounded: true,
            ..StreamSettings::default()
        };
        let stream = Stream::open(StreamParts {
            settings,
            source: (found.source)(),
            schemas: context.schemas.clone(),
            rules: RuleSet { revision: 0, rules: vec![Arc::new(metered(&plan, window, &meter))] },
            sinks: output.sinks(side, comparison),
            checkpoints: Box::new(MemoryCheckpoints::new()),
            clock: Arc::clone(&context.clock),
            decisions: Decisions::default(),
        })?;
        Ok(Self { plan, side, stream, meter, output, took: Duration::ZERO, finished: false })
    }

    /// Judges the next batch, or does what else is next.
    pub fn step(&mut self) -> Result<()> {
        let start = Instant::now();
        let step = self.stream.step()?;
        self.took += start.elapsed();
        self.finished = step == Step::Finished;
        Ok(())
    }

    /// Whether the records have come to their end and all windows are closed.
    pub fn has_finished(&self) -> bool {
        self.finished
    }

    /// Records that it has read.
    pub fn records(&self) -> u64 {
        self.stream.report().counts.topics.values().map(|topic| topic.records).sum()
    }
}
