//! The clock: the only way in which the engine learns the time of day, so that tests hold it in their hands.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tamis_model::time::Millis;

/// A clock.
///
/// Contract: `now` does not go back, and `sleep` returns when about as much time has passed on this clock.
pub trait Clock: Send + Sync {
    /// Milliseconds since the Unix epoch.
    fn now(&self) -> Millis;
    /// Waits.
    fn sleep(&self, duration_ms: u64);
}

/// What the machine's clock has shown at most in this process.
static HIGHEST: AtomicI64 = AtomicI64::new(Millis::MIN);

/// The machine's clock. When somebody sets it back it stands still until it has caught up.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Millis {
        let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let shown = Millis::try_from(elapsed.as_millis()).unwrap_or(Millis::MAX);
        HIGHEST.fetch_max(shown, Ordering::Relaxed).max(shown)
    }

    fn sleep(&self, duration_ms: u64) {
        std::thread::sleep(Duration::from_millis(duration_ms));
    }
}
