//! `tamis dead-letters redrive`: through the rules again.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tamis_model::Result;

use super::http::Client;
use super::show;

/// What is done about dead letters, besides looking at them.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Have a running host judge dead letters again: by the rule that failed, or by all when they could not be decoded.
    Redrive(Redrive),
}

/// Which letters, and how often.
#[derive(Args, Debug)]
#[group(id = "which", required = true, multiple = true, args = ["letters", "rule", "reason", "topic"])]
pub struct Redrive {
    /// This one, as `tamis dead-letters` names it; can be given several times.
    #[arg(long = "letter", value_name = "PARTITION:OFFSET", value_parser = place, conflicts_with_all = ["rule", "reason", "topic"])]
    letters: Vec<Value>,
    /// Those that this rule failed on: the newest thousand that were not judged since.
    #[arg(long)]
    rule: Option<String>,
    /// Those with this reason.
    #[arg(long)]
    reason: Option<String>,
    /// Those of records of this topic.
    #[arg(long)]
    topic: Option<String>,
    /// How often a letter may be sent in all.
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    attempts_max: u32,
    /// Why.
    #[arg(long)]
    why: Option<String>,
    /// Which host.
    #[command(flatten)]
    pub server: super::Server,
}

pub(super) fn redrive(client: &Client, redrive: &Redrive, json: bool) -> Result<ExitCode> {
    let Redrive { letters, rule, reason, topic, attempts_max, why, .. } = redrive;
    let mut body = json!({"attempts_max": attempts_max, "why": why});
    match letters.is_empty() {
        true => body["filter"] = json!({"rule": rule, "reason": reason, "topic": topic}),
        false => body["letters"] = letters.clone().into(),
    }
    show::one(&client.post("/dead-letters/redrive", body)?.body, json)
}

/// A letter's place in its topic.
fn place(text: &str) -> Result<Value, String> {
    let numbers = text.split_once(':').and_then(|(partition, offset)| {
        Some(json!({"partition": partition.parse::<u32>().ok()?, "offset": offset.parse::<i64>().ok()?}))
    });
    numbers.ok_or_else(|| "it is no PARTITION:OFFSET, such as 0:17".to_owned())
}
