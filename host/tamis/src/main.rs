//! The `tamis` command.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use tamis::cli::Cli;

fn main() -> ExitCode {
    let cli = Cli::parse();
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("TAMIS_LOG").unwrap_or_else(|_| "off,tamis=info".into()),
        )
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
    tamis::run(cli).unwrap_or_else(|error| {
        tracing::error!("{}", error.chain());
        tamis::exit::of(&error)
    })
}
