//! `cargo xtask …`: what a developer does with this repository, each with all of its own set-up.
//!
//! Everything is built in one profile (`--release`), so that demo, tests and benchmarks share what they build.

mod contract;
mod plugins;
mod setup;
mod step;

use std::env;
use std::ffi::OsString;
use std::io::{Write, stdout};
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::thread;

use anyhow::{Result, ensure};
use clap::{Parser, Subcommand};
use tamis_services::kafka::{Cluster, Kafka, Options, Tool};

use plugins::Components;
use step::{cargo, run, timed};

/// A topic in which the demo's day has alerts.
const DEMO_ALERTS: &str = "alerts_advanced_fraud";

/// Set-up, demo, tests and benchmarks of Tamis.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install what is missing: the WebAssembly toolchain, and the services that tests start; every other task does its part of this first
    Setup,
    /// Build the plugins to components, those of the tests too
    Plugins,
    /// Build host and plugins, then run `tamis demo` with ARGS (try `--once`)
    Demo {
        /// Through the topics of a real Kafka, which is started for it
        #[arg(long)]
        kafka: bool,
        /// What `tamis demo` takes; see `cargo xtask demo -- --help`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Start Kafka on loopback, print the addresses for clients, and keep it until Ctrl-C
    Kafka {
        /// How many brokers, 1 or 3
        #[arg(long, default_value_t = 1)]
        brokers: usize,
    },
    /// Everything that must hold before a change is merged: format, lints, plugins, all tests, documentation
    Test,
    /// Run the benchmarks; ARGS go to criterion
    Bench {
        /// Streams through a Kafka that is started for it, and no other benchmark
        #[arg(long)]
        kafka: bool,
        /// Ten rules in Tamis and in Flink SQL beside it, on the same topics, and no other benchmark
        #[arg(long)]
        peers: bool,
        /// Only how soon alerts are there, of a Kafka that is started for it
        #[arg(long)]
        latency: bool,
        /// About how many payments and orders are judged of these topics
        #[arg(long, default_value_t = 3_000_000)]
        events: u64,
        /// What criterion takes, a filter for example
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Check licences, advisories and sources of all dependencies (needs cargo-deny)
    Deny,
}

fn main() -> ExitCode {
    match perform(Arguments::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            step::say(format_args!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn perform(task: Task) -> Result<()> {
    env::set_current_dir(root())?;
    match task {
        Task::Setup => {
            setup::host_tools()?;
            setup::wasm_toolchain()?;
            setup::services()
        }
        Task::Plugins => Components::build_with_hostile().map(|_| ()),
        Task::Demo { kafka, args } => demo(kafka, &args),
        Task::Kafka { brokers } => kafka(brokers),
        Task::Test => test(),
        Task::Bench { kafka, peers, latency, events, args } if kafka || peers || latency => {
            let what = [(kafka, "--kafka"), (peers, "--peers"), (latency, "--latency")];
            bench_kafka(what.into_iter().filter_map(|(is_asked, flag)| is_asked.then_some(flag)), events, &args)
        }
        Task::Bench { args, .. } => bench(&args),
        Task::Deny => deny(),
    }
}

fn demo(on_kafka: bool, args: &[OsString]) -> Result<()> {
    let components = Components::build()?;
    // All packages are selected so that their dependencies get the features that the tests build them with.
    run("host", cargo(["build", "--release", "--workspace", "--bins"]))?;
    let mut tamis = Command::new(components.host_path());
    tamis.arg("demo").args(args).env("TAMIS_PLUGINS", &components.plugins);
    if on_kafka { demo_on_kafka(tamis, &components) } else { run("demo", tamis) }
}

/// The demo on a Kafka of its own, in a home of its own: what a home remembers of a cluster holds for no other one.
fn demo_on_kafka(mut tamis: Command, components: &Components) -> Result<()> {
    let kafka = timed("installation of Kafka", Kafka::install)?;
    let cluster = timed("start of Kafka", || Cluster::start(&kafka, 1, Options::default()))?;
    let home = tempfile::Builder::new().prefix("demo-kafka-").tempdir_in(&components.target)?;
    tamis.arg("--home").arg(home.path()).arg("--kafka").arg(cluster.bootstrap());
    // Ctrl-C ends the demo; what comes behind it is still to be shown, and the brokers and the home to be removed.
    outlive_interrupts()?;
    run("demo", tamis)?;
    step::say(format_args!("== {DEMO_ALERTS}, as Kafka's own console consumer shows it"));
    let shown = ["--topic", DEMO_ALERTS, "--from-beginning", "--max-messages", "5", "--timeout-ms", "20000"];
    let alerts = cluster.tool(Tool::Consumer, &shown)?;
    ensure!(alerts.lines().count() == 5, "{DEMO_ALERTS} has not five alerts: {alerts}");
    Ok(write!(stdout(), "{alerts}")?)
}

/// From now on an interrupt does not end this program. What it starts is ended as ever.
fn outlive_interrupts() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let _inside = runtime.enter();
    // It stays for the rest of the process.
    drop(tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())?);
    Ok(())
}

fn kafka(brokers: usize) -> Result<()> {
    let kafka = timed("installation", Kafka::install)?;
    let mut cluster = timed("start", || Cluster::start(&kafka, brokers, Options::default()))?;
    step::say(format_args!("   settings, storage and logs are in {}", cluster.folder().display()));
    writeln!(stdout(), "{}", cluster.bootstrap())?;
    // Ctrl-C ends this program, and that the brokers.
    cluster.watch_over()
}

fn test() -> Result<()> {
    setup::lint_tools()?;
    setup::host_tools()?;
    setup::services()?;
    run("format", cargo(["fmt", "--all", "--check"]))?;
    let clippy = ["clippy", "--release", "--locked", "--workspace", "--all-targets", "--", "--deny=warnings"];
    // Each of both waits for single crates while the other has many to build.
    let components = thread::scope(|scope| {
        let lints = scope.spawn(|| run("lints", cargo(clippy)));
        let components = Components::build_with_hostile();
        lints.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        components
    })?;
    run("tests", components.known_to(cargo(["test", "--release", "--locked", "--workspace"])))?;
    run("host", cargo(["build", "--release", "--locked", "--workspace", "--bins"]))?;
    contract::check(&components)?;
    let mut documentation =
        cargo(["doc", "--release", "--locked", "--workspace", "--no-deps", "--document-private-items"]);
    documentation.env("RUSTDOCFLAGS", "--deny=warnings --allow=rustdoc::private_intra_doc_links");
    run("documentation", documentation)
}

fn bench(args: &[OsString]) -> Result<()> {
    let components = Components::build()?;
    let mut benchmarks = components.known_to(cargo(["bench", "--profile=release", "--workspace", "--bench=*", "--"]));
    benchmarks.args(args);
    run("benchmarks", benchmarks)
}

/// The benchmark that runs the host as a process, against a broker.
fn bench_kafka(what: impl Iterator<Item = &'static str>, events: u64, args: &[OsString]) -> Result<()> {
    let components = Components::build()?;
    run("host", cargo(["build", "--release", "--workspace", "--bins"]))?;
    let mut benchmark =
        components.known_to(cargo(["bench", "--profile=release", "--workspace", "--bench=kafka", "--"]));
    benchmark.args(what).arg(format!("--events={events}"));
    benchmark.args(args).env("TAMIS_HOST", components.host_path());
    run("benchmark", benchmark)
}

fn deny() -> Result<()> {
    setup::cargo_deny()?;
    run("dependencies", cargo(["deny", "--workspace", "check"]))
}

/// The root of the checkout that `cargo xtask` was called in. Checkouts that share a target folder can share this program, so what
/// Cargo says now counts more than where it was built.
fn root() -> PathBuf {
    let package = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    PathBuf::from(package).join("..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_of_the_demo_are_passed_on_untouched() {
        let check = |line: &[&str], on_kafka: bool| {
            let Task::Demo { kafka, args } = Arguments::parse_from(line).task else { panic!("demo") };
            assert_eq!((kafka, &args[..]), (on_kafka, &["--once", "--seed", "7"].map(OsString::from)[..]));
        };
        check(&["xtask", "demo", "--once", "--seed", "7"], false);
        check(&["xtask", "demo", "--kafka", "--once", "--seed", "7"], true);
    }
}
