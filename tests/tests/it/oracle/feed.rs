//! Small feeds of everything that a broker could hold: disorder, lateness at its edges, equal times, nulls, repeated ids,
//! values at thresholds, broken records.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Map, Value as Json, json};

/// 2026-03-18T14:00:00Z, the first millisecond of windows of any usual length.
pub const START: i64 = 1_773_842_400_000;

const LATENESS_MS: i64 = 10_000;
const DAY_MS: i64 = 86_400_000;
/// When feeds are judged: behind all their records.
pub const LATER: i64 = START + 1_000 * DAY_MS;

/// A record. Those of a partition arrive in the order of the feed.
#[derive(Clone, Debug)]
pub struct Record {
    pub topic: &'static str,
    pub partition: u32,
    pub time: i64,
    /// The JSON text, which may be none.
    pub value: String,
}

/// What a record is made from.
#[derive(Clone, Debug)]
struct Seed {
    topic: u8,
    partition: u8,
    /// How far the clock of the feed goes on before it.
    step: Step,
    /// Where it stands to what its partition has seen.
    lag: Lag,
    /// What its members are picked by.
    picks: [u8; 12],
    spoilt: Option<u8>,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    None,
    One,
    Some(i64),
    Minutes(i64),
}

#[derive(Clone, Copy, Debug)]
enum Lag {
    None,
    Some(i64),
    /// Behind the highest time of its partition.
    Behind(i64),
}

/// A feed of up to 90 records none of which is late, in one partition of each topic, and over six: payments and decisions by their
/// customer, orders by their order.
pub fn timely(window_ms: i64) -> impl Strategy<Value = [Vec<Record>; 2]> {
    prop::collection::vec(seed(window_ms), 1..90).prop_map(|mut seeds| {
        for seed in &mut seeds {
            seed.lag = match seed.lag {
                Lag::Some(ms) => Lag::Some(ms.min(LATENESS_MS)),
                Lag::Behind(_) => Lag::Some(LATENESS_MS),
                Lag::None => Lag::None,
            };
            if seed.topic != 1 {
                seed.partition = customer_number(seed.picks[2]);
            }
        }
        [1, 6].map(|count| records([count; 3], &seeds))
    })
}

/// A feed of up to 90 records over 1 to 3 partitions of each topic; `window_ms` is the length of windows that it is to fill.
pub fn feed(window_ms: i64) -> impl Strategy<Value = Vec<Record>> {
    let partitions = [1..=3u32, 1..=3u32, 1..=3u32];
    let few_or_many =
        prop_oneof![prop::collection::vec(seed(window_ms), 1..15), prop::collection::vec(seed(window_ms), 1..90)];
    (partitions, few_or_many).prop_map(|(partitions, seeds)| records(partitions, &seeds))
}

/// Records that raise nothing and belong to no key's window, one for each partition of a feed, far behind it in time: of a group,
/// whose input has no end, they close all windows.
pub fn closing(feed: &[Record]) -> Vec<Record> {
    let time = feed.iter().map(|record| record.time).max().unwrap_or(START) + 2 * DAY_MS;
    let partitions: BTreeSet<_> = feed.iter().map(|record| (record.topic, record.partition)).collect();
    let closing = |(topic, partition)| {
        let value = match topic {
            "payments" => json!({"payment_id": "end", "amount": 1, "method": "sepa", "status": "pending"}),
            "orders" => json!({"event_id": "end", "event_type": "shipped", "order_id": "end"}),
            _ => json!({"event_id": "end", "kyc_ref": "end", "decision": "en_attente"}),
        };
        Record { topic, partition, time, value: value.to_string() }
    };
    partitions.into_iter().map(closing).collect()
}

