//! Streams through a real Kafka on this machine: `--kafka` measures Tamis, how much it judges and how soon its alerts are there; `--peers`
//! measures Tamis and Flink SQL one after the other, with the same ten rules on the same topics; `--latency` measures only how soon alerts are there.
//!
//! Without any it does nothing: `cargo bench` calls every benchmark, and this one takes minutes.

mod cluster;
mod latency;
mod peers;
mod run;
mod tamis;

use std::io::{Write, stdout};

use anyhow::{Result, ensure};
use clap::Parser;
use serde_json::Value;
use tamis_services::kafka::{self, Kafka, Options};
use tamis_tests::workload::{self, Work};

use cluster::Topics;
use latency::Feed;
use run::Figures;
use tamis::Home;

/// What `tests/peers/rules.sql` says too: six that judge single events, four that count by key in sliding windows.
const TEN_RULES: [&str; 10] = [
    "payment-direct-fraud",
    "payment-high-amount",
    "fraud-bin",
    "geo-mismatch",
    "bot-checkout",
    "order-anomaly",
    "card-testing",
    "card-wallet",
    "shared-device",
    "shared-ip",
];
/// Those of the path benchmark from files.
const THREE_RULES: [&str; 3] = ["payment-direct-fraud", "card-testing", "psp-error-rate"];
/// What becomes of output that is written again.
const DELIVERIES: [&str; 2] = ["at_least_once", "exactly_once"];
/// A broker for tests is compiled quickly and badly, and has little memory.
const BROKER: &[&str] = &["-XX:TieredStopAtLevel=4", "-Xmx1g"];
/// One that clears its memory while it works: else it stands still for 10 to 17 ms each second.
const PROMPT_BROKER: &[&str] = &["-XX:TieredStopAtLevel=4", "-Xmx1g", "-XX:-UseSerialGC", "-XX:+UseZGC"];

#[derive(Parser)]
struct Arguments {
    /// Tamis alone
    #[arg(long)]
    kafka: bool,
    /// Tamis and Flink SQL
    #[arg(long)]
    peers: bool,
    /// Only how soon the alerts of Tamis are there
    #[arg(long)]
    latency: bool,
    /// How many payments and orders there are to judge, about
    #[arg(long, default_value_t = 3_000_000)]
    events: u64,
    /// For how many seconds alerts are waited for
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Cargo says it
    #[arg(long, hide = true)]
    bench: bool,
    /// What other benchmarks take
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    _others: Vec<String>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if arguments.kafka || arguments.peers {
        let broker = start(BROKER)?;
        let topics = Topics::new(&broker);
        let events = fill(&topics, arguments.events)?;
        if arguments.kafka {
            throughput(&broker, &topics, events)?;
        }
        if arguments.peers {
            peers::compare(&broker, &topics, events)?;
        }
    }
    if arguments.kafka {
        rare_alerts(arguments.events)?;
    }
    if arguments.kafka || arguments.latency {
        latencies(arguments.seconds)?;
    }
    Ok(())
}

fn start(virtual_machine: &[&str]) -> Result<kafka::Cluster> {
    let virtual_machine = virtual_machine.iter().map(|&option| option.to_owned()).collect();
    kafka::Cluster::start(&Kafka::install()?, 1, Options { virtual_machine, ..Options::default() })
}

/// Makes and fills the topics, and reads them once.
fn fill(topics: &Topics, events: u64) -> Result<u64> {
    Home::new(topics.bootstrap(), &TEN_RULES, DELIVERIES[0])?.run(&["topics", "create"])?;
    Home::new(topics.bootstrap(), &THREE_RULES, DELIVERIES[0])?.run(&["topics", "create"])?;
    let began = std::time::Instant::now();
    let sent = topics.fill(events)?;
    say(&format!("{sent} payments and orders written: {:.1} s", began.elapsed().as_secs_f64()))?;
    read_once(topics, sent)?;
    Ok(sent)
}

/// Reads everything: then the files are in memory, and the broker's code is compiled.
fn read_once(topics: &Topics, sent: u64) -> Result<()> {
    let began = std::time::Instant::now();
    let mut read = 0;
    topics.read(&cluster::READ.map(str::to_owned), None, &mut |_| {
        read += 1;
        Ok(())
    })?;
    ensure!(read == sent, "{sent} were written, and {read} are there");
    let seconds = began.elapsed().as_secs_f64();
    say(&format!("read once, and nothing done with them: {:.0} events/s", sent as f64 / seconds))
}

fn throughput(broker: &kafka::Cluster, topics: &Topics, events: u64) -> Result<()> {
    // By now the broker has handed out every record, but it has taken few: what it does often it compiles.
    let home = Home::new(topics.bootstrap(), &TEN_RULES, DELIVERIES[0])?;
    run::measure(home.to_the_end(), broker, topics, &topics.of_tamis()?, events)?;
    say(&Figures::head())?;
    for (name, rules) in [("three rules", &THREE_RULES[..]), ("ten rules", &TEN_RULES[..])] {
        for delivery in DELIVERIES {
            let home = Home::new(topics.bootstrap(), rules, delivery)?;
            let figures = run::measure(home.to_the_end(), broker, topics, &topics.of_tamis()?, events)?;
            say(&figures.row(&format!("{name}, {delivery}")))?;
        }
    }
    Ok(())
}

/// The ten rules of the benchmark from files, on its payments: one in a hundred raises an alert.
fn rare_alerts(events: u64) -> Result<()> {
    let broker = start(BROKER)?;
    let topics = Topics::new(&broker);
    let home = |delivery| Home::with(topics.bootstrap(), &workload::ten(), delivery);
    home(DELIVERIES[0])?.run(&["topics", "create"])?;
    topics.fill_payments(events)?;
    read_once(&topics, events)?;
    let judge = |delivery| run::measure(home(delivery)?.to_the_end(), &broker, &topics, &topics.of_tamis()?, events);
    judge(DELIVERIES[0])?;
    for delivery in DELIVERIES {
        let figures = judge(delivery)?;
        say(&figures.row(&format!("ten rules, alerts are rare, {delivery}")))?;
    }
    Ok(())
}

/// How soon alerts are there, in both deliveries: many and few of them.
fn latencies(seconds: u64) -> Result<()> {
    let count = seconds * latency::RATE;
    let of_ten: Vec<Work> = TEN_RULES.iter().map(|name| (*name, *name, Value::Null)).collect();
    let day = latency::a_day(count)?;
    let usual: Vec<_> = cluster::usual_payments(count).collect();
    for (name, rules, events) in [("a day", of_ten, day), ("alerts are rare", workload::ten(), usual)] {
        let feed = Feed::new(events);
        for delivery in DELIVERIES {
            // Nothing is in its topics, so that the host has nothing to catch up with.
            let broker = start(PROMPT_BROKER)?;
            let topics = Topics::new(&broker);
            let home = Home::with(topics.bootstrap(), &rules, delivery)?;
            say(&format!("latency, {name}, {delivery}: {}", latency::measure(&topics, &home, &feed)?))?;
        }
    }
    Ok(())
}

fn say(line: &str) -> Result<()> {
    Ok(writeln!(stdout(), "{line}")?)
}
