//! Many refused payments of one provider within five minutes.

use tamis_sdk::prelude::*;

/// What an admin can change.
#[derive(Config)]
pub struct Limits {
    /// Failed payments of a window that are still normal.
    #[config(default = 20, min = 0)]
    failed_max: u64,
    /// Length of the windows.
    #[config(default = 300_000, min = 1)]
    window_ms: i64,
}

/// What the rule needs of a payment. What tells who a person is, as the
/// schema of the topic says (`customer_id`, `ip_address`, …), must be marked `#[row(personal)]`.
#[derive(Row)]
#[row(topic = "payments")]
pub struct Payment<'a> {
    psp: Option<&'a str>,
    status: &'a str,
}

/// What is kept of the payments of a window.
#[derive(Default, State)]
pub struct Tally {
    count: u64,
    failed: u64,
}

impl Fold<Payment<'_>> for Tally {
    fn add(&mut self, payment: &Payment<'_>) {
        self.count += 1;
        self.failed += u64::from(payment.status == "failed");
    }
}

/// Whether too many of a window failed, once it is over.
#[rule(key = "psp", title = "Many failed payments of a provider", severity = "high", route = "alerts_my_plugin")]
pub fn my_plugin(limits: &Limits, window: &Tumbling<Payment, Tally>) -> bool {
    window.failed > limits.failed_max
}

#[cfg(test)]
mod tests {
    use tamis_sdk::testing;

    use super::*;

    #[test]
    fn one_more_than_the_limit_fires() {
        let limits = Limits::default();
        let judge = |failed| {
            let tally = Tally { count: 100, failed };
            testing::tumbling(tally, limits.window_ms, |window| my_plugin(&limits, window))
        };
        assert!(!judge(20));
        assert!(judge(21));
    }
}
