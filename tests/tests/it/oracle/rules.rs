//! The table of contracts 3, each rule read over all events of a feed at once.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};
use tamis_model::time::rfc3339_millis;

use super::decode::Event;
use super::settings::Settings;

const DAY_MS: i64 = 86_400_000;

/// What an alert says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Content {
    pub rule: String,
    pub severity: &'static str,
    pub criteria: Vec<String>,
    pub key: Option<String>,
    /// RFC 3339.
    pub event_time: String,
    pub payment_id: Option<String>,
    pub order_id: Option<String>,
    pub customer_id: Option<String>,
}

/// The first 32 hex digits of the SHA-256 of a name.
pub fn alert_id(name: &str) -> String {
    Sha256::digest(name).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// Alerts by their id: what the id is made of, and what each event of that id would say. The first that is raised stands, and
/// where events of one id are in several partitions any can be the first.
#[derive(Debug, Default)]
pub struct Alerts(BTreeMap<String, (String, Vec<Content>)>);

impl Alerts {
    pub fn add(&mut self, name: &str, content: Content) {
        let (_, contents) = self.0.entry(alert_id(name)).or_insert_with(|| (name.to_owned(), Vec::new()));
        contents.push(content);
    }

    /// The rules that raised any.
    pub fn rules(&self) -> impl Iterator<Item = &str> {
        self.0.values().map(|(_, contents)| &contents[0].rule[..]).collect::<BTreeSet<_>>().into_iter()
    }

    /// A line for each alert that differs.
    pub fn differences(&self, found: &BTreeMap<String, Content>) -> Vec<String> {
        let mut differences = Vec::new();
        for (id, (name, contents)) in &self.0 {
            match found.get(id) {
                None => differences.push(format!("missing {name}: {contents:?}")),
                Some(content) if !contents.contains(content) => {
                    differences.push(format!("{name} is {content:?}\n    and not {contents:?}"));
                }
                Some(_) => {}
            }
        }
        let surplus = found.iter().filter(|(id, _)| !self.0.contains_key(*id));
        differences.extend(surplus.map(|(id, content)| format!("surplus {id}: {content:?}")));
        differences
    }

    /// An event fires.
    fn event(&mut self, rule: &str, severity: &'static str, key: Option<&str>, event: &Event) {
        self.criteria(rule, severity, key, event, vec![rule.to_owned()]);
    }

    fn criteria(
        &mut self,
        rule: &str,
        severity: &'static str,
        key: Option<&str>,
        event: &Event,
        criteria: Vec<String>,
    ) {
        let id = event.text(if event.topic == "payments" { "payment_id" } else { "event_id" }).unwrap();
        let text = |name: &str| event.text(name).map(str::to_owned);
        let content = Content {
            rule: rule.to_owned(),
            severity,
            criteria,
            key: key.map(str::to_owned),
            event_time: rfc3339_millis(event.time),
            payment_id: text("payment_id"),
            order_id: text("order_id"),
            customer_id: text("customer_id"),
        };
        self.add(&format!("{rule}|{}|{id}", event.topic), content);
    }

    /// Each event by itself, late ones too.
    fn single(
        &mut self,
        events: &[Event],
        rule: &str,
        topic: &str,
        severities: [&'static str; 2],
        criteria: impl Fn(&Event) -> Vec<&'static str>,
    ) {
        for event in events.iter().filter(|event| event.topic == topic) {
            let criteria: Vec<_> = criteria(event).into_iter().map(str::to_owned).collect();
            if !criteria.is_empty() {
                self.criteria(rule, severities[usize::from(criteria.len() > 1)], None, event, criteria);
            }
        }
    }

    /// Each event with those of its key in (time − length, time].
    fn sliding<'e>(
        &mut self,
        events: &'e [Event],
        rule: &str,
        severity: &'static str,
        length: i64,
        counted: impl Fn(&'e Event) -> Option<&'e str>,
        holds: impl Fn(&[&Event]) -> bool,
    ) {
        let in_time = || events.iter().filter(|event| !event.is_late());
        for x in in_time() {
            let Some(key) = counted(x) else { continue };
            let in_window = |e: &&Event| e.time > x.time - length && e.time <= x.time;
            let window: Vec<_> = in_time().filter(|e| counted(e) == Some(key)).filter(in_window).collect();
            if holds(&window) {
                self.event(rule, severity, Some(key), x);
            }
        }
    }

    /// Each window [start, start + length) of a key that is not empty.
    fn tumbling<'e>(
        &mut self,
        events: &'e [Event],
        rule: &str,
        severity: &'static str,
        length: i64,
        key: impl Fn(&'e Event) -> Option<&'e str>,
        holds: impl Fn(&[&Event]) -> bool,
    ) {
        for ((key, start), window) in windows(events, length, key) {
            if holds(&window) {
                let content = Content {
                    rule: rule.to_owned(),
                    severity,
                    criteria: vec![rule.to_owned()],
                    key: Some(key.to_owned()),
                    event_time: rfc3339_millis(start),
                    ..Content::default()
                };
                self.add(&format!("{rule}|{key}|{start}"), content);
            }
        }
    }

    /// Each payment of an order with the events of that order at most a day apart, in the order of the feed.
    fn joined(
        &mut self,
        events: &[Event],
        rule: &str,
        severity: &'static str,
        holds: impl Fn(&Event, &[&Event]) -> bool,
    ) {
        let judged = |topic: &'static str| events.iter().filter(move |e| e.topic == topic && e.behind_ms <= DAY_MS);
        for payment in judged("payments") {
            let Some(order_id) = payment.text("order_id") else { continue };
            let reaches =
                |order: &&Event| order.is("order_id", order_id) && (order.time - payment.time).abs() <= DAY_MS;
            let orders: Vec<_> = judged("orders").filter(reaches).collect();
            if holds(payment, &orders) {
                self.event(rule, severity, Some(order_id), payment);
            }
        }
    }
}

/// The events in time of each key and window.
pub fn windows<'e>(
    events: &'e [Event],
    length: i64,
    key: impl Fn(&'e Event) -> Option<&'e str>,
) -> BTreeMap<(&'e str, i64), Vec<&'e Event>> {
    let mut windows = BTreeMap::<_, Vec<_>>::new();
    for event in events.iter().filter(|event| !event.is_late()) {
        if let Some(key) = key(event) {
            windows.entry((key, event.time.div_euclid(length) * length)).or_default().push(event);
        }
    }
    windows
}

/// How many events are so.
pub fn count(events: &[&Event], is_so: impl Fn(&Event) -> bool) -> i64 {
    events.iter().filter(|event| is_so(event)).count() as i64
}

fn distinct(events: &[&Event], column: &str) -> i64 {
    events.iter().filter_map(|event| event.text(column)).collect::<BTreeSet<_>>().len() as i64
}

/// What all rules raise over a feed.
pub fn alerts(events: &[Event], settings: &Settings) -> Alerts {
    let mut alerts = Alerts::default();
    singles(&mut alerts, events, settings);
    tumbling(&mut alerts, events, settings);
    sliding(&mut alerts, events, settings);
    alerts.joined(events, "paid-cancelled-order", "critical", |payment, orders| {
        let cancelled_before = |order: &&Event| order.is("event_type", "cancelled") && payment.time > order.time;
        payment.is("status", "succeeded") && orders.iter().any(|order| cancelled_before(order))
    });
    alerts.joined(events, "amount-mismatch", "high", |payment, orders| {
        let total =
            orders.iter().find(|order| order.is("event_type", "created")).and_then(|order| order.cents("total"));
        let amount = payment.cents("amount").unwrap();
        let differs = |total: i64| settings.exceeds("amount-mismatch", "percent_max", (amount - total).abs(), total);
        !payment.is("status", "failed") && total.is_some_and(differs)
    });
    alerts
}

fn singles(alerts: &mut Alerts, events: &[Event], settings: &Settings) {
    let above = |rule: &str, name: &str, value: Option<i64>| value.is_some_and(|v| v > settings.integer(rule, name));
    let named = |criteria: &[(&'static str, bool)]| {
        criteria.iter().filter(|(_, holds)| *holds).map(|(name, _)| *name).collect::<Vec<_>>()
    };
    let rule = "payment-direct-fraud";
    alerts.single(events, rule, "payments", ["high", "critical"], |p| {
        let risk = p.integer("risk_score");
        let country = p.text("ip_country");
        named(&[
            ("fraud_flag", p.truth("fraud_flag") == Some(true)),
            ("high_risk_score", above(rule, "risk_score_max", risk)),
            ("high_risk_country", country.is_some_and(|c| settings.lists(rule, "high_risk_countries", c))),
            ("failed_with_risk", p.is("status", "failed") && above(rule, "failed_risk_score_max", risk)),
        ])
    });
    let rule = "payment-high-amount";
    alerts.single(events, rule, "payments", ["high"; 2], |p| {
        named(&[(rule, p.cents("amount").unwrap() > settings.cents(rule, "amount_max"))])
    });
    let rule = "order-anomaly";
    alerts.single(events, rule, "orders", ["warning", "high"], |o| {
        let (created, cancelled) = (o.is("event_type", "created"), o.is("event_type", "cancelled"));
        let high_total = o.cents("total").is_some_and(|total| total > settings.cents(rule, "total_max"));
        let high_discount = match (o.cents("discount"), o.cents("subtotal")) {
            (Some(discount), Some(subtotal)) => settings.exceeds(rule, "discount_percent_max", discount, subtotal),
            _ => false,
        };
        named(&[
            ("high_total", created && high_total),
            ("high_discount", created && high_discount),
            ("cancelled_many_items", cancelled && above(rule, "item_count_max", o.integer("item_count"))),
        ])
    });
    let rule = "fraud-bin";
    alerts.single(events, rule, "payments", ["critical"; 2], |p| {
        let bin = p.text("card_masked").map(|card| card.chars().take(6).collect::<String>());
        named(&[(rule, bin.is_some_and(|bin| settings.lists(rule, "fraud_bins", &bin)))])
    });
    let rule = "geo-mismatch";
    alerts.single(events, rule, "payments", ["high"; 2], |p| {
        let (billing, ip) = (p.text("billing_country"), p.text("ip_country"));
        let differ = billing.is_some() && ip.is_some() && billing != ip;
        named(&[(rule, differ && above(rule, "risk_score_max", p.integer("risk_score")))])
    });
    let rule = "bot-checkout";
    alerts.single(events, rule, "payments", ["high"; 2], |p| {
        let agent = p.text("user_agent").unwrap_or_default().to_lowercase();
        let words = ["bot", "crawl", "spider", "headless", "curl", "python-requests", "selenium", "phantom"];
        let fast =
            p.integer("processing_time_ms").is_some_and(|ms| ms < settings.integer(rule, "processing_time_ms_min"));
        named(&[(rule, fast && words.iter().any(|word| agent.contains(word)))])
    });
}

fn tumbling(alerts: &mut Alerts, events: &[Event], settings: &Settings) {
    let length = |rule: &str| settings.integer(rule, "window_ms");
    let all = |topic: &'static str| move |event: &Event| (event.topic == topic).then_some("all");
    let rule = "psp-error-rate";
    alerts.tumbling(
        events,
        rule,
        "high",
        length(rule),
        |e| e.text_of("payments", "psp"),
        |window| {
            let (failed, payments) = (count(window, |p| p.is("status", "failed")), window.len() as i64);
            payments >= settings.integer(rule, "count_min")
                && settings.exceeds(rule, "error_percent_max", failed, payments)
        },
    );
    let rule = "order-cancellation-burst";
    alerts.tumbling(events, rule, "high", length(rule), all("orders"), |window| {
        count(window, |o| o.is("event_type", "cancelled")) > settings.integer(rule, "cancellations_max")
    });
    let rule = "order-express-share";
    alerts.tumbling(events, rule, "warning", length(rule), all("orders"), |window| {
        let created = |o: &Event| o.is("event_type", "created");
        let express = count(window, |o| created(o) && o.is("delivery_method", "express"));
        settings.exceeds(rule, "express_percent_max", express, count(window, created))
    });
    let rule = "kyc-minor-rate";
    alerts.tumbling(events, rule, "warning", length(rule), all("kyc_decisions"), |window| {
        let minors = count(window, |d| d.is("decision", "mineur"));
        let decided = minors + count(window, |d| d.is("decision", "majeur"));
        decided >= settings.integer(rule, "decided_min") && settings.exceeds(rule, "minor_percent_max", minors, decided)
    });
}

fn sliding(alerts: &mut Alerts, events: &[Event], settings: &Settings) {
    let length = |rule: &str| settings.integer(rule, "window_ms");
    let rule = "card-testing";
    alerts.sliding(
        events,
        rule,
        "critical",
        length(rule),
        |e| e.text_of("payments", "session_id"),
        |window| window.len() as i64 > settings.integer(rule, "attempts_max"),
    );
    for (rule, severity, topic, key, column, limit) in [
        ("card-wallet", "critical", "payments", "customer_id", "card_ref", "cards_max"),
        ("shared-device", "critical", "payments", "device_fingerprint", "customer_id", "customers_max"),
        ("shared-ip", "high", "payments", "ip_address", "customer_id", "customers_max"),
        ("kyc-multi-document", "high", "kyc_decisions", "customer_id", "document_hash", "documents_max"),
    ] {
        let counted = |e: &Event| e.text(column).is_some();
        alerts.sliding(
            events,
            rule,
            severity,
            length(rule),
            |e| e.text_of(topic, key).filter(|_| counted(e)),
            |window| distinct(window, column) > settings.integer(rule, limit),
        );
    }
    let rule = "cross-velocity";
    let is_payment = |event: &Event| event.topic == "payments";
    let is_created = |event: &Event| event.topic == "orders" && event.is("event_type", "created");
    let counted = |event: &Event| is_payment(event) || is_created(event);
    alerts.sliding(
        events,
        rule,
        "high",
        length(rule),
        |e| e.text("customer_id").filter(|_| counted(e)),
        |window| {
            count(window, is_payment) > settings.integer(rule, "payments_max")
                && count(window, is_created) > settings.integer(rule, "orders_max")
        },
    );
}
