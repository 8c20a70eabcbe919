//! The payments of a currency, by the minute and by five minutes: how much, how many, how they were made and what became of them.

use tamis_sdk::prelude::*;

/// A payment attempt.
#[derive(Row)]
#[row(topic = "payments")]
pub struct Payment<'a> {
    currency: Option<&'a str>,
    amount: Cents,
    status: &'a str,
    method: &'a str,
    fraud_flag: Option<bool>,
}

/// What is kept of the payments of a window.
#[derive(Default, State)]
pub struct Tally {
    volume: Total,
    count: i64,
    succeeded: i64,
    failed: i64,
    flagged: i64,
    methods: Counts,
}

impl Fold<Payment<'_>> for Tally {
    fn add(&mut self, payment: &Payment) {
        self.volume += payment.amount;
        self.count += 1;
        self.succeeded += i64::from(payment.status == "succeeded");
        self.failed += i64::from(payment.status == "failed");
        self.flagged += i64::from(payment.fraud_flag == Some(true));
        self.methods.add(payment.method);
    }
}

/// What a row says of a window.
#[derive(Debug, PartialEq, Output)]
pub struct Payments {
    /// Null when it has more than 18 digits.
    volume: Option<Cents>,
    count: i64,
    mean_amount: Option<f64>,
    success_rate: f64,
    failure_rate: f64,
    fraud_rate: f64,
    count_per_method: Counts,
}

/// Sums up a window. Rates are shares of all its payments, from 0 to 1; a payment without a fraud flag is not flagged.
#[aggregate(
    dataset = "payments_by_currency",
    key = "currency",
    windows("1m" = 60_000, "5m" = 300_000),
    title = "Payments of a currency by the minute and by five minutes",
    owner = "payments"
)]
pub fn payments_by_currency(payments: &Tumbling<Payment, Tally>) -> Payments {
    let rate = |part: i64| part as f64 / payments.count as f64;
    Payments {
        volume: payments.volume.cents(),
        count: payments.count,
        mean_amount: payments.volume.mean(payments.count),
        success_rate: rate(payments.succeeded),
        failure_rate: rate(payments.failed),
        fraud_rate: rate(payments.flagged),
        count_per_method: payments.methods.clone(),
    }
}

#[cfg(test)]
mod tests {
    use tamis_sdk::testing;

    use super::*;

    const PAYMENT: Payment =
        Payment { currency: Some("EUR"), amount: Cents(1), status: "succeeded", method: "card", fraud_flag: None };

    fn check(payments: &[Payment], expected: Payments) {
        let mut tally = Tally::default();
        payments.iter().for_each(|payment| tally.add(payment));
        assert_eq!(testing::tumbling(tally, 60_000, payments_by_currency), expected);
    }

    #[test]
    fn a_row_sums_up_all_payments_whatever_became_of_them() {
        let payment = |amount, status, method, fraud_flag| Payment {
            amount: Cents(amount),
            status,
            method,
            fraud_flag,
            ..PAYMENT
        };
        check(
            &[
                payment(1_000, "succeeded", "card", Some(true)),
                payment(2_001, "failed", "card", Some(false)),
                payment(5, "pending", "sepa", None),
                payment(-100, "refunded", "paypal", Some(true)),
            ],
            Payments {
                volume: Some(Cents(2_906)),
                count: 4,
                mean_amount: Some(7.265),
                success_rate: 0.25,
                failure_rate: 0.25,
                fraud_rate: 0.5,
                count_per_method: ["card", "sepa", "paypal", "card"].into_iter().collect(),
            },
        );
    }

    #[test]
    fn nothing_is_rounded() {
        let payment = |amount| Payment { amount: Cents(amount), ..PAYMENT };
        check(
            &[payment(10), payment(10), payment(20)],
            Payments {
                volume: Some(Cents(40)),
                count: 3,
                mean_amount: Some(0.4 / 3.0),
                success_rate: 1.0,
                failure_rate: 0.0,
                fraud_rate: 0.0,
                count_per_method: ["card"; 3].into_iter().collect(),
            },
        );
    }

    #[test]
    fn a_volume_beyond_an_amount_is_null_and_the_mean_still_tells() {
        let mut tally = Tally::default();
        let highest = Payment { amount: Cents(999_999_999_999_999_999), ..PAYMENT };
        tally.add(&highest);
        tally.add(&highest);
        let row = testing::tumbling(tally, 60_000, payments_by_currency);
        assert_eq!((row.volume, row.mean_amount), (None, Some(1e16)));
    }

    #[test]
    fn a_row_has_the_columns_of_the_contract_in_their_order() {
        let run = testing::Run::<Plugin>::new("{}");
        let output = &run.manifest()["output"];
        let columns = output["columns"].as_array().unwrap().iter();
        let names: Vec<_> = columns.map(|column| column["name"].as_str().unwrap()).collect();
        let [label @ .., _, _, _, _, _, _, _] = &names[..] else { panic!("{names:?}") };
        assert_eq!(label, ["name", "window", "window_start", "window_end", "key"]);
        let rest = "volume count mean_amount success_rate failure_rate fraud_rate count_per_method";
        assert_eq!(names[label.len()..].join(" "), rest);
        assert_eq!(output["dataset"], "payments_by_currency");
    }

    #[test]
    fn a_currency_has_a_row_for_each_length_of_windows() {
        let payment = |time: i64, currency: Option<&str>| {
            testing::Record::new(time, format!("p{time}"))
                .with("currency", currency)
                .with("amount", 100)
                .with("status", "failed")
                .with("method", "sepa")
        };
        let mut run = testing::Run::<Plugin>::new("{}");
        run.all(&[payment(59_999, Some("EUR")), payment(60_000, Some("EUR")), payment(60_001, None)], 2);
        let rows: Vec<_> = run
            .rows()
            .iter()
            .map(|row| (row["window"].as_str().unwrap(), row["window_start"].as_i64().unwrap()))
            .collect();
        assert_eq!(rows, [("1m", 0), ("5m", 0), ("1m", 60_000_000)]);
        assert_eq!(run.rows()[1]["volume"], 200);
    }

    #[test]
    fn stored_states_are_read_as_they_were_written() {
        let run = testing::Run::<Plugin>::new("{}");
        let tally = "volume:total,count:i64,succeeded:i64,failed:i64,flagged:i64,methods:counts";
        let shape = format!("tumbling[60000,300000]({tally})");
        assert_eq!((&run.manifest()["state_version"], &run.manifest()["state_shape"]), (&1.into(), &shape.into()));
    }
}
