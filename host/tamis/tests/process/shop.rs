//! A shop's payments and orders, for hosts that are failed on purpose: rules of every kind raise something of them.
//!
//! They come in rounds. A round takes four seconds of event time, which is less than records may be late: so none of them is, in whichever order
//! partitions are read. The next round is ten minutes later, which is more than any fault lasts, and closes the windows of the one before it
//! while hosts, brokers and networks fail. What is sent last closes the rest.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tamis_model::record::Record;
use tamis_services::kafka::Cluster;

use crate::day::last;
use crate::feed::{NOON, writer};
use crate::kafka::{self, lacking, write};
use crate::process::{Answer, Api, Home, PATIENCE};
use crate::results::{Results, results};

/// Rules without state, of sliding windows, of different values, of two topics, of windows that the watermark closes, and aggregates.
pub const PLUGINS: [&str; 12] = [
    "amount-mismatch",
    "card-testing",
    "card-wallet",
    "cross-velocity",
    "order-cancellation-burst",
    "orders-by-country",
    "paid-cancelled-order",
    "payment-direct-fraud",
    "payments-by-currency",
    "psp-error-rate",
    "shared-device",
    "shared-ip",
];
/// Those of sliding windows over events of several partitions, and what of their alerts counts events.
const ORDERLESS: [&str; 3] = ["cross-velocity", "shared-device", "shared-ip"];
const COUNTS: [&str; 3] = ["distinct", "orders", "payments"];
/// What they read.
pub const TOPICS: [&str; 2] = ["orders", "payments"];
/// Payments of a round; an order for every second one.
const PAYMENTS: u64 = 400;
const ROUND_MS: i64 = 600_000;
const PAYMENT_MS: i64 = 10;
/// Partitions of the topics of a home.
const PARTITIONS: u64 = 2;

/// So long a checkpoint is waited for that a host is not killed without work that it loses.
const CHECKPOINT_MS: u32 = 2_000;
/// The shortest time after which brokers abort a transaction. They look for such ones each ten seconds, and must not be told to look sooner:
/// Kafka 4.3.1 alone in its cluster that does so while it starts takes topics that it has not read of yet for deleted ones and passes over the
/// marks of aborted transactions there, whose records are then committed with the next one, or hold readers up for ever.
const TRANSACTION_MS: u32 = 10_000;

/// How many rounds there were.
#[derive(Default)]
pub struct Shop {
    rounds: u64,
}

/// Something that happens.
struct Event {
    topic: &'static str,
    session: u64,
    time: i64,
    key: String,
    value: Value,
}

impl Event {
    fn record(self) -> Record {
        Record {
            topic: self.topic.to_owned(),
            partition: None,
            timestamp: self.time,
            key: Some(self.key.into_bytes()),
            value: Some(self.value.to_string().into_bytes()),
            value_is_json: true,
            headers: Vec::new(),
        }
    }
}

impl Shop {
    /// The next round, into the topics of a cluster.
    pub fn send(&mut self, cluster: &Cluster) {
        write(cluster, &round(self.rounds).into_iter().map(Event::record).collect::<Vec<_>>());
        self.rounds += 1;
    }

    /// What closes all windows: a record for each of the cluster's partitions that raises nothing. Returns how many records there are in all.
    pub fn close(&self, cluster: &Cluster, partitions: u32) -> u64 {
        let record = |topic: &str, partition| Record {
            topic: topic.to_owned(),
            partition: Some(partition),
            timestamp: time(self.rounds, 0),
            key: None,
            value: Some(last(topic).into_bytes()),
            value_is_json: true,
            headers: Vec::new(),
        };
        let last = TOPICS.iter().flat_map(|topic| (0..partitions).map(|partition| record(topic, partition)));
        let last: Vec<_> = last.collect();
        write(cluster, &last);
        self.sent() + last.len() as u64
    }

    /// How many records the rounds have.
    pub fn sent(&self) -> u64 {
        (0..self.rounds).map(|number| round(number).len() as u64).sum()
    }

    /// Waits until lake and warehouse of a home have as much as the shop comes to without faults, which is returned; fails with all that
    /// hosts say. A commit may have to wait for brokers.
    pub async fn until_all_is_there(&self, home: &Home, says: impl Fn() -> String) -> Results {
        let embedded = Home::with(&PLUGINS);
        self.append(embedded.path());
        embedded.run(&["run", "streams", "--until-end"]);
        let expected = expected(&embedded).await;
        let began = Instant::now();
        loop {
            let lacking = lacking(&results(home.path(), &[]).await, &expected);
            if lacking.is_empty() {
                return expected;
            }
            assert!(began.elapsed() < 2 * PATIENCE, "{lacking:?} come\n{}", says());
            sleep(Duration::from_millis(200));
        }
    }

    /// All rounds, and what closes their windows, into the topics of a home.
    fn append(&self, home: &Path) {
        let mut topics = writer(home);
        for event in (0..self.rounds).flat_map(round) {
            // All events of a session are in one partition.
            let (partition, value) = ((event.session % PARTITIONS) as u32, event.value.to_string());
            topics
                .append(event.topic, partition, event.time, Some(event.key.as_bytes()), Some(value.as_bytes()))
                .unwrap();
        }
        for (topic, partition) in
            TOPICS.iter().flat_map(|topic| (0..PARTITIONS as u32).map(move |number| (topic, number)))
        {
            let value = last(topic);
            topics.append(topic, partition, time(self.rounds, 0), None, Some(value.as_bytes())).unwrap();
        }
        topics.flush().unwrap();
    }
}

fn time(round: u64, in_round: u64) -> i64 {
    NOON + ROUND_MS * round as i64 + PAYMENT_MS * in_round as i64
}

