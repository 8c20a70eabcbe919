//! What a process measures of its stream beside what the report counts: how often things happen and how long they take. It begins
//! anew with the process; what must outlive that is counted in the report.

use std::time::Duration;

use hdrhistogram::Histogram;

/// The longest that is told from what took longer: a day.
const LONGEST_NS: u64 = 86_400_000_000_000;

/// Bounds for calls of rules' code.
pub(crate) const CALL_SECONDS: &[f64] =
    &[0.000_01, 0.000_03, 0.000_1, 0.000_3, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 10.0];
/// Bounds for checkpoints.
const CHECKPOINT_SECONDS: &[f64] = &[0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
/// Bounds for the way of an alert.
const ALERT_SECONDS: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3_600.0];

/// What a process has measured of its stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measures {
    /// Batches that were judged.
    pub batches: u64,
    /// How long checkpoints took.
    pub checkpoints: Latencies,
    /// How long alerts took from the time of the record that they are about until they had left. None are measured of bounded streams,
    /// none of windows, which wait for their end, and none of events that were judged again.
    pub alerts: Latencies,
}

impl Measures {
    /// Adds what was measured of another stream.
    pub fn add(&mut self, other: &Self) {
        self.batches += other.batches;
        self.checkpoints.add(&other.checkpoints);
        self.alerts.add(&other.alerts);
    }
}

/// How long something took, by fixed bounds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Latencies {
    /// For each upper bound in seconds how many took at most so long, to one part in a hundred; lowest first.
    pub at_most: Vec<(f64, u64)>,
    /// How many there were.
    pub count: u64,
    /// What they took together, in seconds.
    pub sum: f64,
}

impl Latencies {
    /// Adds others that have the same bounds.
    pub fn add(&mut self, other: &Self) {
        if self.at_most.is_empty() {
            self.at_most.clone_from(&other.at_most);
        } else {
            self.at_most.iter_mut().zip(&other.at_most).for_each(|((_, count), (_, more))| *count += more);
        }
        self.count += other.count;
        self.sum += other.sum;
    }
}

/// Where a stream takes its measures.
#[derive(Default)]
pub(crate) struct Meters {
    pub batches: u64,
    pub checkpoints: Durations,
    pub alerts: Durations,
}

impl Meters {
    pub fn measures(&self) -> Measures {
        Measures {
            batches: self.batches,
            checkpoints: self.checkpoints.within(CHECKPOINT_SECONDS),
            alerts: self.alerts.within(ALERT_SECONDS),
        }
    }
}

/// How long something took, each time.
#[derive(Clone, Debug)]
pub struct Durations {
    histogram: Histogram<u32>,
    sum_ns: u64,
}

impl Default for Durations {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(1, LONGEST_NS, 2).expect("the bounds are in order");
        Self { histogram, sum_ns: 0 }
    }
}

impl Durations {
    /// Takes what one took.
    pub fn record_ns(&mut self, ns: u64) {
        self.histogram.saturating_record(ns.max(1));
        self.sum_ns = self.sum_ns.saturating_add(ns);
    }

    /// Takes what others took.
    pub fn add(&mut self, other: &Self) {
        self.histogram.add(&other.histogram).expect("they have the same bounds");
        self.sum_ns = self.sum_ns.saturating_add(other.sum_ns);
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// The time that this share of them keeps, in nanoseconds.
    pub fn quantile_ns(&self, share: f64) -> u64 {
        self.histogram.value_at_quantile(share)
    }

    /// How many took at most so many seconds. `bounds` are in order.
    pub fn within(&self, bounds: &[f64]) -> Latencies {
        let mut at_most: Vec<(f64, u64)> = bounds.iter().map(|bound| (*bound, 0)).collect();
        for step in self.histogram.iter_recorded() {
            let shortest =
                Duration::from_nanos(self.histogram.lowest_equivalent(step.value_iterated_to())).as_secs_f64();
            if let Some((_, count)) = at_most.iter_mut().find(|(bound, _)| shortest <= *bound) {
                *count += step.count_since_last_iteration();
            }
        }
        let mut count = 0;
        for (_, at_most) in &mut at_most {
            count += *at_most;
            *at_most = count;
        }
        Latencies { at_most, count: self.count(), sum: Duration::from_nanos(self.sum_ns).as_secs_f64() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_many_took_at_most_so_long() {
        let check = |ns: &[u64], bounds: &[f64], expected: &[u64], sum: f64| {
            let mut durations = Durations::default();
            ns.iter().for_each(|ns| durations.record_ns(*ns));
            let latencies = durations.within(bounds);
            assert_eq!(latencies.at_most.iter().map(|(_, count)| *count).collect::<Vec<_>>(), expected, "{ns:?}");
            assert_eq!((latencies.count, latencies.sum), (ns.len() as u64, sum), "{ns:?}");
        };
        check(&[], &[0.1, 1.0], &[0, 0], 0.0);
        check(&[100_000_000], &[0.1, 1.0], &[1, 1], 0.1);
        check(&[102_000_000], &[0.1, 1.0], &[0, 1], 0.102);
        check(&[1, 99_000_000, 500_000_000, 2_000_000_000], &[0.1, 1.0], &[2, 3], 2.599_000_001);
        check(&[2 * LONGEST_NS], &[0.1], &[0], 172_800.0);
        let (mut one, mut other) = (Durations::default(), Durations::default());
        one.record_ns(10_000);
        other.record_ns(20_000_000_000);
        one.add(&other);
        let calls = one.within(CALL_SECONDS);
        assert_eq!((calls.at_most[0].1, calls.at_most[11].1, calls.count, calls.sum), (1, 1, 2, 20.000_01));
    }
}
