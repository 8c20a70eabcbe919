//! People who change rules all the time, and end up with what they began with.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use ureq::Error;

use crate::process::{Answer, Api, Served, components};

/// The rules that are changed.
const RULES: [&str; 3] = ["payment-direct-fraud", "card-testing", "payments-by-currency"];
const LIST: &str = "/api/v1/lists/high_risk_countries";

/// Who changes rules.
pub struct People {
    analyst: String,
    reviewer: String,
    /// Changes that were made.
    pub made: AtomicU64,
    /// Those that the host refused, as those that a crash interrupted can be.
    pub refused: AtomicU64,
}

impl People {
    /// The people of a home that starts for the first time.
    pub fn of(served: &Served) -> Self {
        let (analyst, reviewer) = (served.token_for("ana", "analyst"), served.token_for("rea", "reviewer"));
        Self { analyst, reviewer, made: AtomicU64::new(0), refused: AtomicU64::new(0) }
    }

    /// Changes rules until the host is gone.
    pub fn change_until_gone(&self, api: &Api) {
        let mut gone = false;
        while !gone {
            gone = self.upload(api).is_err()
                || RULES.iter().any(|rule| self.change(api, rule).is_err())
                || self.put_list(api).is_err();
        }
    }

    /// The same bytes again are the same version.
    fn upload(&self, api: &Api) -> Result<(), Error> {
        let bytes = std::fs::read(components().join(format!("{}.wasm", RULES[0]))).unwrap();
        let answer = api.try_upload(&self.analyst, bytes)?;
        self.count(answer, "upload");
        Ok(())
    }

    /// A new version of the same content is put to work and taken back, then it runs as a shadow for a while.
    fn change(&self, api: &Api, rule: &str) -> Result<(), Error> {
        let (ana, rea, rule) = (&self.analyst, &self.reviewer, format!("/api/v1/rules/{rule}"));
        let version = self.ask(api, ana, "POST", &format!("{rule}/versions"), json!({"why": "again"}), None)?;
        let Some(number) = version["number"].as_u64() else { return Ok(()) };
        let version = format!("{rule}/versions/{number}");
        self.ask(api, ana, "POST", &format!("{version}/submit"), json!({}), None)?;
        self.ask(api, rea, "POST", &format!("{version}/approve"), json!({}), None)?;
        self.patch(api, &rule, json!({"mode": "active", "version": number}))?;
        let tag = api.try_ask(ana, "GET", &rule, None, None)?.tag;
        self.ask(api, ana, "POST", &format!("{rule}/rollback"), json!({"why": "it was fine"}), tag.as_deref())?;
        self.patch(api, &rule, json!({"mode": "shadow", "version": number}))?;
        self.patch(api, &rule, json!({"trial": null}))
    }

    /// The same values again are a new revision, or none.
    fn put_list(&self, api: &Api) -> Result<(), Error> {
        let list = api.try_ask(&self.analyst, "GET", LIST, None, None)?;
        let body = json!({"values": list.body["values"], "why": "looked through"});
        self.ask(api, &self.analyst, "PUT", LIST, body, list.tag.as_deref()).map(drop)
    }

    fn patch(&self, api: &Api, rule: &str, body: Value) -> Result<(), Error> {
        let tag = api.try_ask(&self.analyst, "GET", rule, None, None)?.tag;
        self.ask(api, &self.analyst, "PATCH", rule, body, tag.as_deref()).map(drop)
    }

    fn ask(
        &self,
        api: &Api,
        who: &str,
        method: &str,
        path: &str,
        body: Value,
        tag: Option<&str>,
    ) -> Result<Value, Error> {
        let answer = api.try_ask(who, method, path, Some(&body), tag)?;
        Ok(self.count(answer, path))
    }

    /// What a host answers that may have died in the middle of the change before: never an error of its own.
    fn count(&self, answer: Answer, path: &str) -> Value {
        assert!(answer.status < 500, "{path}: {}", answer.body);
        let count = if answer.status < 300 { &self.made } else { &self.refused };
        count.fetch_add(1, Ordering::Relaxed);
        answer.body
    }
}
