//! A payment of an unusually high amount.

use tamis_sdk::prelude::*;

/// Which amount is too high.
#[derive(Config)]
pub struct Limits {
    /// The highest amount that is still normal.
    #[config(default = Cents(150_000), min = 0)]
    amount_max: Cents,
}

/// A payment attempt.
#[derive(Row)]
#[row(topic = "payments")]
pub struct Payment {
    amount: Cents,
}

/// Whether a payment is higher than the limit, whatever became of it.
#[rule(severity = "high", route = "alerts_psp_payments", title = "Payment of a high amount", owner = "payments")]
pub fn payment_high_amount(config: &Limits, payment: &Payment) -> bool {
    payment.amount > config.amount_max
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_the_limit_fires() {
        let check = |limits: &Limits, amount: i64, expected: bool| {
            assert_eq!(payment_high_amount(limits, &Payment { amount: Cents(amount) }), expected, "{amount}");
        };
        let limits = Limits::default();
        check(&limits, 149_999, false);
        check(&limits, 150_000, false);
        check(&limits, 150_001, true);
        check(&limits, -150_001, false);
        check(&Limits { amount_max: Cents(49_999) }, 50_000, true);
    }
}
