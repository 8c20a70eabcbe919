//! A payment service provider has trouble: too large a share of its payments fails.

use tamis_sdk::prelude::*;

/// Which share is too large.
#[derive(Config)]
pub struct Limits {
    /// The highest share of failed payments that is still normal, in percent.
    #[config(default = Percent::whole(20), min = 0, max = 100)]
    error_percent_max: Percent,
    /// Payments that a window needs to be judged.
    #[config(default = 1, min = 0)]
    count_min: u64,
    /// Length of the window in milliseconds.
    #[config(default = 300_000, min = 1)]
    window_ms: i64,
}

/// A payment attempt.
#[derive(Row)]
#[row(topic = "payments")]
pub struct Payment<'a> {
    psp: Option<&'a str>,
    status: &'a str,
}

/// The payments of a provider in a window.
#[derive(Default, State)]
pub struct Tally {
    count: u64,
    failed: u64,
}

impl Fold<Payment<'_>> for Tally {
    fn add(&mut self, payment: &Payment) {
        self.count += 1;
        self.failed += u64::from(payment.status == "failed");
    }
}

/// Whether too many payments of the window failed.
#[rule(
    key = "psp",
    severity = "high",
    route = "alerts_psp_payments",
    title = "High error rate of a payment service provider",
    owner = "payments"
)]
pub fn psp_error_rate(config: &Limits, payments: &Tumbling<Payment, Tally>) -> bool {
    payments.count >= config.count_min && config.error_percent_max.is_exceeded(payments.failed, payments.count)
}

#[cfg(test)]
mod tests {
    use tamis_sdk::testing;

    use super::*;

    fn check(failed: u64, count: u64, expected: bool) {
        let limits = Limits { count_min: 3, ..Limits::default() };
        let holds =
            testing::tumbling(Tally { count, failed }, limits.window_ms, |window| psp_error_rate(&limits, window));
        assert_eq!(holds, expected, "{failed} of {count}");
    }

    #[test]
    fn more_than_the_limit_fires() {
        check(1, 5, false);
        check(2, 9, true);
        check(2, 2, false);
        check(1, 3, true);
        check(0, 3, false);
    }

    #[test]
    fn stored_states_are_read_as_they_were_written() {
        let run = testing::Run::<Plugin>::new("{}");
        let versions = (&run.manifest()["state_version"], &run.manifest()["state_shape"]);
        assert_eq!(versions, (&1.into(), &"tumbling(count:u64,failed:u64)".into()));
    }

    #[test]
    fn failed_payments_are_counted() {
        let mut tally = Tally::default();
        for status in ["failed", "succeeded", "pending", "failed"] {
            tally.add(&Payment { psp: Some("p"), status });
        }
        assert_eq!((tally.count, tally.failed), (4, 2));
    }
}
