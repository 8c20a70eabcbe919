//! The payments of a provider, by the minute and by the hour.

use tamis_sdk::prelude::*;

/// What the aggregate needs of a payment. What tells who a person is, as the
/// schema of the topic says (`customer_id`, `ip_address`, …), must be marked `#[row(personal)]`.
#[derive(Row)]
#[row(topic = "payments")]
pub struct Payment<'a> {
    psp: Option<&'a str>,
    amount: Cents,
    status: &'a str,
}

/// What is kept of the payments of a window.
#[derive(Default, State)]
pub struct Tally {
    count: i64,
    failed: i64,
    volume: Total,
}

impl Fold<Payment<'_>> for Tally {
    fn add(&mut self, payment: &Payment<'_>) {
        self.count += 1;
        self.failed += i64::from(payment.status == "failed");
        self.volume += payment.amount;
    }
}

/// What a row says of a window, behind its name, its bounds and its key.
#[derive(Output)]
pub struct Summary {
    count: i64,
    volume: Option<Cents>,
    failure_rate: f64,
}

/// Sums up a window, once it is over.
#[aggregate(
    dataset = "my_plugin",
    key = "psp",
    windows("1m" = 60_000, "1h" = 3_600_000),
    title = "Payments of a provider by the minute and by the hour"
)]
pub fn my_plugin(window: &Tumbling<Payment, Tally>) -> Summary {
    Summary {
        count: window.count,
        volume: window.volume.cents(),
        failure_rate: window.failed as f64 / window.count as f64,
    }
}

#[cfg(test)]
mod tests {
    use tamis_sdk::testing;

    use super::*;

    #[test]
    fn a_quarter_failed() {
        let tally = Tally { count: 4, failed: 1, volume: Cents(1000).into() };
        let row = testing::tumbling(tally, 60_000, my_plugin);
        assert_eq!((row.count, row.volume, row.failure_rate), (4, Some(Cents(1000)), 0.25));
    }
}
