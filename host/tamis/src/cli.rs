//! The command line, as words.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::client;
use crate::log::LogFormat;

/// Streams events and files through sandboxed plugins: fraud rules, table transforms, quality checks.
///
/// Everything lies under one home folder. Try `tamis demo` first.
#[derive(Debug, Parser)]
#[command(name = "tamis", version, max_term_width = 110, after_help = EXIT_CODES)]
pub struct Cli {
    /// The folder that everything lies in.
    #[arg(long, global = true, env = "TAMIS_HOME", default_value = "tamis-home", value_name = "DIR")]
    pub home: PathBuf,
    /// Use the topics of these Kafka brokers instead of the home's, or of those that `[kafka]` in tamis.toml names.
    #[arg(long, global = true, env = "TAMIS_KAFKA", value_name = "HOST:PORT")]
    pub kafka: Option<String>,
    /// Print JSON, one object a line, for scripts.
    #[arg(long, global = true)]
    pub json: bool,
    /// How log lines are written to standard error.
    #[arg(long, global = true, env = "TAMIS_LOG_FORMAT", value_enum, default_value_t, value_name = "FORMAT")]
    pub log_format: LogFormat,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "\
Exit codes: 0 done · 1 failed · 2 wrong usage, configuration or plugin · 3 done, but something was held back \
(a file that could not be read, a quality gate that did not open) · 75 something outside did not answer, try again later.

Secrets come from the environment or a file, never from the command line: TAMIS_PEPPER is the key of all pseudonyms, \
TAMIS_TOKEN lets you in at a running host, TAMIS_KAFKA_PASSWORD at Kafka.";

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Generate a day of a shop's data, run everything on it, and show what came out; then serve it with live payments.
    Demo(Demo),
    /// Run streams, schedules and the admin API until SIGTERM.
    Serve(Serve),
    /// Run a share of the streams of Kafka's topics, as another host of the group of the one that serves, until SIGTERM.
    ///
    /// The rules come from the host that serves; alerts go to their topics, and through that host to lake and warehouse.
    Worker {
        /// Where metrics and readiness can be asked for without a token, instead of what `[metrics]` in tamis.toml says.
        #[arg(long, value_name = "ADDRESS:PORT")]
        listen: Option<String>,
    },
    /// Change rules of a running host: draft, review, trial, activate, roll back.
    Rule {
        /// Which host.
        #[command(flatten)]
        server: client::Server,
        /// What to do.
        #[command(subcommand)]
        command: client::RuleCommand,
    },
    /// Lists of values that rules of a running host compare with.
    List {
        /// Which host.
        #[command(flatten)]
        server: client::Server,
        /// What to do.
        #[command(subcommand)]
        command: client::ListCommand,
    },
    /// Tokens of a running host.
    Token {
        /// Which host.
        #[command(flatten)]
        server: client::Server,
        /// What to do.
        #[command(subcommand)]
        command: client::TokenCommand,
    },
    /// Run a job now, or show a run.
    #[command(subcommand)]
    Run(Run),
    /// List the runs, newest first.
    Runs {
        /// How many to list.
        #[arg(long, default_value_t = 20, value_name = "N")]
        limit: u32,
    },
    /// List alerts, newest first (from the warehouse: people are pseudonyms there).
    Alerts {
        /// Only those of this rule.
        #[arg(long)]
        rule: Option<String>,
        /// Only those at least this bad.
        #[arg(long, value_parser = ["info", "warning", "high", "critical"])]
        severity: Option<String>,
        /// Only those that count (live), or only those of trials (shadow).
        #[arg(long, value_parser = ["live", "shadow"])]
        mode: Option<String>,
        /// How many to list.
        #[arg(long, default_value_t = 20, value_name = "N")]
        limit: u32,
    },
    /// List the records that could not be decoded or judged, newest first, with the reason; or have them judged again.
    DeadLetters(DeadLetters),
    /// Write events to a topic of a running host, and show what its rules say of them.
    Decide(client::Decide),
    /// Topics in Kafka.
    #[command(subcommand)]
    Topics(Topics),
    /// List who did what at a running host, newest first, and what was refused.
    Audit(client::Audit),
    /// Replay a stretch of the topics through a version of a rule, and report what it would have raised.
    ///
    /// Nothing that is live is touched. Records come from the topics of the home, not from their archive.
    Backtest(crate::commands::BacktestArguments),
    /// Check schemas of topics.
    #[command(subcommand)]
    Schema(crate::commands::SchemaCommand),
    /// Judge a stretch of the topics, or of their archive, once more: the same engine, without a clock.
    ///
    /// An edge is @TIME (RFC 3339), +N records behind the beginning of each partition, or -N before its end. Alerts are written where they
    /// are missing, by their ids, so a replay can be repeated.
    Replay(crate::commands::ReplayArguments),
    /// Write, build, test and inspect plugins.
    #[command(subcommand)]
    Plugin(crate::plugin::Command),
}

