//! Payment attempts with 8 % fraud, in the order in which a broker would hold them: slightly out of
//! order, a few late, a few broken.

use super::company::{Customer, DAY_MS, Dice, basket, customer};
use super::{Event, Scale, cents, day_start};

pub(super) const PER_DAY: u64 = 25_000;
const PSPS: [&str; 4] = ["psp-alpha", "psp-beta", "psp-gamma", "psp-delta"];
const HIGH_RISK: [&str; 6] = ["NG", "RU", "KP", "IR", "UA", "VN"];

/// Payment attempts, one after the other, without end.
pub struct Payments {
    seed: u64,
    scale: Scale,
    dice: Dice,
    /// What the ids of its payments begin with.
    prefix: String,
    made: u64,
}

impl Payments {
    /// Follows from the seed; `prefix` tells its payments from those of another day.
    pub fn new(seed: u64, scale: Scale, prefix: &str) -> Self {
        Self { seed, scale, dice: Dice::new(seed, "payments"), prefix: prefix.to_owned(), made: 0 }
    }

    /// A whole day, ordered as it arrives.
    pub fn day(mut self) -> impl Iterator<Item = Event> {
        let count = self.scale.of(PER_DAY);
        let mut queue = Vec::new();
        std::iter::from_fn(move || {
            if queue.is_empty() {
                if self.made >= count {
                    return None;
                }
                let at = day_start() + self.dice.time_of_day(self.made, count).min(DAY_MS - 1);
                queue = self.attempts(at);
                queue.reverse();
            }
            queue.pop()
        })
    }

    /// What happens at `time`: mostly one attempt, sometimes somebody trying cards, sometimes a broken record.
    pub fn attempts(&mut self, time: i64) -> Vec<Event> {
        let shopper = self.shopper();
        match self.dice.between(0, 999) {
            0..=5 => self.card_testing(&shopper, time),
            6..=8 => vec![self.broken(time)],
            _ => vec![self.attempt(&shopper, time, None)],
        }
    }

    /// Somebody trying cards.
    pub fn card_tester(&mut self, time: i64) -> Vec<Event> {
        let shopper = self.shopper();
        self.card_testing(&shopper, time)
    }

    fn shopper(&mut self) -> Customer {
        customer(self.seed, self.dice.between(1, self.scale.of(5_000) as i64) as u64)
    }

    /// Four to eight attempts of one session within five seconds.
    fn card_testing(&mut self, shopper: &Customer, time: i64) -> Vec<Event> {
        let session = format!("s-test-{:08x}", self.dice.between(0, 0xffff_ffff));
        let attempts = self.dice.between(4, 8);
        (0..attempts).map(|i| self.attempt(shopper, time + i * 600, Some(&session))).collect()
    }

    /// An attempt; `testing_session` is that of somebody who tries cards.
    pub(super) fn attempt(&mut self, shopper: &Customer, time: i64, testing_session: Option<&str>) -> Event {
        let dice = &mut self.dice;
        self.made += 1;
        let number = self.made;
        let fraud = testing_session.is_some() || dice.percent(7.0);
        // One provider is down from 11:00 to 11:20.
        let psp = *dice.pick(&PSPS);
        let outage = psp == "psp-gamma" && (11 * 3_600_000..11 * 3_600_000 + 1_200_000).contains(&(time - day_start()));
        let failed = testing_session.is_some() || dice.percent(if outage { 60.0 } else { 1.5 });
        let status = match () {
            () if failed => "failed",
            () if dice.percent(3.0) => "refunded",
            () if dice.percent(2.0) => "pending",
            () => "succeeded",
        };
        let risk = if fraud { dice.between(35, 100) } else { dice.between(0, 62) };
        let ip_country = if fraud && dice.percent(35.0) { dice.pick(&HIGH_RISK) } else { shopper.country };
        let (card_ref, card_masked) = match testing_session {
            Some(_) => {
                (format!("card-t-{number}"), format!("4000{:02}******{:04}", dice.between(0, 1), number % 10_000))
            }
            None => shopper.card.clone(),
        };
        // Who tries cards pays small sums; one in a hundred others pays what the order does not say.
        let amount = match testing_session {
            None if !dice.percent(1.0) => basket(self.seed, number).total(),
            _ => dice.amount(),
        };
        // A tenth of the attempts arrives up to three seconds out of order, one in a thousand far too late.
        let delay = match dice.between(0, 999) {
            0 => -45_000,
            1..=100 => -dice.between(0, 3_000),
            _ => 0,
        };
        let value = format!(
            concat!(
                r#"{{"payment_id":"{}-{:08}","order_id":"ord-{:08}","customer_id":"{}","session_id":"{}","amount":{},"currency":"{}","#,
                r#""method":"{}","status":"{}","psp":"{}","risk_score":{},"fraud_flag":{},"billing_country":"{}","ip_country":{},"#,
                r#""ip_address":"{}","device_fingerprint":"{}","card_ref":"{}","card_masked":"{}","user_agent":"{}","#,
                r#""processing_time_ms":{},"error_code":{},"created_at":"{}"}}"#
            ),
            self.prefix,
            number,
            number,
            shopper.id,
            testing_session.map_or_else(|| format!("s-{number:08}"), str::to_owned),
            cents(amount),
            dice.pick(&["EUR", "EUR", "EUR", "EUR", "GBP", "CHF"]),
            dice.pick(&["card", "card", "card", "paypal", "sepa", "apple_pay", "google_pay"]),
            status,
            psp,
            risk,
            fraud && dice.percent(50.0),
            shopper.country,
            if dice.percent(1.0) { "\"N/A\"".to_owned() } else { format!("\"{ip_country}\"") },
            shopper.ip,
            shopper.device,
            card_ref,
            card_masked,
            if fraud && dice.percent(10.0) {
                "python-requests/2.32.3"
            } else {
                "Mozilla/5.0 (X11; Linux x86_64; rv:134.0) Gecko/20100101 Firefox/134.0"
            },
            dice.between(40, 2_400),
            if failed { "\"card_declined\"" } else { "null" },
            tamis_model::time::rfc3339_millis(time),
        );
        Event { timestamp: time + delay, key: shopper.id.clone(), value }
    }

    /// A record that no consumer should trust.
    fn broken(&mut self, time: i64) -> Event {
        self.made += 1;
        let value = match self.dice.between(0, 3) {
            0 => r#"{"payment_id":"pay-broken","amount":"#.to_owned(),
            1 => r#"{"payment_id":"pay-broken","amount":"12.00","method":"card","status":"succeeded"}"#.to_owned(),
            2 => r#"{"amount":12.00,"method":"card","status":"succeeded"}"#.to_owned(),
            _ => r#"{"payment_id":"pay-broken","amount":12.00,"method":"cash","status":"succeeded","risk_score":7}"#
                .to_owned(),
        };
        Event { timestamp: time, key: "broken".to_owned(), value }
    }
}
