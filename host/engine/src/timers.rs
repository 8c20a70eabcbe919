//! Which slots are due when time moves on.
//!
//! Time moves a batch at a time, and most timers are passed in crowds. So they wait unsorted, in a bucket for each
//! stretch of time, and leave with the whole of it; only those of the bucket in which time stands are sorted.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use tamis_model::time::Millis;

/// The stretch of time of a bucket.
const BUCKET_MS: Millis = 10_000;

/// A time, and the slot that is due then.
type Timer = (Millis, u32);

/// Timers in the order of their times.
#[derive(Clone, Default)]
pub(crate) struct Timers {
    /// Those up to the end of bucket `reached`.
    near: BinaryHeap<Reverse<Timer>>,
    reached: i64,
    /// All others, by bucket: how far into it, and the slot. There may be one for each key, so they are kept small.
    later: BTreeMap<i64, Vec<(u32, u32)>>,
}

impl Timers {
    /// Adds a timer.
    pub fn set(&mut self, time: Millis, slot: u32) {
        let bucket = time.div_euclid(BUCKET_MS);
        if bucket <= self.reached {
            self.near.push(Reverse((time, slot)));
        } else {
            let ahead = time.rem_euclid(BUCKET_MS) as u32;
            self.later.entry(bucket).or_default().push((ahead, slot));
        }
    }

    /// Takes the timers out whose time has come at `now`.
    pub fn take_due(&mut self, now: Millis) -> Vec<Timer> {
        let mut due = Vec::new();
        while let Some(Reverse(timer)) = self.near.peek()
            && timer.0 <= now
        {
            due.push(*timer);
            self.near.pop();
        }
        while let Some(bucket) = self.later.first_entry()
            && *bucket.key() <= now.div_euclid(BUCKET_MS)
        {
            self.reached = *bucket.key();
            for (ahead, slot) in bucket.remove() {
                let timer = (self.reached * BUCKET_MS + Millis::from(ahead), slot);
                if timer.0 <= now { due.push(timer) } else { self.near.push(Reverse(timer)) }
            }
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_due_comes_out_once(steps in prop::collection::vec((-50_000..50_000_i64, 0..30_000_i64), 0..60)) {
            let mut timers = Timers::default();
            let mut set = Vec::new();
            let mut now = 0;
            for (slot, (ahead, by)) in steps.into_iter().enumerate() {
                timers.set(now + ahead, slot as u32);
                set.push((now + ahead, slot as u32));
                now += by;
                let mut due = timers.take_due(now);
                due.sort_unstable();
                let mut expected: Vec<Timer> = set.extract_if(.., |(time, _)| *time <= now).collect();
                expected.sort_unstable();
                prop_assert_eq!(due, expected);
            }
        }
    }
}