/// Which dead letters are listed.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct DeadLetters {
    /// Only those with this reason.
    #[arg(long)]
    pub reason: Option<String>,
    /// Only those that this rule failed on.
    #[arg(long)]
    pub rule: Option<String>,
    /// Only those of records of this topic.
    #[arg(long)]
    pub topic: Option<String>,
    /// How many to list.
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub limit: usize,
    /// What to do instead.
    #[command(subcommand)]
    pub command: Option<client::DeadLettersCommand>,
}

/// Jobs.
#[derive(Debug, Subcommand)]
pub enum Run {
    /// Take in new files, make the trusted tables, check them, and publish them to the warehouse.
    Nightly {
        /// The logical date: ages, delays and recency are as of this day.
        #[arg(long, value_name = "YYYY-MM-DD")]
        as_of: chrono::NaiveDate,
    },
    /// Judge the records of the topics with the rules; tails them until it is interrupted.
    Streams {
        /// Read the topics to their end, close all windows, and stop.
        #[arg(long)]
        until_end: bool,
    },
    /// Keep what the topics hold in Bronze, to their end (`tamis serve` does so all the time).
    Archive,
    /// Add what is new in the archives of topics to their trusted tables (`tamis serve` does so every hour).
    Silver {
        /// Only these topics.
        #[arg(value_name = "TOPIC")]
        topics: Vec<String>,
    },
    /// Show a run: rows of each file, tables, checks.
    Show {
        /// Its id, or a beginning of it that no other run has.
        id: String,
    },
}

/// Topics in Kafka.
#[derive(Debug, Subcommand)]
pub enum Topics {
    /// Make those topics that are not there: what rules read, what they write to, and the dead letters. The others stay as they are.
    Create,
}

/// Where the API listens.
#[derive(Args, Debug)]
pub struct Serve {
    /// Address and port; port 0 takes a free one.
    #[arg(long, env = "TAMIS_LISTEN", default_value = "127.0.0.1:8710", value_name = "ADDRESS:PORT")]
    pub listen: String,
    /// The certificate chain for TLS, PEM.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_certificates: Option<PathBuf>,
    /// The private key of the certificate, PEM.
    #[arg(long, value_name = "FILE", requires = "tls_certificates")]
    pub tls_key: Option<PathBuf>,
}

/// The demo's settings.
#[derive(Args, Debug)]
pub struct Demo {
    /// End when the day has been processed; without it live payments go on until you interrupt.
    #[arg(long)]
    pub once: bool,
    /// Where the API listens beside the live payments; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS:PORT", conflicts_with = "once")]
    pub listen: String,
    /// The day follows from this number.
    #[arg(long, default_value_t = 42)]
    pub seed: u64,
    /// How many times the shop's usual volume.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub scale: u32,
    /// Where the components of the standard plugins are.
    #[arg(long, env = "TAMIS_PLUGINS", value_name = "DIR")]
    pub plugins: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_can_be_typed() {
        let check = |words: &str, is_accepted: bool| {
            let parsed = Cli::try_parse_from(format!("tamis {words}").split(' '));
            assert_eq!(parsed.is_ok(), is_accepted, "{words}: {:?}", parsed.err().map(|error| error.to_string()));
        };
        check("list set countries NG RU", true);
        check("list set countries --why none", false);
        check("list set countries --empty", true);
        check("list set countries NG --empty", false);
        check("token create ana --role analyst --local", true);
        check("token create ana --role boss", false);
        check("rule disable r --why w", true);
        check("rule disable r", false);
        check("rule rollback r", false);
        check("rule reject r 2", false);
        check("rule enable r", true);
        check("dead-letters --rule r --limit 3", true);
        check("dead-letters redrive --rule r --reason trap --why mended", true);
        check("dead-letters redrive --letter 0:17 --letter 0:18", true);
        check("dead-letters redrive --letter 17", false);
        check("dead-letters redrive --letter 0:17 --rule r", false);
        check("dead-letters redrive", false);
        check("decide payments - --timeout-ms 1000 --idempotency-key k", true);
        check("decide payments", false);
        check("decide payments - --timeout-ms 0", false);
        check("schema check old new --compatibility forward", true);
        check("schema check old", false);
        check("schema check old new --compatibility none", false);
        check("runs --log-format json", true);
        check("--kafka 127.0.0.1:9092 run streams", true);
        check("topics create --kafka 127.0.0.1:9092", true);
        check("demo --listen 127.0.0.1:8710", true);
        check("demo --listen 127.0.0.1:8710 --once", false);
        check("replay --from @2026-03-18T00:00Z --to -5 --rule a --rule b", true);
        check("replay --rule a --version 2 --into topic:again", true);
        check("replay --version 2", false);
        check("replay --from yesterday", false);
        check("replay --into nowhere", false);
        check("rule change r --on-failure halt", true);
        check("rule change r --on-failure disable", false);
        check(
            r#"rule change r --on-failure {"disable":{"bad_percent_max":5,"rows_min":100,"window_rows":10000}}"#,
            true,
        );
    }
}
