//! A payment by a card whose first six digits, the bank identification number, are known for fraud.

use tamis_sdk::prelude::*;

/// Which cards are known for fraud.
#[derive(Config)]
pub struct Limits {
    /// The first six digits of cards with which no payment is expected.
    #[config(default = ["400000", "411111", "510510", "555555"], list)]
    fraud_bins: TextSet,
}

/// A payment attempt.
#[derive(Row)]
#[row(topic = "payments")]
pub struct Payment<'a> {
    #[row(personal)]
    card_masked: Option<&'a str>,
}

/// Whether a card begins with one of them; a payment without a card does not.
#[rule(
    severity = "critical",
    route = "alerts_advanced_fraud",
    title = "Card of an issuer known for fraud",
    owner = "fraud"
)]
pub fn fraud_bin(config: &Limits, payment: &Payment) -> bool {
    let bin = payment.card_masked.and_then(|card| card.get(..6));
    bin.is_some_and(|bin| config.fraud_bins.contains(bin))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_six_characters_are_looked_up() {
        let check = |card_masked: Option<&str>, expected: bool| {
            assert_eq!(fraud_bin(&Limits::default(), &Payment { card_masked }), expected, "{card_masked:?}");
        };
        check(Some("400000******1234"), true);
        check(Some("411111"), true);
        check(Some("510510******0000"), true);
        check(Some("555555******0000"), true);
        check(Some("400001******1234"), false);
        check(Some("497010******4000"), false);
        check(Some(" 400000******123"), false);
        check(Some("40000"), false);
        check(Some("40000é******1234"), false);
        check(Some(""), false);
        check(None, false);
    }
}
