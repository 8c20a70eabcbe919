//! The commands of people: how they come in, and by which way.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::feed;
use crate::process::{Api, Home, SERVE, Served, terminate};

/// What a command that speaks to `url` printed, or what it complained of.
pub fn tamis(home: &Home, token: &str, url: &str, arguments: &[&str]) -> Result<Vec<Value>, String> {
    let mut command = home.command(arguments);
    let output = command.env("TAMIS_TOKEN", token).env("TAMIS_SERVER", url).stderr(Stdio::piped()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    match output.status.success() {
        true => Ok(text(output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()),
        false => Err(text(output.stderr)),
    }
}

#[test]
fn nobody_is_locked_out_who_has_the_home() {
    let home = Home::with(&[]);
    let local = ["token", "create", "ana", "--role", "admin", "--local", "--days", "2"];
    let error = tamis(&home, "", "", &local).unwrap_err();
    assert!(error.contains("cannot open home"), "there is none yet: {error}");

    let served = Served::start(&home);
    let first = served.token.clone().unwrap();
    let made = tamis(&home, "", "", &local).unwrap().remove(0);
    assert_eq!(
        (&made["subject"], &made["role"], &made["created_by"]),
        (&json!("ana"), &json!("admin"), &json!("local"))
    );
    let ana = made["text"].as_str().unwrap();
    let seen = served.ask(ana, "GET", "/api/v1/audit?action=token.create", None, None).expect(200);
    assert_eq!(seen["items"][0]["subject"], "local", "{seen}");

    let tokens = served.ask(ana, "GET", "/api/v1/tokens", None, None).expect(200);
    let first_id = tokens["items"].as_array().unwrap().iter().find(|token| token["subject"] == "admin").unwrap();
    let path = |id: &Value| format!("/api/v1/tokens/{}", id.as_str().unwrap());
    served.ask(ana, "DELETE", &path(&first_id["id"]), None, None).expect(200);
    served.ask(&first, "GET", "/api/v1/me", None, None).expect(401);
    served.terminate();

    let served = Served::start(&home);
    assert_eq!(served.token, None, "ana can come in");
    served.ask(ana, "DELETE", &path(&made["id"]), None, None).expect(200);
    served.terminate();
    let served = Served::start(&home);
    let again = served.token.clone().expect("nobody can come in any more");
    assert_eq!(served.ask(&again, "GET", "/api/v1/me", None, None).expect(200)["role"], "admin");
    served.terminate();
}

#[test]
fn a_host_with_a_certificate_of_its_own_is_reached_with_that() {
    let home = Home::with(&["payment-direct-fraud"]);
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let file = |name: &str, text: String| {
        let path = home.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (chain, key) = (file("chain.pem", made.cert.pem()), file("key.pem", made.signing_key.serialize_pem()));
    let empty = file("empty.pem", String::new());
    let mut child =
        home.command(&[&SERVE[..], &["--tls-certificates", &chain, "--tls-key", &key]].concat()).spawn().unwrap();
    let api = Api::said_by(child.stdout.as_mut().unwrap()).unwrap();
    let token = api.token.clone().unwrap();
    let with = |ca: &str| tamis(&home, &token, &api.url, &["rule", "list", "--ca", ca]);
    assert!(api.url.starts_with("https://"), "{}", api.url);
    assert_eq!(with(&chain).unwrap()[0]["name"], "payment-direct-fraud");
    assert!(with(&empty).unwrap_err().contains("there is none in it"));
    let error = tamis(&home, &token, &api.url, &["rule", "list"]).unwrap_err();
    assert!(error.contains("certificate"), "no public authority vouches for it: {error}");
    let in_the_clear = api.url.replace("https", "http");
    let error = tamis(&home, &token, &in_the_clear, &["rule", "list"]).unwrap_err();
    assert!(error.contains("if the host has a certificate, say https"), "{error}");
    let policy = json!({"disable": {"bad_percent_max": 5.0, "rows_min": 100, "window_rows": 10_000}});
    let change = ["rule", "change", "payment-direct-fraud", "--ca", &chain, "--on-failure", &policy.to_string()];
    assert_eq!(tamis(&home, &token, &api.url, &change).unwrap()[0]["on_failure"], policy);
    terminate(&child);
    assert!(child.wait().unwrap().success());
}

#[test]
fn who_stops_a_rule_says_why_and_everybody_can_look_it_up() {
    const RULE: &str = "payment-direct-fraud";
    let home = Home::with(&[RULE]);
    let served = Served::start(&home);
    let token = served.token.clone().unwrap();
    served.until_ready();
    let tamis = |words: &str| tamis(&home, &token, &served.url, &words.split(' ').collect::<Vec<_>>());
    let one = |words: &str| tamis(words).unwrap().remove(0);

    for stop in ["rule disable", "rule rollback"] {
        let error = tamis(&format!("{stop} {RULE}")).unwrap_err();
        assert!(error.contains("--why"), "{error}");
    }
    assert_eq!(one(&format!("rule disable {RULE} --why floods"))["mode"], "disabled");
    assert_eq!(one(&format!("rule enable {RULE}"))["mode"], "active");
    let log = tamis(&format!("audit --object {RULE} --limit 2")).unwrap();
    let log: Vec<_> = log.iter().map(|row| (&row["action"], &row["why"])).collect();
    assert_eq!(log, [(&json!("rule.enable"), &Value::Null), (&json!("rule.disable"), &json!("floods"))]);
    assert!(tamis("audit").unwrap().len() > 2);

    one(&format!("rule change {RULE} --route alerts_elsewhere"));
    let versions = tamis(&format!("rule versions {RULE}")).unwrap();
    let states: Vec<_> = versions.iter().map(|version| (&version["state"], &version["route"])).collect();
    assert_eq!(states, [(&json!("draft"), &json!("alerts_elsewhere")), (&json!("live"), &Value::Null)]);
    assert_eq!(one(&format!("rule versions {RULE} 2")), versions[0]);
    let shown = one(&format!("rule show {RULE}"))["versions"].take();
    assert_eq!(shown[0], json!({"version": 2, "state": "draft", "author": "admin"}));

    one("list set bins A B");
    one("list set bins B C");
    let history = tamis("list history bins").unwrap();
    assert_eq!((&history[0]["added"], &history[0]["removed"]), (&json!(["C"]), &json!(["A"])));
    served.terminate();
}

#[test]
fn what_was_sent_through_again_is_marked() {
    let home = Home::with(&["payment-direct-fraud"]);
    feed::append(home.path(), 0..100);
    let served = Served::start(&home);
    let token = served.token.clone().unwrap();
    served.until_ready();
    let tamis = |words: &str| tamis(&home, &token, &served.url, &words.split(' ').collect::<Vec<_>>());
    let letters = || tamis("dead-letters --limit 10").unwrap();
    served.until("payments 0 and 97 are dead letters", |_| letters().len() == 2);
    assert!(letters().iter().all(|letter| letter["redrive"].is_null()));
    let place = |letter: &Value| format!("{}:{}", letter["partition"], letter["offset"]);
    let first = letters().remove(0);
    let report = tamis(&format!("dead-letters redrive --letter {} --why again", place(&first))).unwrap();
    assert_eq!((&report[0]["failed"], &report[0]["judged"]), (&json!(1), &json!(0)), "{report:?}");
    let of_the_same = |letter: &&Value| letter["from"] == first["from"];
    served.until("its new letter is there", |_| letters().len() == 3);
    let marked = letters().iter().filter(of_the_same).filter(|letter| letter["redrive"]["outcome"] == "failed").count();
    assert_eq!(marked, 2, "of a record that was sent again each letter says so: {:?}", letters());
    let report = tamis("dead-letters redrive --topic payments --attempts-max 1").unwrap();
    assert_eq!((&report[0]["failed"], &report[0]["exhausted"]), (&json!(1), &json!(1)), "{report:?}");
    served.terminate();
}

#[test]
fn alerts_of_trials_are_listed_by_themselves() {
    let home = Home::with(&["payment-direct-fraud"]);
    let served = Served::start(&home);
    let token = served.token.clone().unwrap();
    served.until_ready();
    let tamis = |words: &str| tamis(&home, &token, &served.url, &words.split(' ').collect::<Vec<_>>()).unwrap();
    tamis("rule create trial --plugin payment-direct-fraud");
    tamis("rule shadow trial 1");
    served.until_ready();
    feed::append(home.path(), 0..500);
    let of = |mode: &str| tamis(&format!("alerts --mode {mode}"));
    served.until("both have judged", |_| of("live").len() == 9 && of("shadow").len() == 9);
    assert!(of("live").iter().all(|alert| alert["rule"] == "payment-direct-fraud"));
    assert!(of("shadow").iter().all(|alert| alert["rule"] == "trial"));
    served.terminate();
}

#[test]
fn a_token_is_not_sent_in_the_clear_to_another_machine() {
    let home = Home::with(&[]);
    // Reserved for documentation: nobody is there.
    let error = tamis(&home, "tamis_x", "http://192.0.2.1:8710", &["rule", "list"]).unwrap_err();
    assert!(error.contains("the token would go in the clear"), "{error}");
}
