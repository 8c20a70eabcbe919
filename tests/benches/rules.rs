//! Many rules at once: memory and throughput of 10, 100 and 1 000 rules by 100 distinct components, and how long a switch takes among them.
//!
//! It prints a table and takes no options: what grows with the number of rules is not a matter of nanoseconds.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use tamis::demo::{Scale, generate};
use tamis::home::Home;
use tamis_connectors::TopicReader;
use tamis_connectors::topics::ReaderSettings;
use tamis_engine::memory::MemoryCheckpoints;
use tamis_engine::rules::{RulePlan, RuleSet};
use tamis_engine::sinks::Sinks;
use tamis_engine::stream::{Stream, StreamParts, StreamSettings};
use tamis_engine::{Command, Decisions, SystemClock};
use tamis_plugin::{Plugin, Sandbox};
use tamis_registry::rule_plan;
use tamis_tests::components;
use tamis_tests::measure::{Nowhere, resident_kib};

const COMPONENTS: usize = 100;
/// A name in a component, which is replaced by others of the same length.
const NAME: &str = "payment-direct-fraud";
/// 100 000 payments.
const SCALE: Scale = Scale(4);

/// Distinct components: the same code under other names.
fn plugins(sandbox: &Arc<Sandbox>) -> Vec<Arc<Plugin>> {
    let path = components::folder().join(NAME).with_extension("wasm");
    let bytes = std::fs::read(&path).expect("the component was built");
    let plugin = |n: usize| {
        let (mut bytes, name) = (bytes.clone(), format!("payment-direct-fr{n:03}"));
        let places: Vec<usize> =
            bytes.windows(NAME.len()).enumerate().filter(|(_, w)| *w == NAME.as_bytes()).map(|(at, _)| at).collect();
        for at in places {
            bytes[at..at + NAME.len()].copy_from_slice(name.as_bytes());
        }
        sandbox.load(&bytes).expect("it is the same code")
    };
    (0..COMPONENTS).map(plugin).collect()
}

fn rules(plugins: &[Arc<Plugin>], count: usize) -> Vec<Arc<RulePlan>> {
    let rule = |n: usize| {
        let plugin = &plugins[n % plugins.len()];
        let config = plugin.effective_config(&serde_json::json!({"risk_score_max": 99, "high_risk_countries": []}));
        Arc::new(rule_plan(&format!("rule-{n}"), plugin, config.expect("it fits")).expect("it fits"))
    };
    (0..count).map(rule).collect()
}

/// How long the payments take, and how long the stream took to go on with one rule changed while they did.
fn judge(home: &Home, rules: Vec<Arc<RulePlan>>) -> (Duration, u64, Duration) {
    let schemas = tamis::topics::standard().expect("the published schemas are valid");
    let mut changed = rules.clone();
    let first = RulePlan { version: 2, ..RulePlan::clone(&changed[0]) };
    changed[0] = Arc::new(first);
    let mut stream = Stream::open(StreamParts {
        settings: StreamSettings { bounded: true, checkpoint_interval_ms: 1_000, ..StreamSettings::default() },
        source: Box::new(
            TopicReader::new(home.topics(), ReaderSettings::new(["payments"]).until_end()).expect("it is there"),
        ),
        schemas: schemas.into_iter().filter(|schema| schema.name == "payments").collect(),
        rules: RuleSet { revision: 1, rules },
        sinks: Sinks { records: Box::new(Nowhere), alerts: Vec::new(), aggregates: None },
        checkpoints: Box::new(MemoryCheckpoints::new()),
        clock: Arc::new(SystemClock),
        decisions: Decisions::default(),
    })
    .expect("a new stream opens");
    let (send, commands) = channel();
    let (swapped, answer) = channel();
    let asked = Instant::now();
    let reply = Box::new(move |result: tamis_model::Result<()>| {
        result.expect("the rules fit");
        swapped.send(asked.elapsed()).expect("somebody waits");
    });
    send.send(Command::Rules(RuleSet { revision: 2, rules: changed }, reply)).expect("the stream runs");
    let start = Instant::now();
    let report = stream.run(&commands, &mut |_| {}).expect("the day is judged");
    (start.elapsed(), report.spent.rules_ns, answer.recv().expect("it was swapped"))
}

#[allow(clippy::print_stdout, reason = "a benchmark says what it found")]
fn main() {
    let folder = tempfile::tempdir().expect("there is room for a day");
    let home = Home::new(folder.path() as &Path);
    home.create().expect("there is room for a day");
    generate(&home, 7, SCALE, &mut |_, _| {}).expect("there is room for a day");
    let events = 25_000 * u64::from(SCALE.0);
    let sandbox = components::sandbox();
    let loading = Instant::now();
    let plugins = plugins(&sandbox);
    println!(
        "{COMPONENTS} components compiled in {:.1} s; {} MiB resident",
        loading.elapsed().as_secs_f64(),
        resident_kib() / 1024
    );
    println!(
        "{:>6} {:>14} {:>22} {:>16} {:>14}",
        "rules", "events/s", "ns an event and rule", "switch of 1, ms", "resident MiB"
    );
    for count in [10, 100, 1_000] {
        let rules = rules(&plugins, count);
        let (took, rules_ns, swap) = judge(&home, rules);
        println!(
            "{count:>6} {:>14.0} {:>22.1} {:>16.2} {:>14}",
            events as f64 / took.as_secs_f64(),
            rules_ns as f64 / (events * count as u64) as f64,
            swap.as_secs_f64() * 1e3,
            resident_kib() / 1024,
        );
    }
}
