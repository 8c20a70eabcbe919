//! The whole process: `tamis run streams --until-end` over payments in topic files, with what it takes of the processor for an event.
//!
//! It prints a table and takes no options. Wall time says something on a quiet machine only; processor time, of user and system, does so
//! on others too. What the process needs without an event is measured apart and taken off.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use clap::Parser;
use serde_json::{Deserializer, Value};
use tamis::cli::Cli;
use tamis::home::Home;
use tamis_tests::components;
use tamis_tests::measure::children_cpu;
use tamis_tests::workload::{self, Work};

/// 0.7 GB a feed.
const PAYMENTS: u64 = 1_000_000;
/// The usual number, and others. Each has a device; 20 000 sessions are open beside them.
const CUSTOMERS: [u64; 4] = [100_000, 1_000, 10_000, 1_000_000];
/// Runs of which the one that takes least of the processor counts: what goes on beside it can only add to that.
const RUNS: usize = 3;
/// Tells a process that it is the one that is measured, and its home.
const HOME: &str = "TAMIS_BENCH_HOME";

/// What is measured.
struct Case {
    rules: &'static str,
    work: Vec<Work>,
    shards: usize,
    rows_max: usize,
    customers: u64,
}

/// What a run came to.
struct Took {
    wall: Duration,
    cpu: Duration,
    events: u64,
    alerts: u64,
}

/// Runs the process in a home of its own, with these payments.
fn run(case: &Case, payments: &Path, cache: &Path) -> Took {
    let folder = tempfile::tempdir().expect("there is room for a home");
    let home = Home::new(folder.path());
    home.create().expect("there is room for a home");
    symlink(payments, home.topics().join("payments")).expect("it is new");
    symlink(cache, home.cache()).expect("it is new");
    let mut config = format!("[streams]\nshards = {}\nrows_max = {}\n", case.shards, case.rows_max);
    for (_, plugin, _) in &case.work {
        let file = format!("{plugin}.wasm");
        fs::copy(components::folder().join(&file), home.plugins().join(&file)).expect("the component was built");
    }
    config += &workload::config(&case.work);
    fs::write(home.config(), config).expect("there is room for a home");
    let (start, cpu) = (Instant::now(), children_cpu());
    let mut process = Command::new(std::env::current_exe().expect("this is a program"));
    process.env(HOME, home.root()).env("TAMIS_PEPPER", "pepper").stdin(Stdio::null());
    let output = process.stderr(Stdio::inherit()).output().expect("it starts");
    let (wall, cpu) = (start.elapsed(), children_cpu() - cpu);
    assert!(output.status.success(), "{}", output.status);
    let rows: Vec<Value> = Deserializer::from_slice(&output.stdout).into_iter().map(|row| row.expect("JSON")).collect();
    let sum = |name: &str| rows.iter().filter_map(|row| row[name].as_u64()).sum();
    Took { wall, cpu, events: sum("records"), alerts: sum("alerts") }
}

fn least(case: &Case, payments: &Path, cache: &Path) -> Took {
    let runs = (0..RUNS).map(|_| run(case, payments, cache));
    runs.min_by_key(|took| took.cpu).expect("there is a run")
}

/// Shards, rows of a batch and customers, one after the other.
fn cases() -> Vec<Case> {
    let usual = || Case { rules: "ten", work: workload::ten(), shards: 1, rows_max: 4096, customers: CUSTOMERS[0] };
    let mut cases = Vec::new();
    for shards in [1, 2] {
        cases.push(Case { rules: "three", work: workload::three(), shards, ..usual() });
        cases.push(Case { shards, ..usual() });
    }
    cases.extend([16, 64, 256, 1024, 16_384].map(|rows_max| Case { rows_max, ..usual() }));
    cases.extend(CUSTOMERS[1..].iter().map(|customers| Case { customers: *customers, ..usual() }));
    cases
}

#[allow(clippy::print_stdout, reason = "a benchmark says what it found")]
fn main() {
    if let Some(home) = std::env::var_os(HOME) {
        let arguments = ["tamis", "--json", "run", "streams", "--until-end", "--home"].map(Into::into);
        let code = tamis::run(Cli::parse_from(arguments.into_iter().chain([home]))).expect("the payments are judged");
        assert_eq!(code, std::process::ExitCode::SUCCESS);
        return;
    }
    let folder = tempfile::tempdir().expect("there is room for a day");
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).expect("there is room for payments");
    let of = |customers: u64| folder.path().join(customers.to_string());
    for customers in CUSTOMERS {
        workload::write_payments(&of(customers), PAYMENTS, customers).expect("there is room for payments");
    }
    let cache = folder.path().join("cache");
    fs::create_dir(&cache).expect("there is room for a cache");
    println!(
        "{:>6} {:>7} {:>8} {:>10} {:>12} {:>12} {:>15} {:>12} {:>10}",
        "rules", "shards", "rows", "customers", "events", "events/s", "CPU ns an event", "start, CPU s", "alerts"
    );
    for case in cases() {
        // Once more than it counts: the first one compiles what the cache does not have.
        run(&case, &empty, &cache);
        let (idle, took) = (least(&case, &empty, &cache), least(&case, &of(case.customers), &cache));
        println!(
            "{:>6} {:>7} {:>8} {:>10} {:>12} {:>12.0} {:>15.0} {:>12.2} {:>10}",
            case.rules,
            case.shards,
            case.rows_max,
            case.customers,
            took.events,
            took.events as f64 / took.wall.saturating_sub(idle.wall).as_secs_f64(),
            took.cpu.saturating_sub(idle.cpu).as_nanos() as f64 / took.events as f64,
            idle.cpu.as_secs_f64(),
            took.alerts,
        );
    }
}
