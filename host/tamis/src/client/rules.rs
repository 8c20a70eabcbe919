//! `tamis rule`: from a draft to live and back.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use tamis_model::error::Context;
use tamis_model::{Error, Result};
use ureq::http::Method;

use super::http::{Body, Client, escaped};
use super::show;

/// Versions that `rule show` tells the state of: the newest.
const VERSIONS_SHOWN: usize = 10;

/// Rules: who runs, how, and who said so.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List all rules.
    List,
    /// Show a rule: which of its versions run, how they do, and where all of them stand. What a version is: `tamis rule versions`.
    Show {
        /// Its name.
        rule: String,
    },
    /// Show the versions of a rule, newest first: who wrote and approved them, and what they are. For whoever reviews.
    Versions {
        /// Its name.
        rule: String,
        /// Only this one, member by member.
        version: Option<u32>,
    },
    /// Show who changed a rule, when and why, newest first.
    History {
        /// Its name.
        rule: String,
    },
    /// Make a rule, with its first version as a draft.
    Create {
        /// Its name.
        rule: String,
        /// What it is to be.
        #[command(flatten)]
        draft: Draft,
    },
    /// Make another version of a rule, a draft.
    Change {
        /// Its name.
        rule: String,
        /// What it is to be.
        #[command(flatten)]
        draft: Draft,
    },
    /// Ask for a version to be reviewed.
    Submit(Version),
    /// Approve a version that somebody else wrote.
    Approve(Version),
    /// Send a version back to its author.
    Reject {
        /// The rule.
        rule: String,
        /// The number of the version.
        version: u32,
        /// Why.
        #[arg(long)]
        why: String,
    },
    /// Try a version beside what runs: it judges everything, and its alerts are kept apart.
    Shadow(Version),
    /// Try an approved version on some of the keys.
    Canary {
        /// Which.
        #[command(flatten)]
        version: Version,
        /// Of how many keys in a hundred.
        #[arg(long, value_name = "1..99", value_parser = clap::value_parser!(u8).range(1..=99))]
        percent: u8,
        /// Events that it may fail on, in percent; above it is rolled back.
        #[arg(long, default_value_t = 1.0, value_name = "PERCENT")]
        errors_percent_max: f64,
        /// Events that may raise an alert, in percent; above it is rolled back.
        #[arg(long, value_name = "PERCENT")]
        alerts_percent_max: Option<f64>,
    },
    /// End a trial.
    EndTrial(Why),
    /// Take the kill switch back: all of a disabled rule runs again, a trial too.
    Enable(Why),
    /// Let an approved version judge, and end a trial; without a version, as `enable`.
    Activate {
        /// The rule.
        rule: String,
        /// The number of the version.
        version: Option<u32>,
        /// Why.
        #[arg(long)]
        why: Option<String>,
    },
    /// Let the version judge again that was live before.
    Rollback(MustSayWhy),
    /// The kill switch: nothing of the rule runs from now on.
    Disable(MustSayWhy),
}

/// A version of a rule.
#[derive(Args, Debug)]
pub struct Version {
    /// The rule.
    rule: String,
    /// The number of the version.
    version: u32,
    /// Why.
    #[arg(long)]
    why: Option<String>,
}

/// A rule, and why it is changed.
#[derive(Args, Debug)]
pub struct Why {
    /// The rule.
    rule: String,
    /// Why.
    #[arg(long)]
    why: Option<String>,
}

/// A rule, and why it is stopped or taken back, which must be said.
#[derive(Args, Debug)]
pub struct MustSayWhy {
    /// The rule.
    rule: String,
    /// Why.
    #[arg(long)]
    why: String,
}

/// What a version is to be.
#[derive(Args, Debug)]
pub struct Draft {
    /// The plugin; the rule's own name when absent.
    #[arg(long)]
    plugin: Option<String>,
    /// The plugin's version; the newest when absent.
    #[arg(long, value_name = "VERSION")]
    plugin_version: Option<String>,
    /// What differs from the plugin's defaults, all of it: JSON, or @FILE. That of the version it is based on when absent.
    #[arg(long, value_name = "JSON|@FILE")]
    config: Option<String>,
    /// The topic of its alerts.
    #[arg(long, value_name = "TOPIC")]
    route: Option<String>,
    /// What becomes of events on which it fails, and of the rule: dead_letter, halt, or
    /// {"disable": {"bad_percent_max": 5, "rows_min": 100, "window_rows": 10000}}.
    #[arg(long, value_name = "POLICY", value_parser = policy)]
    on_failure: Option<Value>,
    /// What becomes of the state that the version before it left.
    #[arg(long, value_parser = ["keep", "migrate", "reset"])]
    on_state_change: Option<String>,
    /// The version that it is based on; the newest when absent.
    #[arg(long, value_name = "N")]
    based_on: Option<u32>,
    /// Why.
    #[arg(long)]
    why: Option<String>,
}

