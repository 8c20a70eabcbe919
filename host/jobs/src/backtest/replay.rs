//! Where the records of a backtest come from.

use tamis_connectors::topics::{TimeRange, TimeWindow, Topics};
use tamis_engine::Source;
use tamis_model::Result;

use super::{Margins, Window};

/// How far a record may lie behind one that stands before it in its partition. Live streams take records up to 5 minutes ahead of their
/// clock, so those behind such a one lie that far behind it and, being in time, 10 s further.
pub const DISORDER_MS: i64 = 310_000;

/// Finds the records of topics in a range of time.
pub type Find = dyn Fn(&[String], TimeRange) -> Result<Replay> + Send + Sync;

/// The records of a backtest.
pub struct Replay {
    /// How many there are, by their offsets.
    pub records: u64,
    /// Makes a bounded source over them; each version has its own.
    pub source: Box<dyn Fn() -> Box<dyn Source>>,
}

/// Replays of the embedded topics.
pub fn embedded_topics(place: Topics) -> Box<Find> {
    Box::new(move |topics, range| {
        let window = TimeWindow::find(place.folder("replay")?, topics, range)?;
        Ok(Replay { records: window.records(), source: Box::new(move || Box::new(window.again())) })
    })
}

/// What is read for a window.
pub(super) fn range(window: Window, margins: Margins) -> TimeRange {
    TimeRange {
        from: window.from.saturating_sub(margins.warm_up_ms),
        to: window.to.saturating_add(margins.run_out_ms),
        disorder_ms: DISORDER_MS,
    }
}
