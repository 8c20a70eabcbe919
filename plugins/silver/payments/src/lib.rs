//! Attempts to pay, from the archive of their topic: one row an attempt, without what tells who paid.

use tamis_sdk::prelude::*;
use tamis_sdk::read::{TruncatedAddress, Unreadable};

const STATUSES: [&str; 4] = ["succeeded", "failed", "pending", "refunded"];
const METHODS: [&str; 5] = ["card", "paypal", "sepa", "apple_pay", "google_pay"];
/// Digits of a card's number that name its bank.
const BIN_DIGITS: usize = 6;

/// An event of the topic.
#[derive(Clone, Copy, Default, Row)]
#[row(source = "payments", format = "records")]
pub struct Event<'a> {
    payment_id: Option<&'a str>,
    order_id: Option<&'a str>,
    #[row(personal)]
    customer_id: Option<&'a str>,
    session_id: Option<&'a str>,
    amount: Option<&'a str>,
    currency: Option<&'a str>,
    method: Option<&'a str>,
    status: Option<&'a str>,
    psp: Option<&'a str>,
    risk_score: Option<&'a str>,
    fraud_flag: Option<&'a str>,
    billing_country: Option<&'a str>,
    ip_country: Option<&'a str>,
    #[row(personal)]
    ip_address: Option<&'a str>,
    #[row(personal)]
    device_fingerprint: Option<&'a str>,
    #[row(personal)]
    card_ref: Option<&'a str>,
    #[row(personal)]
    card_masked: Option<&'a str>,
    processing_time_ms: Option<&'a str>,
    error_code: Option<&'a str>,
    created_at: Option<&'a str>,
}

/// An attempt to pay.
#[derive(Debug, PartialEq, Output)]
#[output(dataset = "silver.payments", partition_by = "event_date", key = "payment_id")]
pub struct Payment<'a> {
    payment_id: &'a str,
    order_id: Cell<&'a str>,
    client_id: Cell<Pseudo<'a>>,
    session_id: Cell<&'a str>,
    amount: Cell<Cents>,
    currency: Cell<&'a str>,
    method: Cell<&'static str>,
    status: Cell<&'static str>,
    psp: Cell<&'a str>,
    risk_score: Cell<i32>,
    fraud_flag: Cell<bool>,
    billing_country: Cell<&'a str>,
    ip_country: Cell<&'a str>,
    ip_address: Cell<Coarse<TruncatedAddress<'a>>>,
    device_fingerprint: Cell<Pseudo<'a>>,
    card_ref: Cell<Pseudo<'a>>,
    card_bin: Option<&'a str>,
    processing_time_ms: Cell<i64>,
    error_code: Cell<&'a str>,
    created_at: Cell<Timestamp>,
    event_date: Option<Date>,
}

/// Makes a row of an event; one without payment_id goes to quarantine.
#[transform(title = "Attempts to pay", owner = "data")]
pub fn payments<'a>(event: &Event<'a>) -> Outcome<Payment<'a>> {
    let Ok(Some(payment_id)) = read::plain_text(event.payment_id) else { return Outcome::Reject("no payment_id") };
    let created_at = read::timestamp(event.created_at);
    Outcome::Keep(Payment {
        payment_id,
        order_id: read::plain_text(event.order_id),
        client_id: pseudonym(event.customer_id),
        session_id: read::plain_text(event.session_id),
        amount: read::amount(event.amount),
        currency: read::plain_text(event.currency),
        method: read::one_of(event.method, &METHODS),
        status: read::one_of(event.status, &STATUSES),
        psp: read::plain_text(event.psp),
        risk_score: score(event.risk_score),
        fraud_flag: read::boolean(event.fraud_flag),
        billing_country: read::plain_text(event.billing_country),
        ip_country: read::plain_text(event.ip_country),
        ip_address: network(event.ip_address),
        device_fingerprint: pseudonym(event.device_fingerprint),
        card_ref: pseudonym(event.card_ref),
        card_bin: read::text(event.card_masked).and_then(bin),
        processing_time_ms: read::int64(event.processing_time_ms),
        error_code: read::plain_text(event.error_code),
        created_at,
        event_date: created_at.ok().flatten().map(Timestamp::date),
    })
}

fn pseudonym(cell: Option<&str>) -> Cell<Pseudo<'_>> {
    Ok(read::plain_text(cell)?.map(Pseudo))
}

/// A number from 0 to 100.
fn score(cell: Option<&str>) -> Cell<i32> {
    match read::int32(cell)? {
        Some(score) if !(0..=100).contains(&score) => Err(Unreadable),
        score => Ok(score),
    }
}

fn network(cell: Option<&str>) -> Cell<Coarse<TruncatedAddress<'_>>> {
    let parse = |text| TruncatedAddress::parse(text).map(Coarse).ok_or(Unreadable);
    read::text(cell).map(parse).transpose()
}

/// The first six of a card's number, when they are digits.
fn bin(card: &str) -> Option<&str> {
    card.get(..BIN_DIGITS).filter(|bin| bin.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payment(event: Event<'_>) -> Payment<'_> {
        match payments(&Event { payment_id: Some("p1"), ..event }) {
            Outcome::Keep(payment) => payment,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_event_without_its_key_is_rejected() {
        for payment_id in [None, Some(""), Some(" "), Some("NA"), Some("{}")] {
            assert_eq!(payments(&Event { payment_id, ..Event::default() }), Outcome::Reject("no payment_id"));
        }
    }

    #[test]
    fn scores_are_within_their_range() {
        let check = |text: &'static str, expected: Cell<i32>| {
            assert_eq!(payment(Event { risk_score: Some(text), ..Event::default() }).risk_score, expected, "{text}");
        };
        check("0", Ok(Some(0)));
        check("100", Ok(Some(100)));
        check("45.0", Ok(Some(45)));
        check("101", Err(Unreadable));
        check("-1", Err(Unreadable));
        check("many", Err(Unreadable));
        check("NULL", Ok(None));
    }

    #[test]
    fn cards_leave_their_first_six_digits() {
        let check = |text: &'static str, expected: Option<&str>| {
            assert_eq!(payment(Event { card_masked: Some(text), ..Event::default() }).card_bin, expected, "{text}");
        };
        check("497010******1234", Some("497010"));
        check(" 497010******1234", Some("497010"));
        check("49701*******1234", None);
        check("49701", None);
        check("4970é0", None);
        check("NA", None);
    }

    #[test]
    fn the_date_is_that_of_the_event_in_utc() {
        let found = payment(Event { created_at: Some("2026-03-19T00:30:00+01:00"), ..Event::default() });
        assert_eq!(found.event_date, Date::from_ymd(2026, 3, 18));
        let found = payment(Event { created_at: Some("yesterday"), ..Event::default() });
        assert_eq!((found.created_at, found.event_date), (Err(Unreadable), None));
    }
}
