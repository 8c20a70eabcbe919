//! Many keys: memory, the longest wait for a batch, how long checkpoints on disk hold the stream up, and a restart, with 10^3 to
//! 10^7 keys of 30 bytes, each with a state of 40.
//!
//! It prints a table and takes no options. 10^7 keys need 3 GB of memory and 4 GB of disk.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tamis_connectors::FileCheckpoints;
use tamis_engine::rules::{RulePlan, RuleSet};
use tamis_engine::sinks::Sinks;
use tamis_engine::stream::Commits;
use tamis_engine::{Chunk, Decisions, Read, Source, Step, Stream, StreamParts, StreamSettings, SystemClock};
use tamis_model::Result;
use tamis_model::dead_letter::PluginRef;
use tamis_model::manifest::Manifest;
use tamis_model::position::{Partition, Positions};
use tamis_model::rule::{Judged, Keyed, NEVER, Rule};
use tamis_tests::measure::{Nowhere, resident_kib, written_bytes};

/// Changes of a second, once all keys are there.
const CHANGES: u64 = 50_000;
/// For how many seconds.
const SECONDS: u64 = 60;
/// Records of a chunk.
const CHUNK: u64 = 4096;
const NOON: i64 = 1_773_835_200_000;
const HOUR_MS: i64 = 3_600_000;
/// Tells a process with how many keys it measures.
const KEYS: &str = "TAMIS_BENCH_KEYS";

/// First each key once, as fast as they are taken; then keys at random, so many a second.
struct Payments {
    keys: u64,
    next: u64,
    paced_since: Option<Instant>,
}

impl Source for Payments {
    fn open(&mut self, positions: &Positions) -> Result<()> {
        self.next = positions.next(&partition()).unsigned_abs();
        Ok(())
    }

    fn partitions(&mut self) -> Result<Vec<Partition>> {
        Ok(vec![partition()])
    }

    fn read(&mut self, _partition: &Partition, chunk: &mut Chunk) -> Result<Read> {
        let end = match self.next.checked_sub(self.keys) {
            None => (self.next + CHUNK).min(self.keys),
            Some(changed) => {
                let since = self.paced_since.get_or_insert_with(Instant::now);
                let allowed = since.elapsed().as_millis() as u64 * CHANGES / 1000;
                self.keys + (changed + CHUNK).min(allowed).max(changed)
            }
        };
        if end == self.next {
            return Ok(Read::CaughtUp);
        }
        chunk.fill(|bytes| {
            for n in self.next..end {
                let key = if n < self.keys { n } else { n.wrapping_mul(0x9E37_79B9_7F4A_7C15) % self.keys };
                let time = NOON + n as i64 / 50;
                let line = format!(
                    r#"{{"offset":{n},"timestamp":{time},"value":{{"payment_id":"p{n}","session_id":"session-{key:022}","amount":1.00,"method":"card","status":"succeeded"}}}}"#
                );
                bytes.extend_from_slice(line.as_bytes());
                bytes.push(b'\n');
            }
        });
        self.next = end;
        Ok(Read::Records)
    }

    fn release(&mut self, _positions: &Positions) -> Result<()> {
        Ok(())
    }
}

fn partition() -> Partition {
    Partition { topic: "payments".to_owned(), number: 0 }
}

/// Counts, in 40 bytes.
struct Count;

impl Rule for Count {
    fn configure(&mut self, _config: &str) -> Result<()> {
        Ok(())
    }

    fn apply(&mut self, rows: &Keyed<'_>) -> Result<Judged> {
        let wake = rows.times.last().map_or(NEVER, |time| time + HOUR_MS);
        let mut judged = Judged { wakes: vec![wake; rows.keys.len()], ..Judged::default() };
        for key in 0..rows.keys.len() {
            let mut state = [0; 40];
            state[..rows.states.get(key).len()].copy_from_slice(rows.states.get(key));
            state[0] = u8::wrapping_add(state[0], 1);
            judged.states.push(&state);
        }
        Ok(judged)
    }

    fn advance(&mut self, _due: &Keyed<'_>) -> Result<Judged> {
        panic!("no hour goes by");
    }
}

fn rules() -> RuleSet {
    let manifest: Manifest = serde_json::from_value(serde_json::json!({
        "name": "count", "version": "1.0.0", "title": "Counts", "world": "rule", "late": "ignore",
        "inputs": [{"topic": "payments", "columns": [{"name": "session_id", "type": "text"}], "key": "session_id"}],
    }))
    .expect("it is a manifest");
    let plugin = PluginRef { name: "count".to_owned(), version: "1.0.0".to_owned(), sha256: "5a".repeat(32) };
    let plan =
        RulePlan::new("count", plugin, Arc::new(manifest), "{}".to_owned(), Arc::new(|_: &str| Ok(Box::new(Count))));
    RuleSet { revision: 1, rules: vec![Arc::new(plan)] }
}

