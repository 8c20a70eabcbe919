//! Many customers pay from the same IP address.

use tamis_sdk::prelude::*;

/// How many are too many.
#[derive(Config)]
pub struct Limits {
    /// Different customers of an IP address within the window that are still normal.
    #[config(default = 2, min = 0)]
    customers_max: u64,
    /// Length of the window in milliseconds.
    #[config(default = 300_000, min = 1)]
    window_ms: i64,
}

/// A payment attempt.
#[derive(Row)]
#[row(topic = "payments")]
pub struct Payment<'a> {
    #[row(personal)]
    ip_address: Option<&'a str>,
    #[row(personal)]
    customer_id: Option<&'a str>,
}

/// Whether the window that ends at a payment holds too many customers.
#[rule(
    key = "ip_address",
    distinct = "customer_id",
    severity = "high",
    route = "alerts_fraud_crossed",
    title = "Many customers at one IP address within minutes",
    owner = "fraud"
)]
pub fn shared_ip(config: &Limits, customers: &Distinct<Payment>) -> bool {
    customers.count() > config.customers_max
}

#[cfg(test)]
mod tests {
    use tamis_sdk::testing;

    use super::*;

    #[test]
    fn more_than_the_limit_fires() {
        let limits = Limits::default();
        let judge = |count: u64| testing::distinct(count, limits.window_ms, |window| shared_ip(&limits, window));
        assert!(!judge(2));
        assert!(judge(3));
    }

    #[test]
    fn the_same_one_again_and_an_unknown_one_do_not_count() {
        let mut run = testing::Run::<Plugin>::new(r#"{"customers_max": 1}"#);
        let event = |time: i64, key: Option<&str>, value: Option<&str>| {
            testing::Record::new(time, format!("x{time}")).with("ip_address", key).with("customer_id", value)
        };
        let events = [
            event(0, Some("k"), Some("a")),
            event(1, Some("k"), Some("a")),
            event(2, Some("k"), None),
            event(3, None, Some("b")),
            event(4, Some("l"), Some("b")),
            event(5, Some("k"), Some("b")),
            event(6, Some("k"), None),
        ];
        let fired = run.all(&events, 4);
        assert_eq!(fired.iter().map(|fired| &fired.id[..]).collect::<Vec<_>>(), ["x5"]);
    }

    #[test]
    fn stored_states_are_read_as_they_were_written() {
        let run = testing::Run::<Plugin>::new("{}");
        let versions = (&run.manifest()["state_version"], &run.manifest()["state_shape"]);
        assert_eq!(versions, (&1.into(), &"distinct(customer_id:text)".into()));
    }
}
