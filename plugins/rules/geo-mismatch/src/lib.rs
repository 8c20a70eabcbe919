//! A risky payment from another country than the one that it is billed to.

use tamis_sdk::prelude::*;

/// Which risk is too high.
#[derive(Config)]
pub struct Limits {
    /// The highest risk score of a payment from another country that is still normal.
    #[config(default = 60, min = 0, max = 100)]
    risk_score_max: i64,
}

/// A payment attempt.
#[derive(Row)]
#[row(topic = "payments")]
pub struct Payment<'a> {
    billing_country: Option<&'a str>,
    ip_country: Option<&'a str>,
    risk_score: Option<i64>,
}

/// Whether the countries differ and the risk is high; an unknown country differs from none.
#[rule(
    severity = "high",
    route = "alerts_advanced_fraud",
    title = "Risky payment from another country than it is billed to",
    owner = "fraud"
)]
pub fn geo_mismatch(config: &Limits, payment: &Payment) -> bool {
    let differ = payment.billing_country.zip(payment.ip_country).is_some_and(|(billing, ip)| billing != ip);
    differ && payment.risk_score.is_some_and(|score| score > config.risk_score_max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_must_hold_and_null_is_no_difference() {
        let check = |billing_country, ip_country, risk_score, expected: bool| {
            let payment = Payment { billing_country, ip_country, risk_score };
            assert_eq!(
                geo_mismatch(&Limits::default(), &payment),
                expected,
                "{billing_country:?} {ip_country:?} {risk_score:?}"
            );
        };
        check(Some("FR"), Some("BE"), Some(61), true);
        check(Some("FR"), Some("BE"), Some(60), false);
        check(Some("FR"), Some("BE"), None, false);
        check(Some("FR"), Some("FR"), Some(100), false);
        check(Some("FR"), Some("fr"), Some(61), true);
        check(None, Some("BE"), Some(100), false);
        check(Some("FR"), None, Some(100), false);
        check(None, None, Some(100), false);
    }
}
