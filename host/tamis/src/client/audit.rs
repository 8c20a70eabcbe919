//! `tamis audit`: who did what, and what was refused.

use std::process::ExitCode;

use clap::Args;
use tamis_model::Result;

use super::http::{Client, escaped};
use super::show;

/// Which rows of the audit log are wanted.
#[derive(Args, Debug)]
pub struct Audit {
    /// Only what this person did.
    #[arg(long)]
    subject: Option<String>,
    /// Only actions that begin so: rule.activate, rule.
    #[arg(long)]
    action: Option<String>,
    /// Only what was done to this: a rule, a list.
    #[arg(long)]
    object: Option<String>,
    /// How many to list.
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Which host.
    #[command(flatten)]
    pub server: super::Server,
}

pub(super) fn list(client: &Client, wanted: &Audit, json: bool) -> Result<ExitCode> {
    let Audit { subject, action, object, limit, .. } = wanted;
    let filters = [("subject", subject), ("action", action), ("object", object)];
    let filters = filters.iter().filter_map(|(name, value)| Some(format!("{name}={}", escaped(value.as_deref()?))));
    let query = filters.collect::<Vec<_>>().join("&");
    let path = if query.is_empty() { "/audit".to_owned() } else { format!("/audit?{query}") };
    show::audit(&client.items(&path, *limit as usize)?, json)
}
