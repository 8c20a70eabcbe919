//! The commands: each reads the plan, does one thing, and prints what came of it.

mod alerts;
mod archive;
mod backtest;
mod dead_letters;
mod nightly;
mod replay;
mod runs;
mod schema;
mod streams;
mod topics;
mod worker;

use std::process::ExitCode;
use std::sync::Arc;

use tamis_catalog::Catalog;
use tamis_connectors::SqliteWarehouse;
use tamis_connectors::topics::dead_letters::LetterFilter;
use tamis_model::error::Context;
use tamis_model::{Error, Kind, Result};
use tokio::runtime::Runtime;

use crate::cli::{Cli, Command, DeadLetters, Run, Topics};
use crate::config::Config;
use crate::home::Home;
use crate::plan::topics_of;
use crate::table::{Row, print};

pub(crate) use archive::{lock as lock_archive, run_archive};
pub use backtest::BacktestArguments;
pub(crate) use nightly::{SourceRow, exit_code as nightly_exit_code, run_night, run_silver};
pub use replay::ReplayArguments;
pub use schema::SchemaCommand;
pub(crate) use streams::{lock as lock_streams, rows as stream_rows, run_streams};

/// Does what the command line says.
pub fn run(cli: Cli) -> Result<ExitCode> {
    let home = Home::new(cli.home);
    let kafka = cli.kafka;
    match cli.command {
        Command::Demo(demo) => crate::demo::run(home, kafka, &demo, cli.json),
        Command::Rule { server, command } => crate::client::rule(&server, &command, cli.json),
        Command::List { server, command } => crate::client::list(&server, &command, cli.json),
        Command::Token { server, command } => crate::client::token(&server, &home, &command, cli.json),
        Command::Serve(serve) => crate::serve::command(home, kafka, serve, cli.json),
        Command::Worker { listen } => worker::command(home, kafka, listen, cli.json),
        Command::Run(Run::Nightly { as_of }) => nightly::command(home, as_of, cli.json),
        Command::Run(Run::Streams { until_end }) => streams::command(home, kafka, until_end, cli.json),
        Command::Run(Run::Silver { topics }) => nightly::silver_command(home, &topics, cli.json),
        Command::Run(Run::Archive) => archive::command(home, kafka, cli.json),
        Command::Run(Run::Show { id }) => show(&home, &id, cli.json),
        Command::Runs { limit } => {
            let rows = runtime()?.block_on(async { catalog(&home).await?.runs(limit).await })?;
            listed(&rows.into_iter().map(runs::RunRow).collect::<Vec<_>>(), cli.json)
        }
        Command::Alerts { rule, severity, mode, limit } => {
            let wanted = alerts::Wanted { rule, severity, mode };
            listed(&runtime()?.block_on(alerts::list(&home, wanted, limit))?, cli.json)
        }
        Command::DeadLetters(DeadLetters { command: Some(command), .. }) => crate::client::redrive(&command, cli.json),
        Command::DeadLetters(DeadLetters { reason, rule, topic, limit, command: None }) => {
            let kafka = Config::read(&home.config())?.kafka.at(kafka).plan(home.root())?;
            let topics = topics_of(&home, kafka.as_ref());
            let filter = LetterFilter { reason, rule, topic, since: None };
            listed(&runtime()?.block_on(dead_letters::list(&home, &topics, &filter, limit))?, cli.json)
        }
        Command::Decide(decide) => crate::client::decide(&decide, cli.json),
        Command::Audit(audit) => crate::client::audit(&audit, cli.json),
        Command::Topics(Topics::Create) => topics::create(home, kafka, cli.json),
        Command::Backtest(arguments) => backtest::command(home, kafka, &arguments, cli.json),
        Command::Schema(command) => schema::run(&command, cli.json),
        Command::Replay(arguments) => replay::command(home, kafka, &arguments, cli.json),
        Command::Plugin(command) => crate::plugin::run(&command, cli.json),
    }
}

/// The runtime of everything asynchronous; streams have a thread of their own.
pub(crate) fn runtime() -> Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .outage("start", "the asynchronous runtime")
}

/// The catalogue of a home that exists.
pub(crate) async fn catalog(home: &Home) -> Result<Catalog> {
    Catalog::open(&existing(home)?.metadata()).await
}

/// The warehouse of a home.
pub(crate) async fn warehouse(home: &Home) -> Result<Arc<SqliteWarehouse>> {
    SqliteWarehouse::open(&home.warehouse()).await.map(Arc::new)
}

/// Commands that only look do not make a home where there is none, nor databases in a folder that is none: every
/// home has its lake.
fn existing(home: &Home) -> Result<Home> {
    match home.lake().is_dir() {
        true => Ok(home.clone()),
        false => Err(Error::new(Kind::Missing, "open home", home.root().display())
            .because("it is none: it has no folder lake; say where one is (--home, TAMIS_HOME)")),
    }
}

fn listed<R: Row>(rows: &[R], json: bool) -> Result<ExitCode> {
    print(rows, json).outage("write to", "standard output")?;
    Ok(ExitCode::SUCCESS)
}

fn show(home: &Home, id: &str, json: bool) -> Result<ExitCode> {
    let text = runtime()?.block_on(async { runs::show(&catalog(home).await?, id, json).await })?;
    crate::table::print_text(&text).outage("write to", "standard output")?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    const BACKTEST: &[&str] = &["backtest", "--plugin", "x", "--from", "2026-03-18", "--to", "2026-03-19"];

    #[test]
    fn commands_that_look_leave_a_folder_that_is_no_home_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().to_str().unwrap();
        for command in [&["runs"][..], &["run", "show", "01"], &["alerts"], &["dead-letters"], BACKTEST] {
            let cli = Cli::parse_from([&["tamis", "--home", home], command].concat());
            let error = run(cli).unwrap_err();
            assert_eq!(error.kind(), Kind::Missing, "{}", error.chain());
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "{command:?}");
        }
    }
}
