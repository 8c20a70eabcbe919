//! `tamis list`: values that rules compare with.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;
use tamis_model::{Kind, Result};
use ureq::http::Method;

use super::http::{Body, Client, escaped};
use super::show;

/// Lists of values that rules compare with: countries, card numbers.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show all lists.
    All,
    /// Show the values of a list.
    Show {
        /// Its name.
        list: String,
    },
    /// Show who changed a list, when and why, and what came and went, newest first.
    History {
        /// Its name.
        list: String,
    },
    /// Give a list other values; rules that compare with it follow at once.
    Set {
        /// Its name.
        list: String,
        /// All of its values from now on.
        #[arg(required_unless_present = "empty")]
        values: Vec<String>,
        /// It is to have no value: no rule that compares with it finds anything in it.
        #[arg(long, conflicts_with = "values")]
        empty: bool,
        /// Why.
        #[arg(long)]
        why: Option<String>,
    },
}

pub(super) fn run(client: &Client, command: &Command, json: bool) -> Result<ExitCode> {
    match command {
        Command::All => show::lists(&client.items("/lists", usize::MAX)?, json),
        Command::Show { list } => show::one(&client.get(&path(list))?.body, json),
        Command::History { list } => show::list_history(&client.items(&format!("{}/history", path(list)), 200)?, json),
        Command::Set { list, values, why, .. } => {
            let seen = match client.get(&path(list)) {
                Ok(answer) => answer.etag,
                Err(error) if error.kind() == Kind::Missing => None,
                Err(error) => return Err(error),
            };
            let body = Body::Json(json!({"values": values, "why": why}));
            let answer = match &seen {
                Some(tag) => client.call(Method::PUT, &path(list), body, Some(tag))?,
                None => client.create(&path(list), body)?,
            };
            show::one(&answer.body, json)
        }
    }
}

fn path(list: &str) -> String {
    format!("/lists/{}", escaped(list))
}