fn seed(window_ms: i64) -> impl Strategy<Value = Seed> {
    let topic = prop_oneof![5 => Just(0), 4 => Just(1), 3 => Just(2)];
    let step = prop_oneof![
        3 => Just(Step::None),
        1 => Just(Step::One),
        6 => (1..900i64).prop_map(Step::Some),
        2 => Just(Step::Some(window_ms)),
        1 => (1..20i64).prop_map(Step::Minutes),
    ];
    let edge = prop_oneof![
        4 => Just(LATENESS_MS),
        4 => Just(LATENESS_MS + 1),
        1 => Just(LATENESS_MS + DAY_MS),
        1 => Just(LATENESS_MS + DAY_MS + 1),
        1 => LATENESS_MS..2 * DAY_MS,
    ];
    let lag = prop_oneof![
        24 => Just(Lag::None),
        8 => (1..LATENESS_MS).prop_map(Lag::Some),
        2 => Just(Lag::Some(DAY_MS)),
        2 => Just(Lag::Some(DAY_MS + 1)),
        4 => edge.prop_map(Lag::Behind),
    ];
    let spoilt = prop::option::weighted(0.06, any::<u8>());
    (topic, any::<u8>(), step, lag, any::<[u8; 12]>(), spoilt)
        .prop_map(|(topic, partition, step, lag, picks, spoilt)| Seed { topic, partition, step, lag, picks, spoilt })
}

fn records(partitions: [u32; 3], seeds: &[Seed]) -> Vec<Record> {
    let mut clock = START;
    let mut highest = std::collections::BTreeMap::<(u8, u32), i64>::new();
    let mut records = Vec::new();
    for (number, seed) in seeds.iter().enumerate() {
        clock += match seed.step {
            Step::None => 0,
            Step::One => 1,
            Step::Some(ms) => ms,
            Step::Minutes(minutes) => minutes * 60_000,
        };
        let count = partitions[usize::from(seed.topic)];
        // The steps of an order keep their order: they are in the partition of the order.
        let by = if seed.topic == 1 { u32::from(order_number(&seed.picks)) } else { u32::from(seed.partition) };
        let partition = by % count;
        let seen = highest.entry((seed.topic, partition)).or_insert(clock);
        let time = match seed.lag {
            Lag::None => clock,
            Lag::Some(ms) => clock - ms,
            Lag::Behind(ms) => *seen - ms,
        };
        *seen = time.max(*seen);
        let (topic, value) = match seed.topic {
            0 => ("payments", payment(number, &seed.picks)),
            1 => ("orders", order(number, &seed.picks)),
            _ => ("kyc_decisions", decision(number, &seed.picks)),
        };
        let value = match seed.spoilt {
            Some(how) => spoil(value, how),
            None => Json::Object(value).to_string(),
        };
        records.push(Record { topic, partition, time, value });
    }
    records
}

/// A choice by a byte; `None` leaves the member out.
fn pick(choices: &[Json], by: u8) -> Json {
    choices[usize::from(by) % choices.len()].clone()
}

fn texts(texts: &[&str], by: u8) -> Json {
    json!(texts[usize::from(by) % texts.len()])
}

/// A new id, or now and then one of those before.
fn id(prefix: &str, number: usize, by: u8) -> Json {
    let number = if by < 16 { number / 2 } else { number };
    format!("{prefix}{number}").into()
}

fn order_number(picks: &[u8; 12]) -> u8 {
    picks[1] % 4
}

/// The first three of the eight are one.
fn customer_number(by: u8) -> u8 {
    (by % 8).saturating_sub(2)
}

fn customer(by: u8) -> Json {
    pick(&[json!("c1"), json!("c1"), json!("c1"), json!("c2"), json!("c3"), json!("c4"), json!(null), json!("N/A")], by)
}

