//! A customer orders and pays faster than people do.

use tamis_sdk::prelude::*;

/// How many are too many.
#[derive(Config)]
pub struct Limits {
    /// Payments of a customer within the window that are still normal.
    #[config(default = 3, min = 0)]
    payments_max: u64,
    /// Created orders of a customer within the window that are still normal.
    #[config(default = 2, min = 0)]
    orders_max: u64,
    /// Length of the window in milliseconds.
    #[config(default = 120_000, min = 1)]
    window_ms: i64,
}

/// A payment attempt.
#[derive(Row)]
#[row(topic = "payments")]
pub struct Payment<'a> {
    #[row(personal)]
    customer_id: Option<&'a str>,
}

/// The order as it was created.
#[derive(Row)]
#[row(topic = "orders")]
pub struct Created<'a> {
    #[row(personal)]
    customer_id: Option<&'a str>,
    #[row(only = "created")]
    event_type: &'a str,
}

/// Whether the window that ends at a payment or an order holds too many of both.
#[rule(
    key = "customer_id",
    severity = "high",
    route = "alerts_fraud_crossed",
    title = "Many orders and many payments of one customer within minutes",
    owner = "fraud"
)]
pub fn cross_velocity(config: &Limits, events: &Crossed<Payment, Created>) -> bool {
    events.left_count() > config.payments_max && events.right_count() > config.orders_max
}

#[cfg(test)]
mod tests {
    use tamis_sdk::testing;

    use super::*;

    #[test]
    fn more_than_both_limits_fire() {
        let limits = Limits::default();
        for (payments, orders, expected) in [(4, 3, true), (3, 3, false), (4, 2, false), (3, 2, false), (9, 0, false)] {
            let judge = |window: &Crossed<Payment, Created>| cross_velocity(&limits, window);
            let holds = testing::crossed([payments, orders], limits.window_ms, judge);
            assert_eq!(holds, expected, "{payments} payments, {orders} orders");
        }
    }

    #[test]
    fn the_last_of_either_topic_is_the_trigger() {
        let event = |time: i64, input: u8| {
            let record = testing::Record::new(time, format!("x{time}")).of_input(input).with("customer_id", "c1");
            if input == 1 { record.with("event_type", "created") } else { record }
        };
        let fired = |inputs: [u8; 7]| {
            let events: Vec<_> = inputs.into_iter().zip(0..).map(|(input, time)| event(time, input)).collect();
            let fired = testing::Run::<Plugin>::new("{}").all(&events, 3);
            fired.into_iter().map(|fired| (fired.input, fired.id)).collect::<Vec<_>>()
        };
        assert_eq!(fired([0, 0, 0, 1, 1, 1, 0]), [(0, "x6".to_owned())]);
        assert_eq!(fired([0, 0, 0, 0, 1, 1, 1]), [(1, "x6".to_owned())]);
        assert_eq!(fired([0, 0, 0, 0, 0, 1, 1]), []);
    }

    #[test]
    fn stored_states_are_read_as_they_were_written() {
        let run = testing::Run::<Plugin>::new("{}");
        let versions = (&run.manifest()["state_version"], &run.manifest()["state_shape"]);
        assert_eq!(versions, (&1.into(), &"crossed(payments,orders)".into()));
    }
}
