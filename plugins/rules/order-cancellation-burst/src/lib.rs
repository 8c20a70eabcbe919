//! Many orders are cancelled at once.

use tamis_sdk::prelude::*;

/// How many cancellations are too many.
#[derive(Config)]
pub struct Limits {
    /// Cancellations within the window that are still normal.
    #[config(default = 10, min = 0)]
    cancellations_max: u64,
    /// Length of the window in milliseconds.
    #[config(default = 60_000, min = 1)]
    window_ms: i64,
}

/// The cancellation of an order.
#[derive(Row)]
#[row(topic = "orders")]
pub struct Cancelled<'a> {
    #[row(only = "cancelled")]
    event_type: &'a str,
}

/// The cancellations of a window.
#[derive(Default, State)]
pub struct Tally {
    cancellations: u64,
}

impl Fold<Cancelled<'_>> for Tally {
    fn add(&mut self, _: &Cancelled) {
        self.cancellations += 1;
    }
}

/// Whether a window holds too many cancellations.
#[rule(
    key = "all",
    severity = "high",
    route = "alerts_orders",
    title = "Many orders cancelled within a short time",
    owner = "orders"
)]
pub fn order_cancellation_burst(config: &Limits, orders: &Tumbling<Cancelled, Tally>) -> bool {
    orders.cancellations > config.cancellations_max
}

#[cfg(test)]
mod tests {
    use tamis_sdk::testing;

    use super::*;

    #[test]
    fn more_than_the_limit_fires() {
        let limits = Limits::default();
        for (cancellations, expected) in [(9, false), (10, false), (11, true)] {
            let judge = |window: &Tumbling<Cancelled, Tally>| order_cancellation_burst(&limits, window);
            assert_eq!(
                testing::tumbling(Tally { cancellations }, limits.window_ms, judge),
                expected,
                "{cancellations}"
            );
        }
    }

    #[test]
    fn only_cancellations_are_counted() {
        let mut run = testing::Run::<Plugin>::new(r#"{"cancellations_max": 1}"#);
        let order =
            |time: i64, event_type: &str| testing::Record::new(time, format!("e{time}")).with("event_type", event_type);
        let orders = [order(0, "cancelled"), order(1, "created"), order(2, "cancelled"), order(60_000, "cancelled")];
        let fired = run.all(&orders, 4);
        assert_eq!(fired.iter().map(|fired| &fired.id[..]).collect::<Vec<_>>(), ["all|0"]);
    }

    #[test]
    fn stored_states_are_read_as_they_were_written() {
        let run = testing::Run::<Plugin>::new("{}");
        let versions = (&run.manifest()["state_version"], &run.manifest()["state_shape"]);
        assert_eq!(versions, (&1.into(), &"tumbling(cancellations:u64)".into()));
    }
}
