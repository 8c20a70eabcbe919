//! Commands for people who change rules: they speak to a running `tamis serve` as `curl` would, and need no home folder
//! (but `tamis token create --local`, for whoever has the folder and no token).

mod audit;
mod dead_letters;
mod decisions;
mod http;
mod lists;
mod plugins;
mod rules;
mod show;
mod tokens;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use tamis_model::Result;

pub use audit::Audit;
pub use dead_letters::Command as DeadLettersCommand;
pub use decisions::Decide;
pub use lists::Command as ListCommand;
pub use plugins::Push;
pub use rules::Command as RuleCommand;
pub use tokens::Command as TokenCommand;

use http::Client;

use crate::home::Home;

/// Which host is spoken to, and with which token.
#[derive(Args, Clone, Debug)]
pub struct Server {
    /// Where `tamis serve` is.
    #[arg(long, global = true, env = "TAMIS_SERVER", default_value = "http://127.0.0.1:8710", value_name = "URL")]
    pub server: String,
    /// A file that holds the token; else it is in the environment, TAMIS_TOKEN.
    #[arg(long, global = true, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// The certificates (PEM) that vouch for the host, when no public authority does.
    #[arg(long, global = true, env = "TAMIS_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Send the token in the clear, over http to another machine: whoever listens on the way has it.
    #[arg(long, global = true)]
    pub plain_http: bool,
}

/// `tamis rule …`.
pub fn rule(server: &Server, command: &RuleCommand, json: bool) -> Result<ExitCode> {
    rules::run(&Client::new(server)?, command, json)
}

/// `tamis list …`.
pub fn list(server: &Server, command: &ListCommand, json: bool) -> Result<ExitCode> {
    lists::run(&Client::new(server)?, command, json)
}

/// `tamis token …`.
pub fn token(server: &Server, home: &Home, command: &TokenCommand, json: bool) -> Result<ExitCode> {
    tokens::run(server, home, command, json)
}

/// `tamis plugin push`.
pub fn push(server: &Server, push: &Push, json: bool) -> Result<ExitCode> {
    plugins::push(&Client::new(server)?, push, json)
}

/// `tamis audit`.
pub fn audit(audit: &Audit, json: bool) -> Result<ExitCode> {
    audit::list(&Client::new(&audit.server)?, audit, json)
}

/// `tamis decide`.
pub fn decide(decide: &Decide, json: bool) -> Result<ExitCode> {
    decisions::decide(&Client::new(&decide.server)?, decide, json)
}

/// `tamis dead-letters redrive`.
pub fn redrive(DeadLettersCommand::Redrive(redrive): &DeadLettersCommand, json: bool) -> Result<ExitCode> {
    dead_letters::redrive(&Client::new(&redrive.server)?, redrive, json)
}
