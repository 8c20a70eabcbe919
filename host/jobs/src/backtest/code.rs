//! The code of a rule with a meter around it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tamis_engine::rules::RulePlan;
use tamis_model::Result;
use tamis_model::rule::{Judged, Keyed, NOT_JUDGED, Rule};
use tamis_model::strings::{Strings, StringsBuf};

use super::Window;

/// What the code of a version did.
#[derive(Debug, Default)]
pub(super) struct Meter {
    /// Events judged.
    pub judged: AtomicU64,
    /// Those of the window.
    pub judged_in_window: AtomicU64,
    /// Nanoseconds inside the code.
    pub own_ns: AtomicU64,
}

/// The plan with a meter around its code.
pub(super) fn metered(plan: &RulePlan, window: Window, meter: &Arc<Meter>) -> RulePlan {
    let (make, meter) = (Arc::clone(&plan.make), Arc::clone(meter));
    let make = Arc::new(move |config: &str| {
        Ok(Box::new(Metered { code: make(config)?, window, meter: Arc::clone(&meter) }) as Box<dyn Rule>)
    });
    RulePlan { make, ..plan.clone() }
}

struct Metered {
    code: Box<dyn Rule>,
    window: Window,
    meter: Arc<Meter>,
}

impl Metered {
    fn timed<T>(&mut self, call: impl FnOnce(&mut dyn Rule) -> T) -> T {
        let start = Instant::now();
        let result = call(&mut *self.code);
        let spent_ns = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.meter.own_ns.fetch_add(spent_ns, Ordering::Relaxed);
        result
    }
}

impl Rule for Metered {
    fn configure(&mut self, config: &str) -> Result<()> {
        self.code.configure(config)
    }

    fn apply(&mut self, rows: &Keyed<'_>) -> Result<Judged> {
        let (mut judged, mut in_window) = (0, 0);
        for (row, time) in rows.times.iter().enumerate() {
            if rows.groups.get(row) != Some(&NOT_JUDGED) {
                judged += 1;
                in_window += u64::from(self.window.has(*time));
            }
        }
        self.meter.judged.fetch_add(judged, Ordering::Relaxed);
        self.meter.judged_in_window.fetch_add(in_window, Ordering::Relaxed);
        self.timed(|code| code.apply(rows))
    }

    fn migrate(&mut self, states: Strings<'_>, from_version: u32) -> Result<StringsBuf> {
        self.code.migrate(states, from_version)
    }

    fn advance(&mut self, due: &Keyed<'_>) -> Result<Judged> {
        self.timed(|code| code.advance(due))
    }
}
