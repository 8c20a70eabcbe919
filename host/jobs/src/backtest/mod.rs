//! Backtests: what a version of a rule would have raised on the records that were.
//!
//! A backtest is the path that live events take, with a bounded source and sinks of its own: the same component, byte for byte, in
//! the same engine, with states and checkpoints in memory. Live states and topics, the lake and the warehouse are not touched.
//!
//! **What counts** are the alerts whose event time lies in the window [`from`, `to`), for tumbling windows their start; each
//! id counts once. They have the ids that they have, or would have, in live mode under the name of the rule.
//!
//! **What is read** are the records of the window, those of a warm-up before it, which build the state, and those of a run-out behind it,
//! which complete the tumbling windows and pairs that began in it ([`Margins`]): so what counts is what a live stream raises for the
//! window. Two things only a live stream knows: records that it refused because they were ahead of its clock, and those that were late
//! because their partition had been quiet; a replay has no clock. A record that lies further than [`DISORDER_MS`](tamis_connectors::topics::DISORDER_MS) behind another one may be
//! missed where it stands at an end of what is read. Records come from the topics, of the home or of a
//! cluster ([`Find`] is the seam for other sources: the archive is not read yet).
//!
//! **Two versions** are run side by side, batch by batch, over the same records, each in a stream of its own, and compared by the
//! ids of their alerts.
//!
//! **Memory** is bounded, whatever is raised: see [`Bounds`]. The report says when a bound was reached.

mod code;
mod comparison;
mod examples;
mod margins;
mod queue;
mod replay;
mod report;
mod request;
mod sinks;
mod version;
mod window;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tamis_connectors::topics::Topics;
use tamis_engine::Clock;
use tamis_engine::rules::RulePlan;
use tamis_model::pseudonym::Pepper;
use tamis_model::time::Millis;
use tamis_model::topic::TopicSchema;
use tamis_model::{Error, Kind, Result};

use self::comparison::{Comparison, Side};
use self::version::VersionRun;

pub use self::examples::{AlertExample, ErrorExample, PairExample};
pub use self::margins::Margins;
pub use self::queue::{enqueue, work_off};
pub use self::replay::Find;
pub use self::report::{
    AlertCounts, AlertsAt, BacktestReport, Errors, Judged, Overlap, OverlapExamples, RecordCounts, VersionReport,
};
pub use self::request::{BacktestRequest, BacktestSource, OtherVersion};
pub use self::window::Window;

/// What backtests work with; the binary puts it together.
pub struct BacktestContext {
    /// Finds the records.
    pub find: Box<Find>,
    /// The topics that can be replayed.
    pub schemas: Vec<TopicSchema>,
    /// The key of the pseudonyms that stand in reports.
    pub pepper: Pepper,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// Rows of a batch at most.
    pub rows_max: usize,
    /// How much is kept.
    pub bounds: Bounds,
}

impl BacktestContext {
    /// Backtests over topics, with the bounds that are usual.
    pub fn new(topics: &Topics, schemas: Vec<TopicSchema>, pepper: Pepper, clock: Arc<dyn Clock>) -> Self {
        let topics = topics.clone();
        let find = Box::new(move |names: &[String], range| topics.window(names, range));
        Self { find, schemas, pepper, clock, rows_max: 4_096, bounds: Bounds::default() }
    }
}

/// How much of what is raised is kept in memory, and what becomes of the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Ids of alerts that are kept, some 20 to 40 bytes each, both versions together. Alerts of further ids are counted, each time that
    /// they are raised, and not compared; the report says how many, and that it is truncated.
    pub ids_max: usize,
    /// Examples of a kind in the report. While a backtest runs up to [`Bounds::waiting_max`] alerts of each version are kept for them.
    pub examples_max: usize,
    /// Alerts of each version that wait for the other one to raise them too. Of further ones no examples are shown.
    pub waiting_max: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { ids_max: 1_000_000, examples_max: 20, waiting_max: 4_096 }
    }
}

/// A backtest of which everything is decided.
#[derive(Clone, Debug)]
pub struct Backtest {
    /// The version that is tried.
    pub version: RulePlan,
    /// The version that it is compared with; both have the name of the same rule.
    pub compared_with: Option<RulePlan>,
    /// Which alerts count.
    pub window: Window,
    /// What is read besides.
    pub margins: Margins,
}

/// How far a backtest has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BacktestProgress {
    /// Records that every version has read.
    pub records_done: u64,
    /// Records that there are, by their offsets.
    pub records_total: u64,
}

/// Runs a backtest on this thread. `observer` hears of it after each batch, and `cancel` is looked at before each.
///
/// # Errors
/// [`Kind::Stopped`] when it was cancelled; what the source and the engine say; never that the code of a rule fails on records, which
/// is in the report, whatever the failure policy of the rule is.
pub fn backtest(
    context: &BacktestContext,
    backtest: &Backtest,
    cancel: &AtomicBool,
    observer: &mut dyn FnMut(BacktestProgress),
) -> Result<BacktestReport> {
    let started = Instant::now();
    let versions: Vec<&RulePlan> =
        [Some(&backtest.version), backtest.compared_with.as_ref()].into_iter().flatten().collect();
    let range = replay::range(backtest.window, backtest.margins);
    let topics = topics_of(&versions);
    let found = (context.find)(&topics, range)?;
    let comparison = Arc::new(Mutex::new(Comparison::new(backtest.window, context.bounds)));
    let mut runs = Vec::with_capacity(versions.len());
    for (plan, side) in versions.into_iter().zip(Side::BOTH) {
        runs.push(VersionRun::open(context, backtest.window, &found, plan, side, &comparison)?);
    }
    let mut progress = BacktestProgress { records_done: 0, records_total: found.records };
    while runs.iter().any(|run| !run.has_finished()) {
        if cancel.load(Ordering::Relaxed) {
            return Err(Error::new(Kind::Stopped, "finish", "a backtest").because("it was cancelled"));
        }
        runs.iter_mut().filter(|run| !run.has_finished()).try_for_each(VersionRun::step)?;
        progress.records_done = runs.iter().map(VersionRun::records).min().unwrap_or_default();
        observer(progress);
    }
    // Of the records between the first and the last some were left out: their times are out of all bounds.
    observer(BacktestProgress { records_total: progress.records_done, ..progress });
    Ok(report::report(context, backtest, &topics, &runs, &comparison, started.elapsed()))
}

/// The topics that one of the versions reads: both are shown the same records, so that their figures compare.
fn topics_of(versions: &[&RulePlan]) -> Vec<String> {
    let inputs = versions.iter().flat_map(|plan| &plan.manifest.inputs);
    let mut topics: Vec<String> = inputs.filter_map(|input| input.topic.clone()).collect();
    topics.sort_unstable();
    topics.dedup();
    topics
}

/// The content is whole after every single operation, so a panic of another holder did not break it.
fn lock<T>(content: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    content.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// A share in percent; nothing of nothing is 0.
fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

/// Milliseconds of something that took far less than an age.
fn millis(duration: std::time::Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX)
}
