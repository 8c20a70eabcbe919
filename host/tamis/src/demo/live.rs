//! What goes on after the day: a trickle of payments at the pace of the clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tamis_engine::{Clock, SystemClock};
use tamis_model::Result;

use super::Scale;
use super::inlet::Inlet;
use super::payments::Payments;
use crate::plan::Plan;

/// Between two shoppers.
const PAUSE: Duration = Duration::from_millis(200);
const SHOPPERS_BETWEEN_TESTERS: u64 = 25;

/// Appends payments until `stop` is set.
pub fn trickle(plan: &Plan, seed: u64, scale: Scale, stop: &Arc<AtomicBool>) -> Result<()> {
    let started = SystemClock.now();
    let mut payments = Payments::new(seed ^ started.unsigned_abs(), scale, &format!("live-{started}"));
    let mut inlet = Inlet::of(plan)?;
    for shopper in (1..).take_while(|_| !stop.load(Ordering::Relaxed)) {
        let now = SystemClock.now();
        // Whoever watches shall not wait long for somebody who tries cards.
        let tester = shopper % SHOPPERS_BETWEEN_TESTERS == 0;
        for event in if tester { payments.card_tester(now) } else { payments.attempts(now) } {
            inlet.take("payments", &event)?;
        }
        inlet.flush()?;
        std::thread::sleep(PAUSE);
    }
    Ok(())
}
