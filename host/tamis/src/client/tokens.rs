//! `tamis token`: who may come in.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;
use tamis_api::{TokenRequest, issue_token};
use tamis_catalog::roles::Role;
use tamis_catalog::{Actor, Change};
use tamis_engine::{Clock, SystemClock};
use tamis_model::Result;
use tamis_model::time::{Millis, rfc3339_millis};
use ureq::http::Method;

use super::http::{Body, Client, escaped};
use super::{Server, show};
use crate::commands::{catalog, runtime};
use crate::home::Home;

const DAY_MS: i64 = 86_400_000;

/// Tokens: who may come in, and do what.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show all tokens; their secrets are known to nobody.
    List,
    /// Make a token. Its text is shown this once.
    Create(NewToken),
    /// From now on a token is worth nothing.
    Revoke {
        /// Its id.
        id: String,
    },
}

/// A token to be.
#[derive(Args, Debug)]
pub struct NewToken {
    /// Whose it is.
    subject: String,
    /// What its bearer does here: viewer, analyst, engineer, reviewer or admin.
    #[arg(long)]
    role: Role,
    /// What it is called; the subject when absent.
    #[arg(long)]
    name: Option<String>,
    /// For how many days it is good.
    #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u16).range(1..=366))]
    days: u16,
    /// Make it in the home folder itself (--home), without asking a host: the way in when no token is left.
    #[arg(long)]
    local: bool,
}

pub(super) fn run(server: &Server, home: &Home, command: &Command, json: bool) -> Result<ExitCode> {
    let client = || Client::new(server);
    match command {
        Command::List => show::tokens(&client()?.items("/tokens", usize::MAX)?, json),
        Command::Create(token) if token.local => token.create_in(home, json),
        Command::Create(token) => {
            let NewToken { subject, role, .. } = token;
            let expires_at = rfc3339_millis(token.expires_at());
            let body = json!({"name": token.name(), "subject": subject, "role": role, "expires_at": expires_at});
            show::new_token(&client()?.post("/tokens", body)?.body, json)
        }
        Command::Revoke { id } => {
            let answer = client()?.call(Method::DELETE, &format!("/tokens/{}", escaped(id)), Body::None, None)?;
            show::one(&answer.body, json)
        }
    }
}

impl NewToken {
    fn name(&self) -> &str {
        self.name.as_ref().unwrap_or(&self.subject)
    }

    fn expires_at(&self) -> Millis {
        SystemClock.now() + i64::from(self.days) * DAY_MS
    }

    /// Makes it in the catalogue of a home, whether a host serves that or not.
    fn create_in(&self, home: &Home, json: bool) -> Result<ExitCode> {
        let request = TokenRequest {
            name: self.name().to_owned(),
            subject: self.subject.clone(),
            role: self.role,
            scopes: None,
            expires_at: self.expires_at(),
        };
        let change = Change { actor: &Actor::local(), why: None, at: SystemClock.now() };
        let (token, text) = runtime()?.block_on(async {
            let catalog = catalog(home).await?;
            let made = issue_token(&catalog, request, &change).await;
            catalog.close().await;
            made
        })?;
        let mut made = json!(token);
        made["text"] = text.into();
        show::new_token(&made, json)
    }
}
