//! What goes on after the day: a trickle of payments at the pace of the clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tamis_api::Desk;
use tamis_engine::{Clock, SystemClock};
use tamis_model::Result;

use super::Scale;
use super::payments::Payments;

/// Between two shoppers.
const PAUSE: Duration = Duration::from_millis(200);
const SHOPPERS_BETWEEN_TESTERS: u64 = 25;

/// Writes payments until `stop` is set: at the desk of decisions, as a topic of a home has one writer.
pub fn trickle(desk: &Desk, seed: u64, scale: Scale, stop: &Arc<AtomicBool>) -> Result<()> {
    let started = SystemClock.now();
    let mut payments = Payments::new(seed ^ started.unsigned_abs(), scale, &format!("live-{started}"));
    for shopper in (1..).take_while(|_| !stop.load(Ordering::Relaxed)) {
        let now = SystemClock.now();
        // Whoever watches shall not wait long for somebody who tries cards.
        let tester = shopper % SHOPPERS_BETWEEN_TESTERS == 0;
        let events = if tester { payments.card_tester(now) } else { payments.attempts(now) };
        desk.write(events.iter().map(|event| event.record("payments")).collect())?;
        std::thread::sleep(PAUSE);
    }
    Ok(())
}
