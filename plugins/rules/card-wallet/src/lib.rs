//! A customer pays with a wallet full of cards: stolen ones are tried like this.

use tamis_sdk::prelude::*;

/// How many are too many.
#[derive(Config)]
pub struct Limits {
    /// Different cards of a customer within the window that are still normal.
    #[config(default = 2, min = 0)]
    cards_max: u64,
    /// Length of the window in milliseconds.
    #[config(default = 600_000, min = 1)]
    window_ms: i64,
}

/// A payment attempt.
#[derive(Row)]
#[row(topic = "payments")]
pub struct Payment<'a> {
    #[row(personal)]
    customer_id: Option<&'a str>,
    #[row(personal)]
    card_ref: Option<&'a str>,
}

/// Whether the window that ends at a payment holds too many cards.
#[rule(
    key = "customer_id",
    distinct = "card_ref",
    severity = "critical",
    route = "alerts_advanced_fraud",
    title = "Many cards of one customer within minutes",
    owner = "fraud"
)]
pub fn card_wallet(config: &Limits, cards: &Distinct<Payment>) -> bool {
    cards.count() > config.cards_max
}

#[cfg(test)]
mod tests {
    use tamis_sdk::testing;

    use super::*;

    #[test]
    fn more_than_the_limit_fires() {
        let limits = Limits::default();
        let judge = |count: u64| testing::distinct(count, limits.window_ms, |window| card_wallet(&limits, window));
        assert!(!judge(2));
        assert!(judge(3));
    }

    #[test]
    fn the_same_one_again_and_an_unknown_one_do_not_count() {
        let mut run = testing::Run::<Plugin>::new(r#"{"cards_max": 1}"#);
        let event = |time: i64, key: Option<&str>, value: Option<&str>| {
            testing::Record::new(time, format!("x{time}")).with("customer_id", key).with("card_ref", value)
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
        assert_eq!(versions, (&1.into(), &"distinct(card_ref:text)".into()));
    }
}
