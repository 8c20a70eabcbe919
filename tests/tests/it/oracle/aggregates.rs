//! The aggregates of contracts 3 over all events of a feed at once.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value as Json, json};
use tamis_model::time::rfc3339_millis;

use super::decode::Event;
use super::rules::count;
use super::shapes::windows;

/// Rows by what they are about: name, window, start, key.
#[derive(Debug, Default)]
pub struct Rows(BTreeMap<[String; 4], Json>);

impl Rows {
    /// Takes in a row; false when there was one about the same.
    pub fn add(&mut self, row: Json) -> bool {
        let about = ["name", "window", "window_start", "key"].map(|name| row[name].as_str().unwrap().to_owned());
        self.0.insert(about, row).is_none()
    }

    /// The aggregates that have rows.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(|[name, ..]| &name[..]).collect::<BTreeSet<_>>().into_iter()
    }

    /// A line for each row that differs.
    pub fn differences(&self, found: &Self) -> Vec<String> {
        let missing = self.0.iter().filter(|(about, _)| !found.0.contains_key(*about));
        let surplus = found.0.iter().filter(|(about, _)| !self.0.contains_key(*about));
        let others = self.0.iter().filter_map(|(about, row)| Some((row, found.0.get(about)?)));
        let others = others.filter(|(expected, found)| !equal(expected, found));
        let missing = missing.map(|(_, row)| format!("missing row {row}"));
        let surplus = surplus.map(|(_, row)| format!("surplus row {row}"));
        missing.chain(surplus).chain(others.map(|(row, found)| format!("row {found}\n    is not {row}"))).collect()
    }
}

/// The same members in the same order; numbers but for the last bits of a double.
fn equal(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|((name, a), (other, b))| name == other && equal(a, b))
        }
        (Json::Number(a), Json::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            (a - b).abs() <= 1e-12 * a.abs().max(b.abs())
        }
        _ => a == b,
    }
}

/// The rows of both aggregates over a feed.
pub fn rows(events: &[Event]) -> Rows {
    let mut rows = Rows::default();
    for (window, length) in [("1m", 60_000), ("5m", 300_000)] {
        let mut add = |name: &str, key: &str, start: i64, rest: Json| {
            let mut row = json!({
                "name": name, "window": window, "window_start": rfc3339_millis(start),
                "window_end": rfc3339_millis(start + length), "key": key,
            });
            row.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
            assert!(rows.add(row));
        };
        for ((key, start), payments) in windows(events, length, |e| e.text_of("payments", "currency")) {
            add("payments_by_currency", key, start, payments_of(&payments));
        }
        for ((key, start), orders) in windows(events, length, |e| e.text_of("orders", "delivery_country")) {
            add("orders_by_country", key, start, orders_of(&orders));
        }
    }
    rows
}

fn payments_of(payments: &[&Event]) -> Json {
    let rate = |is_so: &dyn Fn(&Event) -> bool| count(payments, is_so) as f64 / payments.len() as f64;
    let amounts: Vec<_> = payments.iter().filter_map(|p| p.cents("amount")).map(|cents| cents as f64 / 100.0).collect();
    json!({
        "volume": sum_of_cents(payments, "amount"),
        "count": payments.len(),
        "mean_amount": mean(&amounts),
        "success_rate": rate(&|p| p.is("status", "succeeded")),
        "failure_rate": rate(&|p| p.is("status", "failed")),
        "fraud_rate": rate(&|p| p.truth("fraud_flag") == Some(true)),
        "count_per_method": count_per(payments, "method"),
    })
}

fn orders_of(orders: &[&Event]) -> Json {
    let created: Vec<_> = orders.iter().copied().filter(|o| o.is("event_type", "created")).collect();
    let totals: Vec<_> = created.iter().filter_map(|o| o.cents("total")).map(|cents| cents as f64 / 100.0).collect();
    let items: Vec<_> = created.iter().filter_map(|o| o.integer("item_count")).map(|items| items as f64).collect();
    json!({
        "volume": sum_of_cents(&created, "total"),
        "events_per_type": count_per(orders, "event_type"),
        "mean_basket": mean(&totals),
        "mean_item_count": mean(&items),
        "count_per_delivery_method": count_per(&created, "delivery_method"),
        "cancellation_rate": count(orders, |o| o.is("event_type", "cancelled")) as f64 / orders.len() as f64,
    })
}

fn sum_of_cents(events: &[&Event], column: &str) -> f64 {
    events.iter().filter_map(|event| event.cents(column)).sum::<i64>() as f64 / 100.0
}

fn mean(numbers: &[f64]) -> Option<f64> {
    (!numbers.is_empty()).then(|| numbers.iter().sum::<f64>() / numbers.len() as f64)
}

fn count_per(events: &[&Event], column: &str) -> Json {
    let values: BTreeSet<_> = events.iter().filter_map(|event| event.text(column)).collect();
    values.into_iter().map(|value| (value.to_owned(), json!(count(events, |e| e.is(column, value))))).collect()
}
