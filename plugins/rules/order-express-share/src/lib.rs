//! An unusual share of the orders is to be delivered by express: somebody is in a hurry.

use tamis_sdk::prelude::*;

/// Which share is too large.
#[derive(Config)]
pub struct Limits {
    /// The highest share of created orders by express that is still normal, in percent.
    #[config(default = Percent::whole(50), min = 0, max = 100)]
    express_percent_max: Percent,
    /// Length of the window in milliseconds.
    #[config(default = 300_000, min = 1)]
    window_ms: i64,
}

/// The order as it was created.
#[derive(Row)]
#[row(topic = "orders")]
pub struct Created<'a> {
    #[row(only = "created")]
    event_type: &'a str,
    delivery_method: Option<&'a str>,
}

/// The created orders of a window.
#[derive(Default, State)]
pub struct Tally {
    created: u64,
    express: u64,
}

impl Fold<Created<'_>> for Tally {
    fn add(&mut self, order: &Created) {
        self.created += 1;
        self.express += u64::from(order.delivery_method == Some("express"));
    }
}

/// Whether too many of the window's orders are by express. An order whose delivery is unknown is one of them all.
#[rule(
    key = "all",
    severity = "warning",
    route = "alerts_orders",
    title = "Large share of orders by express",
    owner = "orders"
)]
pub fn order_express_share(config: &Limits, orders: &Tumbling<Created, Tally>) -> bool {
    config.express_percent_max.is_exceeded(orders.express, orders.created)
}

#[cfg(test)]
mod tests {
    use tamis_sdk::testing;

    use super::*;

    #[test]
    fn more_than_the_limit_fires() {
        let limits = Limits::default();
        let check = |express: u64, created: u64, expected: bool| {
            let judge = |window: &Tumbling<Created, Tally>| order_express_share(&limits, window);
            let holds = testing::tumbling(Tally { created, express }, limits.window_ms, judge);
            assert_eq!(holds, expected, "{express} of {created}");
        };
        check(1, 2, false);
        check(2, 3, true);
        check(1, 1, true);
        check(0, 1, false);
        check(50, 101, false);
        check(51, 101, true);
    }

    #[test]
    fn an_order_whose_delivery_is_unknown_counts_among_all() {
        let mut tally = Tally::default();
        for delivery_method in [Some("express"), Some("standard"), Some("pickup"), None] {
            tally.add(&Created { event_type: "created", delivery_method });
        }
        assert_eq!((tally.created, tally.express), (4, 1));
    }

    #[test]
    fn stored_states_are_read_as_they_were_written() {
        let run = testing::Run::<Plugin>::new("{}");
        let versions = (&run.manifest()["state_version"], &run.manifest()["state_shape"]);
        assert_eq!(versions, (&1.into(), &"tumbling(created:u64,express:u64)".into()));
    }
}
