//! `tamis token`: who may come in.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;
use tamis_engine::{Clock, SystemClock};
use tamis_model::Result;
use tamis_model::time::rfc3339_millis;
use ureq::http::Method;

use super::http::{Body, Client, escaped};
use super::show;

const DAY_MS: i64 = 86_400_000;

/// Tokens: who may come in, and do what.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show all tokens; their secrets are known to nobody.
    List,
    /// Make a token. Its text is shown this once.
    Create {
        /// Whose it is.
        subject: String,
        /// What its bearer does here.
        #[arg(long, value_parser = ["viewer", "analyst", "engineer", "reviewer", "admin"])]
        role: String,
        /// What it is called; the subject when absent.
        #[arg(long)]
        name: Option<String>,
        /// For how many days it is good.
        #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u16).range(1..=366))]
        days: u16,
    },
    /// From now on a token is worth nothing.
    Revoke {
        /// Its id.
        id: String,
    },
}

pub(super) fn run(client: &Client, command: &Command, json: bool) -> Result<ExitCode> {
    match command {
        Command::List => show::tokens(&client.items("/tokens", usize::MAX)?, json),
        Command::Create { subject, role, name, days } => {
            let expires_at = rfc3339_millis(SystemClock.now() + i64::from(*days) * DAY_MS);
            let name = name.as_ref().unwrap_or(subject);
            let body = json!({"name": name, "subject": subject, "role": role, "expires_at": expires_at});
            show::one(&client.post("/tokens", body)?.body, json)
        }
        Command::Revoke { id } => {
            let answer = client.call(Method::DELETE, &format!("/tokens/{}", escaped(id)), Body::None, None)?;
            show::one(&answer.body, json)
        }
    }
}
