//! A payment of another amount than its order: too much, or too little.

use tamis_sdk::prelude::*;

/// Which difference is too large.
#[derive(Config)]
pub struct Limits {
    /// The largest difference between a payment and the total of its order that is still normal, in percent of the total.
    #[config(default = Percent::whole(5), min = 0)]
    percent_max: Percent,
}

/// A payment attempt.
#[derive(Row)]
#[row(topic = "payments")]
pub struct Payment<'a> {
    order_id: Option<&'a str>,
    amount: Cents,
    status: &'a str,
}

/// The order as it was created.
#[derive(Row)]
#[row(topic = "orders")]
pub struct Created<'a> {
    order_id: &'a str,
    #[row(only = "created")]
    event_type: &'a str,
    total: Option<Cents>,
}

/// Whether a payment that did not fail differs too much from its order's total. Unknown totals and those of 0 tell nothing.
#[rule(
    key = "order_id",
    severity = "high",
    route = "alerts_fraud_crossed",
    title = "Payment of another amount than its order",
    owner = "fraud"
)]
pub fn amount_mismatch(config: &Limits, pair: &Joined<Payment, Created>) -> bool {
    let (payment, order) = (pair.left(), pair.right());
    let differs = |total: Cents| config.percent_max.is_exceeded(payment.amount.0.abs_diff(total.0), total.0);
    payment.status != "failed" && order.total.is_some_and(differs)
}

#[cfg(test)]
mod tests {
    use tamis_sdk::testing;

    use super::*;

    fn holds(limits: &Limits, status: &str, amount: i64, total: Option<i64>) -> bool {
        let payment = Payment { order_id: Some("o1"), amount: Cents(amount), status };
        let order = Created { order_id: "o1", event_type: "created", total: total.map(Cents) };
        testing::joined::<Payment, Created, _>((1, payment), (0, order), |pair| amount_mismatch(limits, pair))
    }

    #[test]
    fn more_than_five_percent_in_either_direction() {
        let check = |amount: i64, total: i64, expected: bool| {
            let found = holds(&Limits::default(), "succeeded", amount, Some(total));
            assert_eq!(found, expected, "{amount} for {total}");
        };
        check(10_500, 10_000, false);
        check(10_501, 10_000, true);
        check(9_500, 10_000, false);
        check(9_499, 10_000, true);
        check(105, 100, false);
        check(0, 1, true);
        check(i64::MAX, i64::MAX, false);
        check(i64::MIN, i64::MAX, true);
    }

    #[test]
    fn a_total_that_is_unknown_or_not_positive_tells_nothing() {
        for total in [None, Some(0), Some(-10_000)] {
            assert!(!holds(&Limits::default(), "succeeded", 50_000, total), "{total:?}");
        }
    }

    #[test]
    fn only_a_failed_payment_may_have_any_amount() {
        for (status, expected) in [("succeeded", true), ("pending", true), ("refunded", true), ("failed", false)] {
            assert_eq!(holds(&Limits::default(), status, 50_000, Some(10_000)), expected, "{status}");
        }
    }

    #[test]
    fn the_limit_is_the_admin_s() {
        let limits = Limits { percent_max: Percent::from_f64(0.5).unwrap() };
        assert!(!holds(&limits, "succeeded", 10_050, Some(10_000)));
        assert!(holds(&limits, "succeeded", 10_051, Some(10_000)));
    }

    #[test]
    fn stored_states_are_read_as_they_were_written() {
        let run = testing::Run::<Plugin>::new("{}");
        let shape = "joined(first;payments(order_id:text?,amount:decimal,status:text);\
            orders(order_id:text,event_type:text,total:decimal?))";
        assert_eq!((&run.manifest()["state_version"], &run.manifest()["state_shape"]), (&1.into(), &shape.into()));
    }
}
