//! The `tamis` command.

use std::process::ExitCode;

use clap::Parser;
use tamis::cli::Cli;

fn main() -> ExitCode {
    let cli = Cli::parse();
    tamis::log::begin(cli.log_format);
    tamis::run(cli).unwrap_or_else(|error| {
        tracing::error!("{}", error.chain());
        tamis::exit::of(&error)
    })
}
