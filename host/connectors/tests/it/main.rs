//! The connectors against the engine's conformance suites, and what only a real disk or database can show.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail as loudly as the test")]

mod alert_list;
mod checkpoints;
mod files;
mod influx;
mod lake;
mod tables;
mod topics;
mod warehouse;
mod warehouse_contract;

use tamis_model::alert::{Alert, AlertMode, Personal};
use tamis_model::rule::Severity;

/// An alert that is the `n`-th of its rule, with a personal key and context.
pub fn alert(rule: &str, n: usize, event_time: &str) -> Alert {
    Alert {
        alert_id: format!("{rule}-{n}"),
        rule: rule.to_owned(),
        rule_version: 1,
        plugin_version: "1.0.0".to_owned(),
        plugin_sha256: "00".repeat(32),
        severity: Severity::Critical,
        mode: AlertMode::Live,
        event_time: event_time.to_owned(),
        generated_at: "2026-03-18T14:00:05.000Z".to_owned(),
        key: Some(format!("device-{n}")),
        payment_id: Some(format!("p{n}")),
        order_id: None,
        customer_id: Some("c1".to_owned()),
        criteria: vec![rule.to_owned()],
        context: [("count".into(), 4.into()), ("ip".into(), "10.0.0.1".into())].into_iter().collect(),
        lists: std::sync::Arc::default(),
        personal: Personal { key: true, context: vec!["ip".to_owned()] },
    }
}