pub(super) fn run(client: &Client, command: &Command, json: bool) -> Result<ExitCode> {
    match command {
        Command::List => show::rules(&client.items("/rules", usize::MAX)?, json),
        Command::Show { rule } => {
            let mut body = client.get(&path(rule))?.body;
            body["stats"] = client.get(&format!("{}/stats", path(rule)))?.body;
            let versions = client.items(&format!("{}/versions", path(rule)), VERSIONS_SHOWN)?;
            body["versions"] = versions.iter().map(summary).collect();
            show::one(&body, json)
        }
        Command::Versions { rule, version: None } => {
            show::versions(&client.items(&format!("{}/versions", path(rule)), usize::MAX)?, json)
        }
        Command::Versions { rule, version: Some(version) } => {
            show::one(&client.get(&format!("{}/versions/{version}", path(rule)))?.body, json)
        }
        Command::History { rule } => show::history(&client.items(&format!("{}/history", path(rule)), 200)?, json),
        Command::Create { rule, draft } => {
            let mut body = draft.body()?;
            body.insert("name".to_owned(), rule.as_str().into());
            show::one(&client.post("/rules", Value::Object(body))?.body, json)
        }
        Command::Change { rule, draft } => {
            let body = Value::Object(draft.body()?);
            show::one(&client.post(&format!("{}/versions", path(rule)), body)?.body, json)
        }
        Command::Submit(Version { rule, version, why }) => step(client, rule, *version, "submit", why.as_deref(), json),
        Command::Approve(Version { rule, version, why }) => {
            step(client, rule, *version, "approve", why.as_deref(), json)
        }
        Command::Reject { rule, version, why } => step(client, rule, *version, "reject", Some(why), json),
        Command::Shadow(Version { rule, version, why }) => {
            patch(client, rule, json!({"mode": "shadow", "version": version}), why.as_deref(), json)
        }
        Command::Canary {
            version: Version { rule, version, why },
            percent,
            errors_percent_max,
            alerts_percent_max,
        } => {
            let budget = json!({
                "rows_min": 100, "window_rows": 10_000,
                "errors_percent_max": errors_percent_max, "alerts_percent_max": alerts_percent_max,
            });
            let change = json!({"mode": "canary", "version": version, "canary_percent": percent, "budget": budget});
            patch(client, rule, change, why.as_deref(), json)
        }
        Command::EndTrial(Why { rule, why }) => patch(client, rule, json!({"trial": null}), why.as_deref(), json),
        Command::Enable(Why { rule, why }) => patch(client, rule, json!({"mode": "active"}), why.as_deref(), json),
        Command::Activate { rule, version, why } => {
            let mut change = json!({"mode": "active"});
            if let Some(version) = version {
                change["version"] = (*version).into();
            }
            patch(client, rule, change, why.as_deref(), json)
        }
        Command::Disable(MustSayWhy { rule, why }) => patch(client, rule, json!({"mode": "disabled"}), Some(why), json),
        Command::Rollback(MustSayWhy { rule, why }) => {
            change(client, rule, Method::POST, &format!("{}/rollback", path(rule)), json!({"why": why}), json)
        }
    }
}

fn path(rule: &str) -> String {
    format!("/rules/{}", escaped(rule))
}

/// What `rule show` says of a version.
fn summary(version: &Value) -> Value {
    json!({"version": version["number"], "state": version["state"], "author": version["author"]})
}

fn step(client: &Client, rule: &str, version: u32, step: &str, why: Option<&str>, json: bool) -> Result<ExitCode> {
    let path = format!("{}/versions/{version}/{step}", path(rule));
    show::one(&client.post(&path, json!({"why": why}))?.body, json)
}

fn patch(client: &Client, rule: &str, mut body: Value, why: Option<&str>, json: bool) -> Result<ExitCode> {
    body["why"] = why.into();
    change(client, rule, Method::PATCH, &path(rule), body, json)
}

/// Changes the rule as it is now: when somebody else is faster, it is refused.
fn change(client: &Client, rule: &str, method: Method, path_of: &str, body: Value, json: bool) -> Result<ExitCode> {
    let seen = client.get(&path(rule))?;
    let answer = client.call(method, path_of, Body::Json(body), seen.etag.as_deref())?;
    show::one(&answer.body, json)
}

impl Draft {
    fn body(&self) -> Result<Map<String, Value>> {
        let mut body = Map::new();
        let texts = [
            ("plugin", &self.plugin),
            ("plugin_version", &self.plugin_version),
            ("route", &self.route),
            ("on_state_change", &self.on_state_change),
            ("why", &self.why),
        ];
        for (name, value) in texts {
            if let Some(value) = value {
                body.insert(name.to_owned(), value.as_str().into());
            }
        }
        if let Some(on_failure) = &self.on_failure {
            body.insert("on_failure".to_owned(), on_failure.clone());
        }
        if let Some(based_on) = self.based_on {
            body.insert("based_on".to_owned(), based_on.into());
        }
        if let Some(config) = &self.config {
            body.insert("config".to_owned(), read_json(config)?);
        }
        Ok(body)
    }
}

/// A failure policy: a name, or an object of which the host knows what must be in it.
fn policy(text: &str) -> std::result::Result<Value, String> {
    match (text, serde_json::from_str(text)) {
        ("dead_letter" | "halt", _) => Ok(text.into()),
        (_, Ok(policy @ Value::Object(_))) => Ok(policy),
        _ => Err("it is dead_letter, halt or a JSON object".to_owned()),
    }
}

/// JSON as it is written, or from a file.
fn read_json(text: &str) -> Result<Value> {
    let (text, place) = match text.strip_prefix('@') {
        Some(path) => (std::fs::read_to_string(path).invalid("read", path)?, path.to_owned()),
        None => (text.to_owned(), "--config".to_owned()),
    };
    match serde_json::from_str(&text).invalid("read the configuration in", &place)? {
        config @ Value::Object(_) => Ok(config),
        _ => Err(Error::invalid("read the configuration in", place, "it is no JSON object")),
    }
}
