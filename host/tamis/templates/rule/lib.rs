//! A payment above an amount.

use tamis_sdk::prelude::*;

/// What an admin can change.
#[derive(Config)]
pub struct Limits {
    /// The highest amount that is still normal, in euros.
    #[config(default = 1500, min = 0)]
    amount_max: i64,
}

/// What the rule needs of a payment: the host decodes these members and no others. What tells who a person is, as the
/// schema of the topic says (`customer_id`, `ip_address`, …), must be marked `#[row(personal)]`.
#[derive(Row)]
#[row(topic = "payments")]
pub struct Payment {
    amount: Cents,
}

/// Whether the payment is worth a look.
#[rule(title = "Payment of a high amount", severity = "high", route = "alerts_my_plugin")]
pub fn my_plugin(limits: &Limits, payment: &Payment) -> bool {
    payment.amount.0 > 100 * limits.amount_max
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_amounts_above_the_limit() {
        let limits = Limits::default();
        assert!(!my_plugin(&limits, &Payment { amount: Cents(150_000) }));
        assert!(my_plugin(&limits, &Payment { amount: Cents(150_001) }));
    }
}
