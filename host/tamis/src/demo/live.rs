//! What goes on after the day: a trickle of payments at the pace of the clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tamis_engine::{Clock, SystemClock};
use tamis_model::Result;

use super::payments::Payments;
use super::{Scale, generate};
use crate::home::Home;

/// Between two shoppers.
const PAUSE: Duration = Duration::from_millis(200);

/// Appends payments until `stop` is set.
pub fn trickle(home: &Home, seed: u64, scale: Scale, stop: &Arc<AtomicBool>) -> Result<()> {
    let started = SystemClock.now();
    let mut payments = Payments::new(seed ^ started.unsigned_abs(), scale, &format!("live-{started}"));
    let mut topics = generate::writer(home)?;
    while !stop.load(Ordering::Relaxed) {
        for event in payments.attempts(SystemClock.now()) {
            generate::append(&mut topics, "payments", &event)?;
        }
        topics.flush()?;
        std::thread::sleep(PAUSE);
    }
    Ok(())
}