fn open(folder: &tempfile::TempDir, keys: u64) -> Stream {
    let schemas = tamis::topics::standard().expect("the published schemas are valid");
    Stream::open(StreamParts {
        settings: StreamSettings {
            checkpoint_interval_ms: 1_000,
            commits: Commits::Beside { records_at_once: true },
            ..StreamSettings::default()
        },
        source: Box::new(Payments { keys, next: 0, paced_since: None }),
        schemas: schemas.into_iter().filter(|schema| schema.name == "payments").collect(),
        rules: rules(),
        sinks: Sinks { records: Box::new(Nowhere), alerts: Vec::new(), aggregates: None },
        checkpoints: Box::new(FileCheckpoints::open(folder.path()).expect("there is room")),
        clock: Arc::new(SystemClock),
        decisions: Decisions::default(),
    })
    .expect("it opens")
}

/// How long batches took, and how long the stream stood still for checkpoints, which go on beside it.
#[derive(Default)]
struct Took {
    batches: Vec<Duration>,
    checkpoints: Vec<Duration>,
}

impl Took {
    /// Steps until so many records were judged.
    fn until(stream: &mut Stream, records: u64) -> Self {
        let mut took = Self::default();
        while stream.report().counts.topics.get("payments").map_or(0, |topic| topic.records) < records {
            let at = Instant::now();
            match stream.step().expect("nothing fails") {
                Step::Judged => took.batches.push(at.elapsed()),
                Step::Checkpointed => took.checkpoints.push(at.elapsed()),
                _ => {}
            }
        }
        took.batches.sort_unstable();
        took.checkpoints.sort_unstable();
        took
    }
}

/// The middle and the longest, in milliseconds.
fn middle_and_longest(sorted: &[Duration]) -> String {
    let ms = |duration: Option<&Duration>| duration.map_or(0.0, |duration| duration.as_secs_f64() * 1e3);
    format!("{:.1}, {:.1}", ms(sorted.get(sorted.len() / 2)), ms(sorted.last()))
}

#[allow(clippy::print_stdout, reason = "a benchmark says what it found")]
fn main() {
    if let Ok(keys) = std::env::var(KEYS) {
        return measure(keys.parse().expect("a number of keys"));
    }
    println!(
        "{SECONDS} s with {CHANGES} changes each and a checkpoint a second; durations in ms: the middle, the longest"
    );
    println!(
        "{:>9} {:>12} {:>20} {:>16} {:>20} {:>16} {:>15} {:>11}",
        "keys",
        "bytes a key",
        "batches, growing",
        "their chkpts",
        "batches, changing",
        "their chkpts",
        "bytes a change",
        "restart, s"
    );
    // Each in a process of its own: an allocator keeps what was freed.
    for keys in [1_000, 10_000, 100_000, 1_000_000, 10_000_000_u64] {
        let program = std::env::current_exe().expect("this is a program");
        let ended = Command::new(program).env(KEYS, keys.to_string()).status().expect("it starts");
        assert!(ended.success(), "with {keys} keys: {ended}");
    }
}

#[allow(clippy::print_stdout, reason = "a benchmark says what it found")]
fn measure(keys: u64) {
    let folder = tempfile::tempdir().expect("there is room");
    let before_kib = resident_kib();
    let mut stream = open(&folder, keys);
    let growing = Took::until(&mut stream, keys);
    let key_bytes = resident_kib().saturating_sub(before_kib) * 1024 / keys;
    stream.stop().expect("nothing fails");
    let before = written_bytes();
    let changing = Took::until(&mut stream, keys + SECONDS * CHANGES);
    stream.stop().expect("nothing fails");
    let change_bytes = (written_bytes() - before) / (SECONDS * CHANGES);
    drop(stream);
    let at = Instant::now();
    let stream = open(&folder, keys);
    let restart = at.elapsed().as_secs_f64();
    assert!(stream.report().counts.topics["payments"].records >= keys + SECONDS * CHANGES, "it goes on");
    println!(
        "{keys:>9} {key_bytes:>12} {:>20} {:>16} {:>20} {:>16} {change_bytes:>15} {restart:>11.2}",
        middle_and_longest(&growing.batches),
        middle_and_longest(&growing.checkpoints),
        middle_and_longest(&changing.batches),
        middle_and_longest(&changing.checkpoints),
    );
}
