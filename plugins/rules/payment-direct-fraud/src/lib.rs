//! A payment that looks fraudulent by itself: flagged, risky, from a risky country, or failed with some risk.

use tamis_sdk::prelude::*;

/// What makes a payment suspicious.
#[derive(Config)]
pub struct Limits {
    /// The highest risk score that is still normal.
    #[config(default = 70, min = 0, max = 100)]
    risk_score_max: i64,
    /// The highest risk score of a failed payment that is still normal.
    #[config(default = 40, min = 0, max = 100)]
    failed_risk_score_max: i64,
    /// Countries (ISO 3166-1 alpha-2) from which no payment is expected.
    #[config(default = ["NG", "RU", "KP", "IR", "UA", "VN"], list)]
    high_risk_countries: TextSet,
}

/// A payment attempt.
#[derive(Row)]
#[row(topic = "payments")]
pub struct Payment<'a> {
    fraud_flag: Option<bool>,
    risk_score: Option<i64>,
    ip_country: Option<&'a str>,
    status: &'a str,
}

/// Which of the criteria hold; null is no reason for suspicion.
#[rule(
    criteria = ["fraud_flag", "high_risk_score", "high_risk_country", "failed_with_risk"],
    severity(1 = "high", 2 = "critical"),
    route = "alerts_fraud_payments",
    title = "Payment that looks fraudulent by itself",
    owner = "fraud"
)]
pub fn payment_direct_fraud(config: &Limits, payment: &Payment) -> [bool; 4] {
    let risk_above = |limit| payment.risk_score.is_some_and(|score| score > limit);
    [
        payment.fraud_flag == Some(true),
        risk_above(config.risk_score_max),
        payment.ip_country.is_some_and(|country| config.high_risk_countries.contains(country)),
        payment.status == "failed" && risk_above(config.failed_risk_score_max),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    const NORMAL: Payment =
        Payment { fraud_flag: Some(false), risk_score: Some(10), ip_country: Some("FR"), status: "succeeded" };

    fn check(payment: Payment, expected: [bool; 4]) {
        assert_eq!(payment_direct_fraud(&Limits::default(), &payment), expected);
    }

    #[test]
    fn each_criterion_by_itself() {
        check(NORMAL, [false; 4]);
        check(Payment { fraud_flag: Some(true), ..NORMAL }, [true, false, false, false]);
        check(Payment { risk_score: Some(70), ..NORMAL }, [false; 4]);
        check(Payment { risk_score: Some(71), ..NORMAL }, [false, true, false, false]);
        check(Payment { ip_country: Some("VN"), ..NORMAL }, [false, false, true, false]);
        check(Payment { risk_score: Some(40), status: "failed", ..NORMAL }, [false; 4]);
        check(Payment { risk_score: Some(41), status: "failed", ..NORMAL }, [false, false, false, true]);
    }

    #[test]
    fn null_is_no_reason() {
        check(Payment { fraud_flag: None, risk_score: None, ip_country: None, status: "failed" }, [false; 4]);
    }
}
