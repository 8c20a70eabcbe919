//! `tamis decide`: what the rules say of events, asked and answered at once.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tamis_model::error::Context;
use tamis_model::{Error, Result};

use super::http::{Body, Client, escaped};
use crate::table::{Row, print};

/// Which events, and how long the answer may take.
#[derive(Args, Debug)]
pub struct Decide {
    /// The topic that they are written to.
    topic: String,
    /// A file of events, one JSON object behind the other; `-` is standard input.
    #[arg(value_name = "FILE|-")]
    file: PathBuf,
    /// Names the request: the same one again gets the same answer, and nothing is written.
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// How many milliseconds the answer may take.
    #[arg(long, default_value_t = 400, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    timeout_ms: u32,
    /// Which host.
    #[command(flatten)]
    pub server: super::Server,
}

/// What came of an event.
#[derive(Serialize)]
#[serde(transparent)]
struct DecisionRow(Value);

impl Row for DecisionRow {
    const HEAD: &'static [&'static str] = &["#PARTITION", "#OFFSET", "OUTCOME", "SEVERITY", "HITS", "REFUSED BECAUSE"];

    fn cells(&self) -> Vec<String> {
        let text = |name: &str| match &self.0[name] {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            value => value.to_string(),
        };
        let rules = self.0["rules"].as_array().into_iter().flatten();
        let hits = rules.filter(|rule| rule["result"] == "hit").filter_map(|rule| rule["rule"].as_str());
        let mut cells: Vec<String> = ["partition", "offset", "outcome", "severity"].map(text).into();
        cells.extend([hits.collect::<Vec<_>>().join(", "), text("message")]);
        cells
    }
}

pub(super) fn decide(client: &Client, decide: &Decide, json: bool) -> Result<ExitCode> {
    let Decide { topic, file, idempotency_key, timeout_ms, .. } = decide;
    let body = request(&read(file)?, file)?;
    let path = format!("/decisions/{}?timeout_ms={timeout_ms}", escaped(topic));
    let mut answer = client.decide(&path, Body::Text(body), idempotency_key.as_deref())?.body;
    let Value::Array(decisions) = answer["decisions"].take() else { return Ok(ExitCode::SUCCESS) };
    let rows: Vec<_> = decisions.into_iter().map(DecisionRow).collect();
    print(&rows, json).outage("write to", "standard output")?;
    Ok(ExitCode::SUCCESS)
}

fn read(file: &Path) -> Result<String> {
    if file.as_os_str() != "-" {
        return std::fs::read_to_string(file).invalid("read", file.display());
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).invalid("read", "standard input")?;
    Ok(text)
}

/// The body that asks about the events of a text, each as it stands there.
fn request(text: &str, file: &Path) -> Result<String> {
    let events = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
    let events: Vec<&RawValue> = events.collect::<Result<_, _>>().invalid("read events of", file.display())?;
    if events.is_empty() {
        return Err(Error::invalid("read events of", file.display(), "there is none in it"));
    }
    let records: Vec<_> = events.iter().map(|event| format!("{{\"value\":{}}}", event.get())).collect();
    Ok(format!("{{\"records\":[{}]}}", records.join(",")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_sent_as_they_stand() {
        let check = |text: &str, expected: Result<&str, &str>| match (request(text, Path::new("f")), expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected),
            (Err(error), Err(words)) => assert!(error.chain().contains(words), "{}", error.chain()),
            (found, expected) => panic!("{text}: {found:?} instead of {expected:?}"),
        };
        check("{\"a\": 1.50}", Ok(r#"{"records":[{"value":{"a": 1.50}}]}"#));
        check("{\"a\":1}\n{}\n", Ok(r#"{"records":[{"value":{"a":1}},{"value":{}}]}"#));
        check("", Err("there is none in it"));
        check("{", Err("cannot read events of f"));
    }
}