fn members<const N: usize>(members: [(&str, Json); N]) -> Map<String, Json> {
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn payment(number: usize, picks: &[u8; 12]) -> Map<String, Json> {
    let [id_by, order, customer_by, amount, status, risk, country, card, agent, key, currency, method] = *picks;
    let amounts =
        [0.95, 0.94, 1.0, 1.05, 1.06, 95.0, 94.99, 100.0, 105.0, 105.01, 1500.0, 1500.004, 1500.005, 1499.99, -3.0];
    let cards = ["411111******1", "411112******1", "555555", "55555", "NULL", "497010******4", "40000é***"];
    let agents = ["curl/8", "a HeadLESS one", "Mozilla/5.0", "", "Selenium"];
    members([
        ("payment_id", id("p", number, id_by)),
        ("order_id", if order > 250 { json!(null) } else { format!("o{}", order_number(picks)).into() }),
        ("customer_id", customer(customer_by)),
        ("session_id", pick(&[json!("s1"), json!("s1"), json!("s2"), json!(null)], key)),
        ("amount", pick(&amounts.map(Json::from), amount)),
        ("currency", texts(&["EUR", "EUR", "CHF", "None"], currency)),
        ("method", texts(&["card", "paypal", "sepa", "apple_pay", "google_pay"], method)),
        ("status", texts(&["succeeded", "failed", "succeeded", "pending", "failed", "refunded"], status)),
        ("psp", pick(&[json!("psp1"), json!("psp2"), json!(null)], status / 16)),
        ("risk_score", pick(&[0, 40, 41, 60, 61, 70, 71, 100].map(Json::from), risk)),
        ("fraud_flag", pick(&[json!(true), json!(false), json!(null)], risk / 16)),
        ("billing_country", texts(&["FR", "BE", "NA"], country)),
        ("ip_country", pick(&[json!("FR"), json!("NG"), json!("VN"), json!("ng"), json!(null)], country / 8)),
        ("ip_address", pick(&[json!("10.0.0.1"), json!("10.0.0.1"), json!("10.0.0.2"), json!("NaN")], key / 4)),
        ("device_fingerprint", pick(&[json!("d1"), json!("d1"), json!("d2"), json!(null)], key / 16)),
        ("card_ref", pick(&[json!("r1"), json!("r2"), json!("r3"), json!("r4"), json!(null)], card)),
        ("card_masked", texts(&cards, card / 4)),
        ("user_agent", texts(&agents, agent)),
        ("processing_time_ms", pick(&[json!(299), json!(300), json!(301), json!(1.0), json!(null)], agent / 8)),
    ])
}

fn order(number: usize, picks: &[u8; 12]) -> Map<String, Json> {
    let [id_by, order, customer_by, total, kind, discount, items, country, method, ..] = *picks;
    let totals = [
        json!(1),
        json!(100),
        json!(100),
        json!(0),
        json!(-100),
        json!(null),
        json!(3000),
        json!(3000.01),
        json!(1.005),
    ];
    let discounts = [json!(null), json!(29.99), json!(30), json!(30.01), json!(3)];
    members([
        ("event_id", id("e", number, id_by)),
        ("event_type", texts(&["created", "created", "cancelled", "shipped", "cancelled", "delivered"], kind)),
        ("order_id", format!("o{}", order % 4).into()),
        ("customer_id", customer(customer_by)),
        ("total", pick(&totals, total)),
        ("subtotal", pick(&[json!(100), json!(10.0), json!(0), json!(null), json!(-1)], discount)),
        ("discount", pick(&discounts, discount / 8)),
        ("item_count", pick(&[json!(4), json!(5), json!(5.0), json!(null), json!(-1)], items)),
        ("delivery_method", pick(&[json!("express"), json!("standard"), json!("pickup"), json!(null)], method)),
        ("delivery_country", pick(&[json!("FR"), json!("FR"), json!("BE"), json!("NA"), json!(null)], country)),
    ])
}

fn decision(number: usize, picks: &[u8; 12]) -> Map<String, Json> {
    let [id_by, _, customer_by, what, document, score, ..] = *picks;
    members([
        ("event_id", id("e", number, id_by)),
        ("kyc_ref", format!("k{number}").into()),
        ("customer_id", customer(customer_by)),
        ("decision", texts(&["majeur", "majeur", "mineur", "en_attente"], what)),
        ("document_hash", pick(&[json!("h1"), json!("h2"), json!("h2"), json!("h3"), json!(null)], document)),
        ("confidence_score", pick(&[json!(0), json!(1), json!(0.5), json!(null)], score)),
    ])
}

/// What no consumer should trust, and what looks like it and is fine.
fn spoil(mut value: Map<String, Json>, how: u8) -> String {
    let mut set = |name: &str, other: Json| {
        value.insert(name.to_owned(), other);
    };
    match how % 16 {
        0 => return "null".to_owned(),
        1 => return "{\"payment_id\":".to_owned(),
        2 => return "[]".to_owned(),
        3 => return "{}".to_owned(),
        4 => set("amount", json!("12.00")),
        5 => set("total", json!("12.00")),
        6 => set("status", json!("Failed")),
        7 => set("event_type", json!("returned")),
        8 => set("decision", json!(null)),
        9 => set("risk_score", json!(101)),
        10 => set("item_count", json!(4.5)),
        11 => set("confidence_score", json!(1.01)),
        12 => set("customer_id", json!(7)),
        13 => set("payment_id", json!("NULL")),
        14 => set("event_id", json!(" ")),
        _ => set("unknown", json!({"members": ["are", "fine"]})),
    }
    Json::Object(value).to_string()
}
