//! The clock: the only way in which the engine learns the time of day, so that tests hold it in their hands.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tamis_model::time::Millis;

/// A clock.
///
/// Contract: `now` does not go back, and `sleep` returns when about as much time has passed on this clock.
pub trait Clock: Send + Sync {
    /// Milliseconds since the Unix epoch.
    fn now(&self) -> Millis;
    /// Waits.
    fn sleep(&self, duration_ms: u64);
    /// Waits, until somebody wakes it at the latest. Whether somebody has.
    fn wait(&self, duration_ms: u64, waker: &Waker) -> bool {
        let woken = waker.take();
        if !woken {
            self.sleep(duration_ms);
        }
        woken
    }
}

/// Wakes who waits: there is something to do. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct Waker(Arc<(Mutex<bool>, Condvar)>);

impl Waker {
    /// Ends the wait at work, else the next one.
    pub fn wake(&self) {
        let (woken, condition) = &*self.0;
        *woken.lock().unwrap_or_else(PoisonError::into_inner) = true;
        condition.notify_one();
    }

    /// Whether somebody has woken it since it was asked last.
    pub fn take(&self) -> bool {
        std::mem::take(&mut *self.0.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn wait(&self, max: Duration) -> bool {
        let (woken, condition) = &*self.0;
        let guard = woken.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = condition.wait_timeout_while(guard, max, |woken| !*woken);
        let (mut woken, _) = waited.unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *woken)
    }
}

/// What the machine's clock was ahead of, and when; one for the process.
static AHEAD: Mutex<Option<Ahead>> = Mutex::new(None);

/// The machine's clock. When somebody sets it back it goes on at half speed until it is caught up with: it must not stand still, because
/// work is due by it.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Millis {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let shown = Millis::try_from(since_epoch.as_millis()).unwrap_or(Millis::MAX);
        let mut ahead = AHEAD.lock().unwrap_or_else(PoisonError::into_inner);
        ahead.get_or_insert(Ahead { at: Instant::now(), now: shown }).read(shown, Instant::now())
    }

    fn sleep(&self, duration_ms: u64) {
        std::thread::sleep(Duration::from_millis(duration_ms));
    }

    fn wait(&self, duration_ms: u64, waker: &Waker) -> bool {
        waker.wait(Duration::from_millis(duration_ms))
    }
}

/// The highest time that was told, since when.
#[derive(Clone, Copy, Debug)]
struct Ahead {
    at: Instant,
    now: Millis,
}

impl Ahead {
    fn read(&mut self, shown: Millis, at: Instant) -> Millis {
        let elapsed_ms = at.saturating_duration_since(self.at).as_millis();
        let slowed = self.now.saturating_add(Millis::try_from(elapsed_ms / 2).unwrap_or(Millis::MAX));
        if shown >= slowed {
            *self = Self { at, now: shown };
        }
        shown.max(slowed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_is_woken_even_if_it_was_not_waiting_yet() {
        let waker = Waker::default();
        assert!(!SystemClock.wait(1, &waker));
        waker.wake();
        waker.wake();
        assert!(SystemClock.wait(u64::MAX, &waker));
        assert!(!SystemClock.wait(1, &waker), "twice is once");
        let other = waker.clone();
        let waits = std::thread::spawn(move || SystemClock.wait(u64::MAX, &other));
        waker.wake();
        assert!(waits.join().unwrap());
    }

    #[test]
    fn a_clock_that_is_set_back_goes_on_slowly_until_it_is_caught_up_with() {
        let start = Instant::now();
        let mut ahead = Ahead { at: start, now: 1_000_000 };
        let mut read = |shown, after_ms| ahead.read(shown, start + Duration::from_millis(after_ms));
        assert_eq!(read(1_000_100, 100), 1_000_100);
        assert_eq!(read(4_600_100, 100), 4_600_100, "an hour ahead");
        assert_eq!(read(1_000_200, 200), 4_600_150, "and back");
        assert_eq!(read(1_002_100, 2_100), 4_601_100);
        assert_eq!(read(4_600_150, 2_100), 4_601_100, "it does not go back");
        assert_eq!(read(9_000_000, 7_999_900), 9_000_000, "caught up");
        assert_eq!(read(9_000_500, 8_000_400), 9_000_500);
    }
}
