//! The rules under test, one for each shape of window; and what became of two of them in later versions.

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

/// Many payments and orders of a session.
pub mod crossed {
    use tamis_sdk::prelude::*;

    use super::counted::{Limits, Payment};

    #[derive(Row)]
    #[row(topic = "orders")]
    pub struct Created<'a> {
        pub session: Option<&'a str>,
        #[row(only = "created")]
        pub event_type: &'a str,
    }

    #[rule(key = "session", severity = "high", title = "Crossed", name = "crossed")]
    pub fn crossed(config: &Limits, events: &Crossed<Payment, Created>) -> bool {
        events.left_count() > config.count_max && events.right_count() > 1
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

/// The events of a session in windows of 5 and of 20 seconds.
pub mod volumes {
    use tamis_sdk::prelude::*;

    #[derive(Row)]
    #[row(topic = "payments")]
    pub struct Payment<'a> {
        pub session: Option<&'a str>,
        pub card: Option<&'a str>,
        pub amount: Option<Cents>,
    }

    #[derive(Default, State)]
    pub struct Tally {
        pub count: i64,
        pub amounts: i64,
        pub volume: Total,
        pub cards: Counts,
    }

    impl Fold<Payment<'_>> for Tally {
        fn add(&mut self, payment: &Payment) {
            self.count += 1;
            self.amounts += i64::from(payment.amount.is_some());
            self.volume += payment.amount;
            self.cards.add(payment.card.unwrap_or("none"));
        }
    }

    #[derive(Output)]
    pub struct Volume {
        pub count: i64,
        pub volume: Option<Cents>,
        pub mean: Option<f64>,
        pub cards: Counts,
    }

    #[aggregate(
        dataset = "volumes",
        key = "session",
        windows("5s" = 5_000, "20s" = 20_000),
        title = "Volumes",
        name = "volumes"
    )]
    pub fn volumes(events: &Tumbling<Payment, Tally>) -> Volume {
        Volume {
            count: events.count,
            volume: events.volume.cents(),
            mean: events.volume.mean(events.amounts),
            cards: events.cards.clone(),
        }
    }
}

/// The rule `tumbling` in its third version: the first did not count events without the card, the second (`Seen`) kept the
/// others instead.
pub mod tumbling_v3 {
    use tamis_sdk::prelude::*;

    use super::counted::{Limits, Payment};
    use super::tumbling::Tally as TallyV1;

    #[derive(Default, State)]
    pub struct Seen {
        pub others: u64,
        pub matching: u64,
    }

    #[derive(Default, State)]
    pub struct Share {
        pub matching: u64,
        pub count: u64,
        pub is_complete: bool,
    }

    impl Fold<Payment<'_>> for Share {
        fn add(&mut self, payment: &Payment) {
            self.count += 1;
            self.matching += u64::from(payment.card == Some("c1"));
        }
    }

    fn share_of_v1(old: TallyV1) -> Share {
        Share { matching: old.matching, count: old.count, is_complete: true }
    }

    fn share_of_seen(old: Seen) -> Share {
        Share { matching: old.matching, count: old.others + old.matching, is_complete: false }
    }

    #[rule(
        key = "session",
        severity = "high",
        title = "Tumbling",
        name = "tumbling",
        state_version = 3,
        migrates(1 = share_of_v1, 2 = share_of_seen)
    )]
    pub fn tumbling(config: &Limits, window: &Tumbling<Payment, Share>) -> bool {
        window.matching > config.count_max
    }
}

/// The aggregate `volumes` in its second version: it only counts, and its short windows are longer.
pub mod volumes_v2 {
    use tamis_sdk::prelude::*;

    use super::volumes::{Payment, Tally as TallyV1};

    #[derive(Default, State)]
    pub struct Tally {
        pub count: i64,
    }

    impl Fold<Payment<'_>> for Tally {
        fn add(&mut self, _: &Payment) {
            self.count += 1;
        }
    }

    #[derive(Output)]
    pub struct Count {
        pub count: i64,
    }

    fn tally_of_v1(old: TallyV1) -> Tally {
        Tally { count: old.count }
    }

    #[aggregate(
        dataset = "volumes",
        key = "session",
        windows("10s" = 10_000, "20s" = 20_000),
        title = "Volumes",
        name = "volumes",
        state_version = 2,
        migrates(1 = tally_of_v1)
    )]
    pub fn volumes(events: &Tumbling<Payment, Tally>) -> Count {
        Count { count: events.count }
    }
}
