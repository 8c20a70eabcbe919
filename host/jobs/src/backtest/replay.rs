//! Which records a backtest reads.

use tamis_connectors::topics::{DISORDER_MS, Found, TimeRange};
use tamis_model::Result;

use super::{Margins, Window};

/// Finds the records of topics in a range of time.
pub type Find = dyn Fn(&[String], TimeRange) -> Result<Found> + Send + Sync;

/// What is read for a window.
pub(super) fn range(window: Window, margins: Margins) -> TimeRange {
    TimeRange {
        from: window.from.saturating_sub(margins.warm_up_ms),
        to: window.to.saturating_add(margins.run_out_ms),
        disorder_ms: DISORDER_MS,
    }
}
