//! Starting, serving and ending.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tamis_connectors::ProcessLock;

use crate::feed;
use crate::process::{Home, SERVE, Served};
use crate::results::records;

#[test]
fn a_host_serves_until_it_is_told_to_end_and_goes_on_where_it_stood() {
    let home = Home::with(&["payment-direct-fraud", "card-testing"]);
    feed::append(home.path(), 0..5_000);
    let served = Served::start(&home);
    let token = served.token.clone().expect("the first start makes a token");
    served.until_ready();
    served.until("all is judged", |served| {
        let stats = served.ask(&token, "GET", "/api/v1/rules/payment-direct-fraud/stats", None, None).expect(200);
        stats["active"]["events"].as_u64() >= Some(4_900)
    });
    let (status, took) = served.terminate();
    assert!(status.success(), "{status}");
    assert!(took < Duration::from_secs(10), "it took {took:?} to end");
    let before = records(home.path(), "alerts_fraud_payments");
    assert_eq!(before.len(), 98, "each 50th payment is risky; numbers 0 and 4 850 cannot be decoded");

    let served = Served::start(&home);
    assert_eq!(served.token, None, "a token is shown once");
    served.until_ready();
    assert_eq!(served.ask(&token, "GET", "/api/v1/me", None, None).expect(200)["subject"], "admin");
    feed::append(home.path(), 5_000..5_100);
    served.until("the new ones are judged", |_| records(home.path(), "alerts_fraud_payments").len() == 100);
    served.terminate();
    assert_eq!(records(home.path(), "alerts_fraud_payments")[..98], before[..], "nothing was written twice");
}

#[test]
fn the_kill_switch_works_at_once_and_is_kept() {
    let home = Home::with(&["payment-direct-fraud"]);
    feed::append(home.path(), 0..500);
    let served = Served::start(&home);
    let token = served.token.clone().unwrap();
    served.until_ready();
    let rule = "/api/v1/rules/payment-direct-fraud";
    served.until("all is judged", |_| records(home.path(), "alerts_fraud_payments").len() == 9);
    let seen = served.ask(&token, "GET", rule, None, None);
    let body = json!({"mode": "disabled", "why": "false alarms"});
    let changed = served.ask(&token, "PATCH", rule, Some(&body), seen.tag.as_deref()).expect(200);
    assert_eq!(changed["mode"], "disabled", "{changed}");
    served.until_ready();
    feed::append(home.path(), 500..1_000);
    served.kill();
    let served = Served::start(&home);
    served.until_ready();
    assert_eq!(served.ask(&token, "GET", rule, None, None).expect(200)["mode"], "disabled");
    served.terminate();
    let alerts = records(home.path(), "alerts_fraud_payments").len();
    assert_eq!(alerts, 9, "a disabled rule judges nothing, and what it said before stands");
}

#[test]
fn a_home_is_served_once() {
    let home = Home::with(&["payment-direct-fraud"]);
    let served = Served::start(&home);
    served.until_ready();
    let output = home.command(&SERVE).stderr(Stdio::piped()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout), (Some(75), Vec::new()), "{said}");
    assert!(said.contains("streams.lock: another run is at work"), "{said}");
    served.terminate();
    Served::start(&home).terminate();
}

#[test]
fn what_the_files_say_wrong_is_said_with_rule_and_file() {
    let home = Home::with(&["expression"]);
    let text = "[rules.large]\nplugin = \"expression\"\nconfig = { condition = \"amout > 5\" }\n";
    std::fs::write(home.path().join("tamis.toml"), text).unwrap();
    let output = home.command(&SERVE).stderr(Stdio::piped()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    let place = format!("rule large, as {} says", home.path().join("tamis.toml").display());
    assert!(said.contains(&place) && said.contains("did you mean `amount`?"), "{said}");
}

#[test]
fn a_run_is_in_the_audit_log_once_it_has_begun() {
    let home = Home::with(&["check-completeness", "check-volume", "check-range"]);
    let served = Served::start(&home);
    let token = served.token.clone().unwrap();
    let start =
        || served.ask(&token, "POST", "/api/v1/runs", Some(&json!({"job": "nightly", "as_of": "2026-03-20"})), None);
    let audited = || {
        let log = served.ask(&token, "GET", "/api/v1/audit?action=run.start", None, None).expect(200);
        let row = |row: &Value| (row["outcome"].clone(), row["after"]["run"].clone());
        log["items"].as_array().unwrap().iter().map(row).collect::<Vec<_>>()
    };
    let lock = home.path().join("nightly.lock");
    let held = ProcessLock::acquire(&lock, "the test is at work").unwrap();
    start().expect(409);
    assert_eq!(audited(), [(json!("refused"), Value::Null)]);
    drop(held);
    // It cannot be locked at all: that is no other run.
    std::fs::remove_file(&lock).unwrap();
    std::fs::create_dir(&lock).unwrap();
    start().expect(503);
    assert_eq!(audited().len(), 1);
    std::fs::remove_dir(&lock).unwrap();

    let id = start().expect(202)["id"].clone();
    assert_eq!(audited()[0], (json!("done"), id.clone()));
    let run = format!("/api/v1/runs/{}", id.as_str().unwrap());
    served.until("it is over", |served| served.ask(&token, "GET", &run, None, None).expect(200)["state"] != "running");
    served.terminate();
}
