//! Whole paths: payments from topic files to alerts, and a web server's log to Silver rows, on one core.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tamis::demo::{Scale, generate};
use tamis::home::Home;
use tamis_connectors::files::{FileSettings, FileSource, Framing};
use tamis_connectors::topics::{ReaderSettings, WriterSettings};
use tamis_connectors::{TopicReader, TopicWriter};
use tamis_engine::Decisions;
use tamis_engine::memory::{MemoryCheckpoints, MemorySink};
use tamis_engine::report::{Report, Spent};
use tamis_engine::rules::RuleSet;
use tamis_engine::sinks::Sinks;
use tamis_engine::stream::{Stream, StreamParts, StreamSettings};
use tamis_engine::transform::{KeptRows, QuarantinedRow, transform_files};
use tamis_engine::{Sink, SystemClock, decode};
use tamis_model::manifest::Format;
use tamis_model::position::Partition;
use tamis_tests::{components, workload};

/// 500 000 payments, 1 000 000 lines of log: long enough for what begins and ends a run not to show.
const SCALE: Scale = Scale(20);
/// So many that ten rules judge: fewer of them fire.
const PAYMENTS: u64 = 500_000;

/// Keeps nothing: what is measured is the way to the sink.
struct Nowhere;

impl<T> Sink<T> for Nowhere {
    fn write(&mut self, _output: &[T]) -> tamis_model::Result<()> {
        Ok(())
    }

    fn stage(&mut self) -> tamis_model::Result<serde_json::Value> {
        Ok(serde_json::Value::Null)
    }

    fn commit(&mut self, _staged: &serde_json::Value) -> tamis_model::Result<()> {
        Ok(())
    }
}

fn day() -> (tempfile::TempDir, Home) {
    let folder = tempfile::tempdir().expect("there is room for a day");
    let home = Home::new(folder.path());
    home.create().expect("there is room for a day");
    generate(&home, 7, SCALE, &mut |_, _| {}).expect("there is room for a day");
    (folder, home)
}

/// Reads all payments through the rules; alerts and dead letters go to topics in `out`.
fn judge(topics: &Path, rules: RuleSet, shards: usize, out: &Path) -> (Duration, Report) {
    let schemas = tamis::topics::standard().expect("the published schemas are valid");
    let records = TopicWriter::open(out, "bench", WriterSettings::default()).expect("the folder is ours");
    let settings = ReaderSettings::new(["payments"]).until_end();
    let settings = ReaderSettings { chunk_bytes: settings.chunk_bytes * shards, ..settings };
    let mut stream = Stream::open(StreamParts {
        settings: StreamSettings { shards, bounded: true, checkpoint_interval_ms: 1_000, ..StreamSettings::default() },
        source: Box::new(TopicReader::new(topics, settings).expect("the topic is there")),
        schemas: schemas.into_iter().filter(|schema| schema.name == "payments").collect(),
        rules,
        sinks: Sinks { records: Box::new(records), alerts: Vec::new(), aggregates: None },
        checkpoints: Box::new(MemoryCheckpoints::new()),
        clock: Arc::new(SystemClock),
        decisions: Decisions::default(),
    })
    .expect("a new stream opens");
    let (_keep, commands) = channel();
    let start = Instant::now();
    let report = stream.run(&commands, &mut |_| {}).expect("the day is judged");
    (start.elapsed(), report)
}

fn payments(criterion: &mut Criterion) {
    let (_folder, home) = day();
    let folder = tempfile::tempdir().expect("there is room for payments");
    workload::write_payments(&folder.path().join("payments"), PAYMENTS, 100_000).expect("there is room for payments");
    let sandbox = components::sandbox();
    let out = tempfile::tempdir().expect("there is room for alerts");
    let mut group = criterion.benchmark_group("payments, topic files to alerts");
    group.sample_size(10);
    let mut run = 0;
    let paths = [("three", workload::three(), home.topics()), ("ten", workload::ten(), folder.path().to_owned())];
    for (name, work, topics) in paths {
        let rules = workload::rule_set(&sandbox, &work);
        let (_, report) = judge(&topics, rules.clone(), 1, &out.path().join(format!("{name} rules")));
        let records: u64 = report.counts.topics.values().map(|counts| counts.records).sum();
        print_split(&report, records);
        group.throughput(Throughput::Elements(records));
        for (shards, many) in [(1, ""), (2, ", two shards")] {
            group.bench_function(format!("{name} rules{many}"), |bencher| {
                bencher.iter_custom(|iterations| {
                    (0..iterations)
                        .map(|_| {
                            run += 1;
                            judge(&topics, rules.clone(), shards, &out.path().join(run.to_string())).0
                        })
                        .sum()
                });
            });
        }
    }
    group.finish();
}

#[allow(clippy::print_stderr, reason = "a benchmark says where the time went")]
fn print_split(report: &Report, records: u64) {
    let Spent { read_ns, decode_ns, rules_ns, state_ns, sinks_ns, checkpoints_ns } = report.spent;
    let alerts: u64 = report.counts.rules.values().flat_map(|rule| rule.alerts.values()).sum();
    eprintln!("{records} payments, {alerts} alerts, {} dead letters; ns per payment:", report.counts.dead_letters);
    for (part, spent_ns) in [
        ("read", read_ns),
        ("decode", decode_ns),
        ("plugins", rules_ns),
        ("group and state", state_ns),
        ("sinks", sinks_ns),
        ("checkpoints", checkpoints_ns),
    ] {
        eprintln!("  {part}: {}", spent_ns / records.max(1));
    }
}

fn nginx(criterion: &mut Criterion) {
    let (_folder, home) = day();
    let log = home.drop().join("nginx").join(format!("access-{}.log", tamis::demo::DAY));
    let bytes = std::fs::metadata(&log).expect("the day has a log").len();
    let plugin = components::load(&components::sandbox(), "silver-nginx");
    let columns = plugin.manifest().inputs[0].columns.clone();
    let mut group = criterion.benchmark_group("nginx log to Silver rows");
    group.sample_size(10).throughput(Throughput::Bytes(bytes));
    group.bench_function("silver/nginx", |bencher| {
        let mut transform = plugin.transform("{}").expect("the defaults are valid");
        bencher.iter(|| {
            let mut source = FileSource::new("nginx", vec![log.clone()], FileSettings::new(Framing::Lines));
            let files = [Partition { topic: "nginx".to_owned(), number: 0 }];
            let mut kept = Nowhere;
            let mut quarantine = MemorySink::<QuarantinedRow>::new();
            transform_files(
                &mut source,
                &files,
                &mut |_| decode::for_file(Format::Lines, &columns).expect("a line is a line"),
                &mut transform,
                &mut kept as &mut dyn Sink<KeptRows>,
                &mut quarantine,
                &mut |_| {},
            )
            .expect("the log is read")
        });
    });
    group.finish();
}

criterion_group!(benches, payments, nginx);
criterion_main!(benches);
