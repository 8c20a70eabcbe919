//! Many payments of one customer in a short time.

use tamis_sdk::prelude::*;

/// What an admin can change.
#[derive(Config)]
pub struct Limits {
    /// Payments within the window that are still normal.
    #[config(default = 5, min = 0)]
    payments_max: u64,
    /// Length of the window.
    #[config(default = 60_000, min = 1)]
    window_ms: i64,
}

/// What the rule needs of a payment. What tells who a person is, as the schema of the topic says (`customer_id`, `ip_address`, …),
/// must be marked `#[row(personal)]`. A column `#[row(only = "failed")] status: &'a str` would leave out all other payments.
#[derive(Row)]
#[row(topic = "payments")]
pub struct Payment<'a> {
    #[row(personal)]
    customer_id: Option<&'a str>,
}

/// Whether the window that ends at a payment of a customer holds too many.
#[rule(key = "customer_id", title = "Many payments of one customer", severity = "high", route = "alerts_my_plugin")]
pub fn my_plugin(limits: &Limits, payments: &Sliding<Payment>) -> bool {
    payments.count() > limits.payments_max
}

#[cfg(test)]
mod tests {
    use tamis_sdk::testing;

    use super::*;

    #[test]
    fn one_more_than_the_limit_fires() {
        let limits = Limits::default();
        let judge = |times: &[i64]| testing::sliding(times, limits.window_ms, |window| my_plugin(&limits, window));
        assert!(!judge(&[0, 1, 2, 3, 4]));
        assert!(judge(&[0, 1, 2, 3, 4, 5]));
    }
}
