//! The table of contracts 3, each rule read over all events of a feed at once.

use std::collections::BTreeSet;

use serde_json::json;

use super::alerts::Alerts;
use super::decode::Event;
use super::settings::Settings;
use super::shapes::{Rule, Tally};

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
    payments(&mut alerts, events, settings);
    orders(&mut alerts, events, settings);
    tumbling(&mut alerts, events, settings);
    sliding(&mut alerts, events, settings);
    joined(&mut alerts, events, settings);
    alerts
}

fn named(criteria: &[(&'static str, bool)]) -> Vec<&'static str> {
    criteria.iter().filter(|(_, holds)| *holds).map(|(name, _)| *name).collect()
}

fn payments(alerts: &mut Alerts, events: &[Event], settings: &Settings) {
    let above = |rule: Rule<'_>, name: &str, value: Option<i64>| {
        value.is_some_and(|value| value > settings.integer(rule.name, name))
    };
    let rule = |name, severity, told| Rule { name, severity, settings, told };
    let direct = rule("payment-direct-fraud", "high", &["risk_score_max", "failed_risk_score_max"]);
    let columns = ["fraud_flag", "risk_score", "ip_country", "status"];
    alerts.single(events, direct, ("payments", &columns), "critical", |p| {
        let risk = p.integer("risk_score");
        let country = p.text("ip_country");
        named(&[
            ("fraud_flag", p.truth("fraud_flag") == Some(true)),
            ("high_risk_score", above(direct, "risk_score_max", risk)),
            ("high_risk_country", country.is_some_and(|c| settings.lists(direct.name, "high_risk_countries", c))),
            ("failed_with_risk", p.is("status", "failed") && above(direct, "failed_risk_score_max", risk)),
        ])
    });
    let high = rule("payment-high-amount", "high", &["amount_max"]);
    alerts.single(events, high, ("payments", &["amount"]), "", |p| {
        named(&[(high.name, p.cents("amount").unwrap() > settings.cents(high.name, "amount_max"))])
    });
    let bins = rule("fraud-bin", "critical", &[]);
    alerts.single(events, bins, ("payments", &["card_masked"]), "", |p| {
        let bin = p.text("card_masked").map(|card| card.chars().take(6).collect::<String>());
        named(&[(bins.name, bin.is_some_and(|bin| settings.lists(bins.name, "fraud_bins", &bin)))])
    });
    let geo = rule("geo-mismatch", "high", &["risk_score_max"]);
    let columns = ["billing_country", "ip_country", "risk_score"];
    alerts.single(events, geo, ("payments", &columns), "", |p| {
        let (billing, ip) = (p.text("billing_country"), p.text("ip_country"));
        let differ = billing.is_some() && ip.is_some() && billing != ip;
        named(&[(geo.name, differ && above(geo, "risk_score_max", p.integer("risk_score")))])
    });
    let bot = rule("bot-checkout", "high", &["processing_time_ms_min"]);
    alerts.single(events, bot, ("payments", &["user_agent", "processing_time_ms"]), "", |p| {
        let agent = p.text("user_agent").unwrap_or_default().to_lowercase();
        let words = ["bot", "crawl", "spider", "headless", "curl", "python-requests", "selenium", "phantom"];
        let fast =
            p.integer("processing_time_ms").is_some_and(|ms| ms < settings.integer(bot.name, "processing_time_ms_min"));
        named(&[(bot.name, fast && words.iter().any(|word| agent.contains(word)))])
    });
}

fn orders(alerts: &mut Alerts, events: &[Event], settings: &Settings) {
    let told = &["total_max", "discount_percent_max", "item_count_max"];
    let rule = Rule { name: "order-anomaly", severity: "warning", settings, told };
    let columns = ["event_type", "total", "subtotal", "discount", "item_count"];
    alerts.single(events, rule, ("orders", &columns), "high", |o| {
        let (created, cancelled) = (o.is("event_type", "created"), o.is("event_type", "cancelled"));
        let high_total = o.cents("total").is_some_and(|total| total > settings.cents(rule.name, "total_max"));
        let high_discount = match (o.cents("discount"), o.cents("subtotal")) {
            (Some(discount), Some(subtotal)) => settings.exceeds(rule.name, "discount_percent_max", discount, subtotal),
            _ => false,
        };
        let many = o.integer("item_count").is_some_and(|items| items > settings.integer(rule.name, "item_count_max"));
        named(&[
            ("high_total", created && high_total),
            ("high_discount", created && high_discount),
            ("cancelled_many_items", cancelled && many),
        ])
    });
}

fn tumbling(alerts: &mut Alerts, events: &[Event], settings: &Settings) {
    let rule = |name, severity, told| Rule { name, severity, settings, told };
    let all = |topic: &'static str| move |event: &Event| (event.topic == topic).then_some("all");
    let psp = rule("psp-error-rate", "high", &["error_percent_max", "count_min"]);
    alerts.tumbling(
        events,
        psp,
        |e| e.text_of("payments", "psp"),
        |window| {
            let (failed, payments) = (count(window, |p| p.is("status", "failed")), window.len() as i64);
            let fires = payments >= settings.integer(psp.name, "count_min")
                && settings.exceeds(psp.name, "error_percent_max", failed, payments);
            fires.then(|| json!({"count": payments, "failed": failed}))
        },
    );
    let burst = rule("order-cancellation-burst", "high", &["cancellations_max"]);
    alerts.tumbling(events, burst, all("orders"), |window| {
        let cancellations = count(window, |o| o.is("event_type", "cancelled"));
        let fires = cancellations > settings.integer(burst.name, "cancellations_max");
        fires.then(|| json!({"cancellations": cancellations}))
    });
    let share = rule("order-express-share", "warning", &["express_percent_max"]);
    alerts.tumbling(events, share, all("orders"), |window| {
        let is_created = |o: &Event| o.is("event_type", "created");
        let created = count(window, is_created);
        let express = count(window, |o| is_created(o) && o.is("delivery_method", "express"));
        let fires = settings.exceeds(share.name, "express_percent_max", express, created);
        fires.then(|| json!({"created": created, "express": express}))
    });
    let minors = rule("kyc-minor-rate", "warning", &["minor_percent_max", "decided_min"]);
    alerts.tumbling(events, minors, all("kyc_decisions"), |window| {
        let young = count(window, |d| d.is("decision", "mineur"));
        let decided = young + count(window, |d| d.is("decision", "majeur"));
        let fires = decided >= settings.integer(minors.name, "decided_min")
            && settings.exceeds(minors.name, "minor_percent_max", young, decided);
        fires.then(|| json!({"decided": decided, "minors": young}))
    });
}

fn sliding(alerts: &mut Alerts, events: &[Event], settings: &Settings) {
    let rule = |name, severity, told| Rule { name, severity, settings, told };
    let attempts = Tally { name: "count", max: "attempts_max", of: &|window| window.len() as i64 };
    let testing = rule("card-testing", "critical", &["attempts_max"]);
    alerts.sliding(events, testing, |e| e.text_of("payments", "session_id"), &[attempts]);
    for (rule, topic, key, column) in [
        (rule("card-wallet", "critical", &["cards_max"]), "payments", "customer_id", "card_ref"),
        (rule("shared-device", "critical", &["customers_max"]), "payments", "device_fingerprint", "customer_id"),
        (rule("shared-ip", "high", &["customers_max"]), "payments", "ip_address", "customer_id"),
        (rule("kyc-multi-document", "high", &["documents_max"]), "kyc_decisions", "customer_id", "document_hash"),
    ] {
        let counted = |e: &Event| e.text(column).is_some();
        let values = Tally { name: "distinct", max: rule.told[0], of: &|window| distinct(window, column) };
        alerts.sliding(events, rule, |e| e.text_of(topic, key).filter(|_| counted(e)), &[values]);
    }
    let is_payment = |event: &Event| event.topic == "payments";
    let is_created = |event: &Event| event.topic == "orders" && event.is("event_type", "created");
    let counted = |event: &Event| is_payment(event) || is_created(event);
    let tallies = [
        Tally { name: "payments", max: "payments_max", of: &|window| count(window, is_payment) },
        Tally { name: "orders", max: "orders_max", of: &|window| count(window, is_created) },
    ];
    let velocity = rule("cross-velocity", "high", &["payments_max", "orders_max"]);
    alerts.sliding(events, velocity, |e| e.text("customer_id").filter(|_| counted(e)), &tallies);
}

fn joined(alerts: &mut Alerts, events: &[Event], settings: &Settings) {
    let paid = Rule { name: "paid-cancelled-order", severity: "critical", settings, told: &[] };
    alerts.joined(events, paid, |payment, orders| {
        let cancelled_before = |order: &&&Event| order.is("event_type", "cancelled") && payment.time > order.time;
        // The orders of a feed keep their order, so this one arrives first.
        let order = orders.iter().find(cancelled_before).filter(|_| payment.is("status", "succeeded"))?;
        Some((json!({}), *order))
    });
    let mismatch = Rule { name: "amount-mismatch", severity: "high", settings, told: &["percent_max"] };
    alerts.joined(events, mismatch, |payment, orders| {
        let order = orders.iter().find(|order| order.is("event_type", "created"))?;
        let (amount, total) = (payment.cents("amount").unwrap(), order.cents("total")?);
        let differs = settings.exceeds(mismatch.name, "percent_max", (amount - total).abs(), total);
        let told = || json!({"amount": payment.told("amount"), "status": payment.told("status"), "total": order.told("total")});
        (differs && !payment.is("status", "failed")).then(|| (told(), *order))
    });
}
