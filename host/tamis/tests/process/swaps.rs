//! Rules that change while events flow: each event is judged by exactly one version.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::feed;
use crate::process::{Home, Served};
use crate::results::records;

const RULES: usize = 20;
const ROUNDS: usize = 10;
const EVENTS_A_TURN: u64 = 10;
const TOPIC: &str = "alerts_fraud_payments";

/// The setting by which a version is told from the others; every risky payment is above it.
fn limit(version: u64) -> u64 {
    40 + version
}

/// Makes a version of a rule and puts it to work.
fn change(served: &Served, analyst: &str, reviewer: &str, rule: &str, version: u64) {
    let path = format!("/api/v1/rules/{rule}");
    let config = json!({"risk_score_max": limit(version)});
    let made = if version == 1 {
        let body = json!({"name": rule, "plugin": "payment-direct-fraud", "config": config});
        served.ask(analyst, "POST", "/api/v1/rules", Some(&body), None).expect(201)
    } else {
        served.ask(analyst, "POST", &format!("{path}/versions"), Some(&json!({"config": config})), None).expect(201)
    };
    drop(made);
    let step = |who: &str, step: &str| {
        served.ask(who, "POST", &format!("{path}/versions/{version}/{step}"), Some(&json!({})), None).expect(200)
    };
    step(analyst, "submit");
    step(reviewer, "approve");
    let seen = served.ask(analyst, "GET", &path, None, None);
    let body = json!({"mode": "active", "version": version});
    served.ask(analyst, "PATCH", &path, Some(&body), seen.tag.as_deref()).expect(200);
    served.until_ready();
}

#[test]
fn twenty_rules_change_two_hundred_times_and_every_event_is_judged_by_one_version() {
    let home = Home::with(&["payment-direct-fraud"]);
    feed::append(home.path(), 0..1);
    let served = Served::start(&home);
    served.until_ready();
    let (analyst, reviewer) = (served.token_for("ana", "analyst"), served.token_for("rea", "reviewer"));
    let rules: Vec<String> = (0..RULES).map(|n| format!("rule-{n}")).collect();
    for rule in &rules {
        change(&served, &analyst, &reviewer, rule, 1);
    }
    let over = AtomicBool::new(false);
    let events = std::thread::scope(|scope| {
        let feeder = scope.spawn(|| {
            let mut next = 1;
            while !over.load(Ordering::Relaxed) {
                feed::append(home.path(), next..next + EVENTS_A_TURN);
                next += EVENTS_A_TURN;
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            next
        });
        for version in 2..=(ROUNDS + 1) as u64 {
            for rule in &rules {
                change(&served, &analyst, &reviewer, rule, version);
            }
        }
        over.store(true, Ordering::Relaxed);
        feeder.join().unwrap()
    });
    let risky = |n: &u64| n.is_multiple_of(50) && !n.is_multiple_of(97);
    let expected: Vec<String> = (1..events).filter(risky).map(|n| format!("p{n}")).collect();
    served.until("all is judged", |_| of(&records(home.path(), TOPIC), "rule-0").len() >= expected.len());
    served.terminate();

    let alerts = records(home.path(), TOPIC);
    let mut versions_seen = 0;
    for rule in &rules {
        let mut judged = of(&alerts, rule);
        judged.sort_by_key(|alert| alert["event_time"].as_str().map(str::to_owned));
        let mut payments: Vec<_> =
            judged.iter().map(|alert| alert["payment_id"].as_str().unwrap().to_owned()).collect();
        payments.sort_by_key(|id| id[1..].parse::<u64>().unwrap());
        assert_eq!(payments, expected, "{rule}: each risky payment has exactly one alert");
        let mut by_version = BTreeMap::<u64, usize>::new();
        for alert in &judged {
            let version = alert["rule_version"].as_u64().unwrap();
            assert_eq!(alert["context"]["risk_score_max"], limit(version), "it is judged by the version that it names");
            *by_version.entry(version).or_default() += 1;
        }
        versions_seen += by_version.len();
    }
    assert!(
        versions_seen > RULES * 2,
        "the changes came while events flowed: {versions_seen} versions judged something"
    );
}

fn of(alerts: &[Value], rule: &str) -> Vec<Value> {
    alerts.iter().map(|record| record["value"].clone()).filter(|alert| alert["rule"] == rule).collect()
}
