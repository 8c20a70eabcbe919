//! The way of a rule from an idea to the kill switch, by HTTP.

use serde_json::{Value, json};
use tamis_catalog::roles::Role;

use crate::components;
use crate::home::{Home, Obeys};

/// People with their tokens, around one rule of which there are two versions of a plugin.
struct People {
    home: Home,
    alice: String,
    rob: String,
}

impl People {
    async fn new() -> Self {
        let home = Home::new().await;
        for version in ["1.0.0", "1.1.0"] {
            home.upload(components::rule("card-testing", version)).await;
        }
        let (alice, rob) = (home.token("alice", Role::Analyst).await, home.token("rob", Role::Reviewer).await);
        Self { home, alice, rob }
    }

    /// The rule as it is, and its entity tag.
    async fn rule(&self) -> (Value, String) {
        let answer = self.home.get("/rules/card-testing").token(&self.alice).send().await.is(200);
        (answer.json(), answer.etag().to_owned())
    }

    /// What Alice asks for of the rule as it is.
    async fn patch(&self, body: Value) -> Value {
        let (_, tag) = self.rule().await;
        let patch = self.home.patch("/rules/card-testing").token(&self.alice).if_match(&tag).json(body);
        patch.send().await.is(200).json()
    }

    async fn step(&self, token: &str, number: u32, step: &str, status: u16) -> Value {
        let path = format!("/rules/card-testing/versions/{number}/{step}");
        let request = self.home.post(&path).token(token).json(json!({"why": "as it should be"}));
        request.send().await.is(status).json()
    }

    async fn approve(&self, number: u32) {
        self.step(&self.alice, number, "submit", 200).await;
        self.step(&self.rob, number, "approve", 200).await;
    }

    async fn create(&self) {
        let rule = json!({"name": "card-testing", "plugin_version": "1.0.0", "why": "cards are tested"});
        let made = self.home.post("/rules").token(&self.alice).json(rule).send().await.is(201);
        assert_eq!(made.text("location"), "/api/v1/rules/card-testing");
        assert_eq!(made.json()["mode"], "disabled");
    }

    async fn states(&self) -> Vec<String> {
        let page = self.home.get("/rules/card-testing/versions").token(&self.rob).send().await.is(200).json();
        let items = page["items"].as_array().unwrap().iter();
        items.map(|version| version["state"].as_str().unwrap().to_owned()).collect()
    }
}

#[tokio::test]
async fn from_an_idea_to_the_kill_switch() {
    let people = People::new().await;
    people.create().await;
    people.approve(1).await;
    let active = people.patch(json!({"mode": "active", "version": 1})).await;
    assert_eq!(
        (&active["mode"], &active["active_version"], &active["in_effect"]),
        (&json!("active"), &json!(1), &json!(true))
    );

    let next = json!({"plugin_version": "1.1.0", "config": {"limit": 5}, "why": "3 is too few"});
    let next = people.home.post("/rules/card-testing/versions").token(&people.alice).json(next).send().await.is(201);
    assert_eq!(next.text("location"), "/api/v1/rules/card-testing/versions/2");
    assert_eq!((&next.json()["state"], &next.json()["based_on"]), (&json!("draft"), &json!(1)));

    // Trying is free.
    let tried = people.patch(json!({"mode": "shadow", "version": 2})).await;
    assert_eq!(tried["trial"], json!({"version": 2, "mode": "shadow"}));
    people.approve(2).await;
    let budget = json!({"rows_min": 10, "errors_percent_max": 1.0, "window_rows": 100});
    let canary = json!({"mode": "canary", "version": 2, "canary_percent": 10, "budget": budget});
    let canary = people.patch(canary).await;
    assert_eq!((&canary["mode"], &canary["trial"]["canary_percent"]), (&json!("active"), &json!(10)));
    people.patch(json!({"mode": "active", "version": 2})).await;
    assert_eq!(people.states().await, ["live", "retired"]);

    let why = json!({"why": "it misses the night"});
    let back = people.home.post("/rules/card-testing/rollback").token(&people.alice).if_match("*").json(why);
    let back = back.send().await.is(200);
    assert_eq!(back.json()["active_version"], 1);
    assert_eq!(people.states().await, ["retired", "live"]);

    let stopped = people.patch(json!({"mode": "disabled", "why": "the desk drowns"})).await;
    assert_eq!((&stopped["mode"], &stopped["active_version"]), (&json!("disabled"), &json!(1)));
    let again = people.patch(json!({"mode": "active"})).await;
    assert_eq!((&again["mode"], &again["active_version"]), (&json!("active"), &json!(1)));

    history_tells_it(&people).await;
}