/// The events of a round in the order of their times, no two of which are equal. Eight payments and four orders are a customer's session.
fn round(number: u64) -> Vec<Event> {
    let of_round = 0..PAYMENTS;
    let mut events: Vec<_> = of_round.flat_map(|at| events(number * PAYMENTS + at, time(number, at))).collect();
    events.sort_by_key(|event| event.time);
    events
}

/// The n-th payment, and what becomes of its order.
fn events(n: u64, time: i64) -> Vec<Event> {
    let (session, order) = (n / 8, n / 2);
    let payment = json!({
        "payment_id": format!("p{n}"), "session_id": format!("s{session}"), "customer_id": format!("c{session}"),
        "order_id": format!("o{order}"), "amount": n as f64 + 0.5, "currency": if n.is_multiple_of(3) { "USD" } else { "EUR" },
        // What is not known cannot be decoded.
        "method": if n.is_multiple_of(97) { "barter" } else { "card" },
        "status": if n.is_multiple_of(4) { "failed" } else { "succeeded" }, "psp": format!("psp{}", n % 3),
        "risk_score": if n.is_multiple_of(50) { 90 } else { 10 }, "ip_country": "FR",
        "ip_address": format!("10.0.0.{}", session % 10), "device_fingerprint": format!("d{}", session % 9),
        "card_ref": format!("k{order}"),
    });
    let event = |topic, time, key: String, value| Event { topic, session, time, key, value };
    let mut events = vec![event("payments", time, format!("s{session}"), payment)];
    let order_event = |event_type: &str, total: u64| {
        json!({
            "event_id": format!("{event_type}-{order}"), "event_type": event_type, "order_id": format!("o{order}"),
            "customer_id": format!("c{session}"), "total": total as f64 + 0.5, "item_count": order % 5,
            "delivery_country": if order.is_multiple_of(3) { "DE" } else { "FR" }, "delivery_method": "standard",
        })
    };
    if n.is_multiple_of(2) {
        let total = if order.is_multiple_of(5) { 2 * n } else { n };
        events.push(event("orders", time - 1, format!("o{order}"), order_event("created", total)));
        if order.is_multiple_of(16) {
            events.push(event("orders", time + 5, format!("o{order}"), order_event("cancelled", total)));
        }
    }
    events
}

/// A home of Kafka in which work waits long enough for its checkpoint to be lost, and no transaction may be open for long.
pub fn slowed(home: Home) -> Home {
    let file = home.path().join("tamis.toml");
    let written = fs::read_to_string(&file).unwrap();
    let slower = written.replace("checkpoint_interval_ms = 200", &format!("checkpoint_interval_ms = {CHECKPOINT_MS}"));
    assert!(slower != written, "{written}");
    fs::write(&file, format!("{slower}transaction_timeout_ms = {TRANSACTION_MS}\n")).unwrap();
    home
}

/// Waits until a host judges. It closes connections that were quiet for long, which a question may meet.
pub fn until_it_judges(served: &Api) {
    let is_ready = |answer: Answer| answer.status == 200;
    served.until("it judges", |served| served.try_ask("", "GET", "/readyz", None, None).is_ok_and(is_ready));
}

/// How many records of the shop a host has judged, as far as it answers.
pub fn judged(served: &Api, token: &str) -> u64 {
    let Ok(topics) = served.try_ask(token, "GET", "/api/v1/topics", None, None) else { return 0 };
    let items = topics.body["items"].as_array().cloned().unwrap_or_default();
    let read = items.iter().filter(|topic| TOPICS.iter().any(|name| topic["name"] == *name));
    read.map(|topic| topic["records"].as_u64().unwrap_or(0)).sum()
}

/// What the shop comes to without faults: the places of a home with topics of its own, and what they hold.
async fn expected(home: &Home) -> Results {
    let mut expected = kafka::expected(home).await;
    TOPICS.iter().for_each(|topic| drop(expected.remove(&format!("topic {topic}"))));
    let places: Vec<_> = expected.keys().map(String::as_str).collect();
    assert!(places.len() > 8 && places.contains(&"aggregates"), "{places:?}");
    whatever_came_first(expected)
}

/// What a home with topics in a cluster comes to in the same places.
pub async fn found(home: &Home, cluster: &Cluster, expected: &Results, delivery: &str) -> Results {
    let topics = expected.keys().filter_map(|place| place.strip_prefix("topic ")).map(str::to_owned);
    let mut found = whatever_came_first(kafka::found(home, cluster, topics).await);
    if delivery == "at_least_once" {
        found.iter_mut().filter(|(place, _)| place.starts_with("topic ")).for_each(|(_, rows)| rows.dedup());
    }
    found
}

/// All that a host shows.
pub fn shows(served: &Api, token: &str) -> String {
    let page = served.ask(token, "GET", "/metrics", None, None).body;
    page.as_str().unwrap_or_default().to_owned()
}

/// The same without what depends on which of the records of several partitions came first.
fn whatever_came_first(mut results: Results) -> Results {
    for rows in results.values_mut() {
        rows.iter_mut().for_each(|row| *row = without_counts(row));
        rows.sort();
    }
    results
}

/// A row without how many events a sliding window had when it was found to hold too many: those that are there are judged before others come.
fn without_counts(row: &str) -> String {
    let mut row: Value = serde_json::from_str(row).unwrap();
    let alert = if row["value"].is_object() { &mut row["value"] } else { &mut row };
    if ORDERLESS.iter().any(|rule| alert["rule"] == *rule) {
        let context = alert["context"].as_object_mut().unwrap();
        COUNTS.iter().for_each(|count| drop(context.remove(*count)));
    }
    row.to_string()
}
