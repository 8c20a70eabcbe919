//! Aggregates as a time series: line protocol over HTTP to InfluxDB or whatever understands it, or into a file.
//!
//! It never holds the stream up: points wait in a bounded queue for a thread that delivers them. What the server cannot take now is tried
//! again, what it will never take is left, and when the queue is full the oldest go. All of that is counted. The lake has every row; here
//! are those that somebody watches.

mod delivery;
mod line;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tamis_engine::{Settle, Sink};
use tamis_model::Result;
use tamis_model::aggregate::AggregateRow;

use self::delivery::Delivery;

/// Where points go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InfluxTarget {
    /// A server.
    Http {
        /// The address to write to, with everything but the precision: `http://…/api/v2/write?org=…&bucket=…`.
        url: String,
        /// What lets us in there.
        token: Option<String>,
    },
    /// A file, to which lines are appended.
    File(PathBuf),
}

impl InfluxTarget {
    /// A bucket of a server of version 2 and later, which speaks `/api/v2/write`.
    pub fn bucket(server: &str, org: Option<&str>, bucket: &str, token: Option<String>) -> Self {
        let org = org.map_or_else(String::new, |org| format!("org={}&", query(org)));
        let url = format!("{}/api/v2/write?{org}bucket={}", server.trim_end_matches('/'), query(bucket));
        Self::Http { url, token }
    }

    /// A database of a server of version 1, or of one that goes on speaking `/write`. The token is `user:password`.
    pub fn database(server: &str, database: &str, token: Option<String>) -> Self {
        Self::Http { url: format!("{}/write?db={}", server.trim_end_matches('/'), query(database)), token }
    }
}

/// A value in a query.
fn query(value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    value.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// How points are delivered.
#[derive(Clone, Debug)]
pub struct InfluxSettings {
    /// Where to.
    pub target: InfluxTarget,
    /// Points that wait at most.
    pub points_max: usize,
    /// How long a request may take.
    pub timeout: Duration,
    /// After a failure: at first, and at most.
    pub pauses: (Duration, Duration),
    /// How long the end of a stream waits until everything is delivered.
    pub settle_max: Duration,
}

impl InfluxSettings {
    /// Half a minute between two tries at most.
    pub fn new(target: InfluxTarget) -> Self {
        let pauses = (Duration::from_millis(500), Duration::from_secs(30));
        let (timeout, settle_max) = (Duration::from_secs(10), Duration::from_secs(3));
        Self { target, points_max: 50_000, timeout, pauses, settle_max }
    }
}

/// What became of the points of this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InfluxCounts {
    /// Delivered.
    pub written: u64,
    /// Refused by the server.
    pub refused: u64,
    /// Left because the queue was full.
    pub dropped: u64,
    /// Waiting.
    pub queued: u64,
    /// Tries that failed and were followed by another one.
    pub retries: u64,
}

/// A sink for aggregates. Clones share one queue; its thread ends with the last of them.
#[derive(Clone)]
pub struct Influx(Arc<Handle>);

struct Handle {
    queue: Arc<Queue>,
    settle_max: Duration,
}

impl Influx {
    /// Starts the thread that delivers.
    pub fn start(settings: InfluxSettings) -> Self {
        let queue = Arc::new(Queue::new(settings.points_max));
        let settle_max = settings.settle_max;
        let delivery = Delivery::new(settings, Arc::clone(&queue));
        std::thread::spawn(move || delivery.run());
        Self(Arc::new(Handle { queue, settle_max }))
    }

    /// What became of its points.
    pub fn counts(&self) -> InfluxCounts {
        self.0.queue.counts()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.queue.waiting().is_closed = true;
        self.queue.changed.notify_all();
    }
}

impl Sink<AggregateRow> for Influx {
    fn write(&mut self, output: &[AggregateRow]) -> Result<()> {
        // Rows on trial are nobody's figures yet.
        self.0.queue.put(output.iter().filter(|row| !row.shadow).filter_map(line::line));
        Ok(())
    }

    fn stage(&mut self) -> Result<serde_json::Value> {
        Ok(serde_json::Value::Null)
    }

    fn commit(&mut self, _staged: &serde_json::Value) -> Result<()> {
        Ok(())
    }

    fn settle(&mut self, what: Settle) -> Result<()> {
        if what == Settle::All {
            let left = self.0.queue.wait_until_empty(self.0.settle_max);
            if left > 0 {
                tracing::warn!(left, "points of aggregates wait that could not be delivered yet");
            }
        }
        Ok(())
    }
}

/// Points on their way.
struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    points_max: usize,
    written: AtomicU64,
    refused: AtomicU64,
    dropped: AtomicU64,
    retries: AtomicU64,
}

#[derive(Default)]
struct Waiting {
    lines: VecDeque<String>,
    /// Lines that are being delivered.
    at_work: usize,
    is_closed: bool,
}

impl Queue {
    fn new(points_max: usize) -> Self {
        let count = AtomicU64::default;
        let (waiting, changed) = (Mutex::default(), Condvar::new());
        Self { waiting, changed, points_max, written: count(), refused: count(), dropped: count(), retries: count() }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().expect("nobody panics with it")
    }

    /// Adds lines; the oldest go when there are too many.
    fn put(&self, lines: impl Iterator<Item = String>) {
        let mut waiting = self.waiting();
        waiting.lines.extend(lines);
        let surplus = waiting.lines.len().saturating_sub(self.points_max);
        waiting.lines.drain(..surplus);
        self.dropped.fetch_add(surplus as u64, Ordering::Relaxed);
        self.changed.notify_all();
    }

    /// Waits for lines and takes at most `count`; none when the queue is closed and empty.
    fn take(&self, count: usize) -> Option<Vec<String>> {
        let mut waiting = self.waiting();
        while waiting.lines.is_empty() {
            if waiting.is_closed {
                return None;
            }
            waiting = self.changed.wait(waiting).expect("nobody panics with it");
        }
        let count = count.min(waiting.lines.len());
        waiting.at_work = count;
        Some(waiting.lines.drain(..count).collect())
    }

    /// What was taken has come to an end.
    fn done(&self) {
        self.waiting().at_work = 0;
        self.changed.notify_all();
    }

    /// Waits between two tries. False when nobody is left who would wait for the next one.
    fn pause(&self, pause: Duration) -> bool {
        let until = Instant::now() + pause;
        let mut waiting = self.waiting();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if waiting.is_closed || left.is_zero() {
                return !waiting.is_closed;
            }
            waiting = self.changed.wait_timeout(waiting, left).expect("nobody panics with it").0;
        }
    }

    /// Waits until there is nothing left, or not any longer. How much is left.
    fn wait_until_empty(&self, patience: Duration) -> usize {
        let left = |waiting: &Waiting| waiting.lines.len() + waiting.at_work;
        let waited = self.changed.wait_timeout_while(self.waiting(), patience, |waiting| left(waiting) > 0);
        left(&waited.expect("nobody panics with it").0)
    }

    fn counts(&self) -> InfluxCounts {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let waiting = self.waiting();
        InfluxCounts {
            written: count(&self.written),
            refused: count(&self.refused),
            dropped: count(&self.dropped),
            queued: (waiting.lines.len() + waiting.at_work) as u64,
            retries: count(&self.retries),
        }
    }
}
