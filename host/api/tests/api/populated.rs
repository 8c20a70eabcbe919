//! A home in which there are some of everything.

use std::sync::Arc;

use serde_json::{Value, json};
use tamis_catalog::operations::Trouble;
use tamis_catalog::roles::Role;
use tamis_catalog::{Actor, Change};
use tamis_connectors::Warehouse;
use tamis_connectors::topics::{TopicWriter, WriterSettings};
use tamis_engine::Sink;
use tamis_model::alert::{Alert, AlertContext, AlertMode, Personal};
use tamis_model::dead_letter::{DeadLetter, FailedRule, PluginRef};
use tamis_model::position::Partition;
use tamis_model::rule::Severity;
use tamis_model::time::rfc3339_millis;

use crate::components;
use crate::home::{Home, NOON};

/// The rule whose version 1 is live, 2 is in review, 3 a draft and 4 approved.
pub const RULE: &str = "card-testing";

/// What a record's value is, and whether a rule failed on it.
pub const LETTERS: [(&str, Option<&str>); 4] =
    [("\"good\"", Some(RULE)), ("\"bad\"", Some(RULE)), ("\"other\"", Some("gone")), ("[\"good\"]", None)];

impl Home {
    /// A home with some of everything, made as people make it.
    pub async fn populated() -> Self {
        let home = Self::new().await;
        for (name, version) in [(RULE, "1.0.0"), (RULE, "1.1.0"), ("other", "1.0.0")] {
            home.upload(components::rule(name, version)).await;
        }
        home.make_rules().await;
        home.make_lists().await;
        for n in 1..=3 {
            home.catalog().start_run(&format!("run-{n}"), "nightly", "2026-03-20", NOON).await.unwrap();
            let change = Change { actor: &Actor::local(), why: None, at: NOON };
            let request = json!({"rule": RULE, "from": "2026-03-18T00:00:00Z", "to": "2026-03-19T00:00:00Z"});
            home.catalog().create_backtest(&format!("backtest-{n}"), &request, &change).await.unwrap();
        }
        home.catalog().raise("run-1", Trouble::RunFailed, "nightly", "no room", NOON).await.unwrap();
        home.catalog().raise_outside_runs(Trouble::StreamHalted, "streams", "a rule failed", NOON).await.unwrap();
        home.warehouse.insert_alerts("streams", &(0..5).map(alert).collect::<Vec<_>>()).await.unwrap();
        home.write_letters(&LETTERS);
        home
    }

    /// A draft of a rule, submitted, approved by somebody else, and put to work.
    async fn make_rules(&self) {
        let (author, reviewer) = (self.token("alice", Role::Analyst).await, self.token("rob", Role::Reviewer).await);
        for name in [RULE, "other", "third"] {
            let plugin = if name == "third" { "other" } else { name };
            let rule = json!({"name": name, "plugin": plugin, "plugin_version": "1.0.0", "why": "to try it"});
            self.post("/rules").token(&author).json(rule).send().await.is(201);
        }
        let version = |config: Value| self.post("/rules/card-testing/versions").token(&author).json(config);
        for limit in [2, 3, 4] {
            version(json!({"config": {"limit": limit}})).send().await.is(201);
        }
        let step = |number: u32, step: &str, token: &str| {
            self.post(&format!("/rules/card-testing/versions/{number}/{step}")).token(token)
        };
        for number in [1, 2, 4] {
            step(number, "submit", &author).send().await.is(200);
        }
        for number in [1, 4] {
            step(number, "approve", &reviewer).send().await.is(200);
        }
        let activate = json!({"mode": "active", "version": 1, "why": "it was approved"});
        self.patch("/rules/card-testing").token(&author).if_match("*").json(activate).send().await.is(200);
    }

    async fn make_lists(&self) {
        let token = self.token("alice", Role::Analyst).await;
        for name in ["vip", "deny"] {
            let put = self.put(&format!("/lists/{name}")).token(&token).header("if-none-match", "*");
            put.json(json!({"values": ["a"], "why": "new"})).send().await.is(201);
        }
        for values in [json!(["a", "b"]), json!(["b"])] {
            let put = self.put("/lists/vip").token(&token).if_match("*");
            put.json(json!({"values": values})).send().await.is(200);
        }
    }

    /// Writes dead letters: the values of their records, and the rules that failed on them.
    pub fn write_letters(&self, letters: &[(&str, Option<&str>)]) {
        let mut writer =
            TopicWriter::open(self.folder.path().join("topics"), "streams", WriterSettings::default()).unwrap();
        let letters = letters.iter().zip(0..).map(|((value, rule), offset)| letter(value, *rule, offset).into_record());
        writer.write(&letters.collect::<Vec<_>>()).unwrap();
    }

    /// Writes so many dead letters of the record at `offset`.
    pub fn write_letters_of(&self, offset: i64, count: usize) {
        let (value, rule) = LETTERS[usize::try_from(offset).unwrap()];
        let mut writer =
            TopicWriter::open(self.folder.path().join("topics"), "streams", WriterSettings::default()).unwrap();
        let letters = std::iter::repeat_with(|| letter(value, rule, offset).into_record());
        writer.write(&letters.take(count).collect::<Vec<_>>()).unwrap();
    }
}

fn letter(value: &str, rule: Option<&str>, offset: i64) -> DeadLetter {
    let sha256 = "00".repeat(32);
    DeadLetter {
        partition: Partition { topic: "payments".to_owned(), number: 0 },
        offset: Some(offset),
        timestamp: NOON + offset,
        key: Some(b"c1".to_vec()),
        value: Some(value.as_bytes().to_vec()),
        reason: if rule.is_some() { "trap" } else { "invalid_json" },
        message: "in words".to_owned(),
        rule: rule.map(|name| FailedRule {
            name: name.to_owned(),
            version: 1,
            mode: AlertMode::Live,
            plugin: PluginRef { name: RULE.to_owned(), version: "1.0.0".to_owned(), sha256 },
        }),
        attempt: 1,
    }
}

fn alert(n: u8) -> Alert {
    Alert {
        alert_id: format!("{n:032x}"),
        rule: if n.is_multiple_of(2) { RULE.to_owned() } else { "other".to_owned() },
        rule_version: 1,
        plugin_version: "1.0.0".to_owned(),
        plugin_sha256: "00".repeat(32),
        severity: if n < 2 { Severity::Info } else { Severity::Critical },
        mode: if n == 4 { AlertMode::Shadow } else { AlertMode::Live },
        event_time: rfc3339_millis(NOON + i64::from(n)),
        generated_at: rfc3339_millis(NOON),
        key: None,
        payment_id: Some(format!("p{n}")),
        order_id: None,
        customer_id: None,
        criteria: vec!["commanded".to_owned()],
        context: AlertContext::from_iter([("payment_id".into(), json!("p1"))]),
        lists: Arc::default(),
        personal: Personal::default(),
    }
}