/// Who, what, why and what of it was new, newest first.
async fn history_tells_it(people: &People) {
    let page = people.home.get("/rules/card-testing/history").token(&people.rob).send().await.is(200).json();
    let items = page["items"].as_array().unwrap();
    let told: Vec<_> =
        items.iter().rev().map(|item| (item["subject"].as_str().unwrap(), item["action"].as_str().unwrap())).collect();
    let expected = [
        ("alice", "rule.create"),
        ("alice", "rule_version.submit"),
        ("rob", "rule_version.approve"),
        ("alice", "rule.activate"),
        ("alice", "rule_version.create"),
        ("alice", "rule.shadow"),
        ("alice", "rule_version.submit"),
        ("rob", "rule_version.approve"),
        ("alice", "rule.canary"),
        ("alice", "rule.activate"),
        ("alice", "rule.roll_back"),
        ("alice", "rule.disable"),
        ("alice", "rule.enable"),
    ];
    assert_eq!(told, expected);
    let drafted = &items[8];
    assert_eq!(drafted["why"], "3 is too few");
    assert_eq!(drafted["after"]["content"]["config"], json!({"limit": 5}));
    assert_eq!(drafted["before"]["content"]["plugin_version"], "1.0.0");
}

#[tokio::test]
async fn nobody_approves_their_own() {
    let people = People::new().await;
    people.create().await;
    people.step(&people.alice, 1, "submit", 200).await;
    // Whatever token she has.
    let other = people.home.token("alice", Role::Admin).await;
    let refused = people.step(&other, 1, "approve", 409).await;
    assert_eq!(refused["type"], "/problems/own-change");
    let activate = people.home.patch("/rules/card-testing").token(&other).if_match("*");
    let refused = activate.json(json!({"mode": "active", "version": 1})).send().await.is(409);
    assert_eq!(refused.slug(), "state");
    people.step(&people.rob, 1, "reject", 200).await;
    assert_eq!(people.states().await, ["draft"]);
    people.approve(1).await;
    people.patch(json!({"mode": "active", "version": 1})).await;
}

#[tokio::test]
async fn what_is_refused_as_things_stand_is_kept() {
    let people = People::new().await;
    people.create().await;
    people.step(&people.rob, 1, "approve", 409).await;
    let stale = people.home.patch("/rules/card-testing").token(&people.alice).if_match("\"99\"");
    stale.json(json!({"mode": "shadow", "version": 1})).send().await.is(412);
    let refused =
        people.home.get("/audit?object=card-testing&action=rule").token(&people.rob).send().await.is(200).json();
    let kept = refused["items"].as_array().unwrap().iter().filter(|item| item["outcome"] == "refused");
    let kept: Vec<_> = kept.map(|item| (item["subject"].as_str().unwrap(), item["action"].as_str().unwrap())).collect();
    assert_eq!(kept, [("alice", "rule.shadow"), ("rob", "rule_version.approve")]);
}

#[tokio::test]
async fn an_answer_says_whether_the_stream_works_by_it() {
    let people = People::new().await;
    people.create().await;
    let try_it = || people.patch(json!({"mode": "shadow", "version": 1}));
    let end_it = || people.patch(json!({"trial": null}));
    assert_eq!(try_it().await["in_effect"], true);

    *people.home.obeys.lock().unwrap() = Obeys::Refuses("the topic is gone");
    let refused = end_it().await;
    assert_eq!(refused["in_effect"], false);
    assert_eq!(refused["not_in_effect_because"], "the engine refused it: the topic is gone");
    assert_eq!(refused["trial"], Value::Null, "it is kept all the same");

    *people.home.obeys.lock().unwrap() = Obeys::Ignores;
    let late = try_it().await;
    assert_eq!(late["not_in_effect_because"], "the stream has not taken it yet");
}

#[tokio::test]
async fn a_rule_tells_what_it_does() {
    let people = People::new().await;
    people.create().await;
    people.approve(1).await;
    people.patch(json!({"mode": "active", "version": 1})).await;
    let stats =
        || async { people.home.get("/rules/card-testing/stats").token(&people.rob).send().await.is(200).json() };
    assert_eq!((&stats().await["active"]["events"], &stats().await["active"]["keys"]), (&json!(0), &Value::Null));

    people.home.status.send_modify(|status| {
        let report = std::sync::Arc::make_mut(&mut status.report);
        let counts = report.counts.rules.entry("card-testing".to_owned()).or_default();
        (counts.judged, counts.findings, counts.poisoned) = (1_000, 7, 2);
        counts.alerts.insert(tamis_model::rule::Severity::High, 7);
        status.rules = std::sync::Arc::new(vec![tamis_engine::report::RuleGauge {
            rule: "card-testing".to_owned(),
            version: 1,
            trial: false,
            keys: 12,
            state_bytes: 300,
            calls: 30,
            call_ns_p50: 4_000,
            call_ns_p99: 9_000,
            call_latencies: tamis_engine::meters::Latencies::default(),
            tripped: None,
        }]);
    });
    let active = stats().await["active"].take();
    let expected = json!({
        "version": 1, "events": 1000, "hits": 7, "repeated": 0, "errors": 2, "emitted": 0, "alerts": {"high": 7},
        "keys": 12, "calls": 30, "call_ns_p50": 4000, "call_ns_p99": 9000, "tripped": null,
    });
    assert_eq!(active, expected);
}
