//! The rules under test, one for each shape of window.

/// Many events of a session.
pub mod counted {
    use tamis_sdk::prelude::*;

    /// Settings.
    #[derive(Config)]
    pub struct Limits {
        /// Events that are still normal.
        #[config(default = 2)]
        pub count_max: u64,
        /// Length of the window.
        #[config(default = 5_000)]
        pub window_ms: i64,
    }

    #[derive(Row)]
    #[row(topic = "payments")]
    pub struct Payment<'a> {
        pub session: Option<&'a str>,
        pub card: Option<&'a str>,
    }

    #[rule(key = "session", severity = "high", title = "Counted", name = "counted")]
    pub fn counted(config: &Limits, events: &Sliding<Payment>) -> bool {
        events.count() > config.count_max
    }
}

/// Many events of a session with the card `c1`, looked at one by one.
pub mod kept {
    use tamis_sdk::prelude::*;

    use super::counted::{Limits, Payment};

    #[rule(key = "session", severity = "high", title = "Kept", name = "kept")]
    pub fn kept(config: &Limits, events: &Sliding<Payment, Kept>) -> bool {
        events.rows().filter(|event| event.card == Some("c1")).count() as u64 > config.count_max
    }
}

/// Many cards of a session.
pub mod distinct {
    use tamis_sdk::prelude::*;

    use super::counted::{Limits, Payment};

    #[rule(key = "session", distinct = "card", severity = "high", title = "Distinct", name = "distinct")]
    pub fn distinct(config: &Limits, cards: &Distinct<Payment>) -> bool {
        cards.count() > config.count_max
    }
}

/// Many events of the card `c1` in a window of all sessions.
pub mod tumbling {
    use tamis_sdk::prelude::*;

    use super::counted::{Limits, Payment};

    #[derive(Default, State)]
    pub struct Tally {
        pub count: u64,
        pub matching: u64,
    }

    impl Fold<Payment<'_>> for Tally {
        fn add(&mut self, payment: &Payment) {
            self.count += 1;
            self.matching += u64::from(payment.card == Some("c1"));
        }
    }

    #[rule(key = "session", severity = "high", title = "Tumbling", name = "tumbling")]
    pub fn tumbling(config: &Limits, window: &Tumbling<Payment, Tally>) -> bool {
        window.matching > config.count_max
    }
}

/// Payments whose amount is not that of their order.
pub mod joined {
    use tamis_sdk::prelude::*;

    #[derive(Row)]
    #[row(topic = "payments")]
    pub struct Payment<'a> {
        pub order_id: Option<&'a str>,
        pub amount: Cents,
    }

    #[derive(Row)]
    #[row(topic = "orders")]
    pub struct Created<'a> {
        pub order_id: Option<&'a str>,
        #[row(only = "created")]
        pub event_type: &'a str,
        pub total: Option<Cents>,
    }

    #[rule(key = "order_id", severity = "high", title = "Joined", name = "joined")]
    pub fn joined(pair: &Joined<Payment, Created>) -> bool {
        pair.right().total.is_some_and(|total| total != pair.left().amount)
    }
}

/// The same, compared with every order event.
pub mod joined_any {
    use tamis_sdk::prelude::*;

    use super::joined::{Created, Payment};

    #[rule(key = "order_id", pairing = "any", severity = "high", title = "Joined", name = "joined-any")]
    pub fn joined_any(pair: &Joined<Payment, Created>) -> bool {
        super::joined::joined(pair)
    }
}
