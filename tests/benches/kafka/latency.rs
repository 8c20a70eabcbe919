//! From a payment to its alert: payments are written by a schedule that waits for nothing, and an alert counts from the moment at which
//! its payment was due, so that a pause of whoever writes or judges shows in every payment that it held up.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tamis::demo::{Event, Scale, payments};
use tamis_connectors::kafka::{KafkaSink, KafkaSource, KafkaSourceSettings};
use tamis_engine::{Chunk, Clock, Read, Sink, Source, SystemClock, Waker};
use tamis_services::process::{terminate, wait};

use super::cluster::{READ, Topics, record};
use super::run::Killed;
use super::tamis::Home;

/// Payments a second.
pub const RATE: u64 = 5_000;
/// How long a host that has started is left alone.
const START: Duration = Duration::from_secs(10);
/// Alerts of the first payments are not counted: a broker that has just started still compiles what it does often.
const WARM_UP: Duration = Duration::from_secs(20);
/// How long alerts are waited for after the last payment, and how long the host may take to end.
const REST: Duration = Duration::from_secs(60);
const END: Duration = Duration::from_secs(60);
/// Between two looks which payments are due.
const PAUSE: Duration = Duration::from_micros(500);
/// How long whoever listens waits at most to be woken.
const IDLE_MS_MAX: u64 = 20;
const SEED: u64 = 11;
/// Payments of a day of the usual volume.
const PER_DAY: u64 = 25_000;
/// The rule whose alerts are known beforehand.
const FLAGGED_BY: &str = "payment-direct-fraud";

/// What is fed.
pub struct Feed {
    events: Vec<Event>,
    /// By payment id; of equal ones none is there.
    numbers: HashMap<String, usize>,
    /// How many payments after the warm-up say that they are fraud.
    flagged: usize,
}

/// The first payments of a day of the reference company at as many times its volume as it takes.
pub fn a_day(count: u64) -> Result<Vec<Event>> {
    let scale = Scale(u32::try_from(count.div_ceil(PER_DAY)).context("so many payments make no day")?);
    Ok(payments(SEED, scale).take(usize::try_from(count)?).collect())
}

/// Measures the latency of a host that serves a home: how it is spread, in words.
pub fn measure(topics: &Topics, home: &Home, feed: &Feed) -> Result<String> {
    home.run(&["topics", "create"])?;
    let mut serve = home.command(&["serve", "--listen", "127.0.0.1:0"]);
    let mut host = Killed(serve.stdout(Stdio::piped()).spawn().context("cannot run tamis")?);
    let mut said = String::new();
    BufReader::new(host.0.stdout.take().context("it is piped")?).read_line(&mut said)?;
    ensure!(!said.is_empty(), "the host ended before it served");
    thread::sleep(START);
    let alerts = topics.of_tamis()?;
    let mut source = KafkaSource::new(topics.connection(), KafkaSourceSettings::new(alerts.clone(), "latency"));
    let waker = Waker::default();
    source.wake(&waker);
    source.open(&topics.ends(&alerts)?)?;
    let (began, written_all) = (Instant::now(), AtomicBool::new(false));
    let seen = thread::scope(|scope| {
        let reader = scope.spawn(|| feed.listen(&mut source, &waker, began, &written_all));
        let written = feed.write(topics, began);
        written_all.store(true, Ordering::Relaxed);
        let seen = reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        written.and(seen)
    })?;
    terminate(&mut host.0)?;
    let status = wait(&mut host.0, END)?.context("the host did not end")?;
    ensure!(status.success(), "the host ended with {status}");
    ensure!(seen.flagged == feed.flagged, "{} of {} alerts that were due came", seen.flagged, feed.flagged);
    Ok(spread(seen.milliseconds))
}

impl Feed {
    /// Payments that are fed one behind the other.
    pub fn new(events: Vec<Event>) -> Self {
        let (mut numbers, mut flagged) = (HashMap::new(), 0);
        for (number, event) in events.iter().enumerate() {
            // Some are broken, on purpose.
            let Ok(payment) = serde_json::from_str::<Value>(&event.value) else { continue };
            let Some(id) = payment["session_id"].as_str().and(payment["payment_id"].as_str()) else { continue };
            numbers.insert(id.to_owned(), number);
            flagged += usize::from(payment["fraud_flag"] == true && due(number) >= WARM_UP);
        }
        Self { events, numbers, flagged }
    }

    /// Writes each payment when it is due, or at once when it should have been written already.
    fn write(&self, topics: &Topics, began: Instant) -> Result<()> {
        let mut sink = KafkaSink::at_least_once(&topics.connection())?;
        let mut written = 0;
        while written < self.events.len() {
            let count = (began.elapsed().as_secs_f64() * RATE as f64) as usize + 1;
            let now = SystemClock.now();
            let due = &self.events[written..count.clamp(written, self.events.len())];
            let records = due.iter().map(|event| record(READ[0], Event { timestamp: now, ..event.clone() }));
            sink.write(&records.collect::<Vec<_>>())?;
            written += due.len();
            thread::sleep(PAUSE);
        }
        sink.stage()?;
        Ok(())
    }

    /// Reads alerts as they come, until those that are due have all come.
    fn listen(
        &self,
        source: &mut KafkaSource,
        waker: &Waker,
        began: Instant,
        written_all: &AtomicBool,
    ) -> Result<Seen> {
        let (mut seen, mut chunk) = (Seen::default(), Chunk::default());
        let partitions = source.partitions()?;
        let mut deadline = None;
        loop {
            let mut any = false;
            for partition in &partitions {
                if let Read::Records = source.read(partition, &mut chunk)? {
                    any = true;
                    let now = began.elapsed();
                    chunk.framed().try_for_each(|record| self.see(record.value.unwrap_or_default(), now, &mut seen))?;
                }
            }
            if !any {
                SystemClock.wait(IDLE_MS_MAX, waker);
            }
            if written_all.load(Ordering::Relaxed) {
                let deadline = *deadline.get_or_insert_with(|| Instant::now() + REST);
                if (seen.flagged == self.flagged && !any) || Instant::now() > deadline {
                    return Ok(seen);
                }
            }
        }
    }

    fn see(&self, alert: &[u8], now: Duration, seen: &mut Seen) -> Result<()> {
        let alert: Value = serde_json::from_slice(alert)?;
        let Some(number) = alert["payment_id"].as_str().and_then(|id| self.numbers.get(id)) else { return Ok(()) };
        if due(*number) >= WARM_UP {
            seen.milliseconds.push((now - due(*number)).as_secs_f64() * 1e3);
            let is_flagged = alert["rule"] == FLAGGED_BY
                && alert["criteria"].as_array().is_some_and(|criteria| criteria.iter().any(|c| c == "fraud_flag"));
            seen.flagged += usize::from(is_flagged);
        }
        Ok(())
    }
}

/// When a payment is due, from the beginning.
fn due(number: usize) -> Duration {
    Duration::from_secs_f64(number as f64 / RATE as f64)
}

/// What came.
#[derive(Default)]
struct Seen {
    milliseconds: Vec<f64>,
    flagged: usize,
}

fn spread(mut milliseconds: Vec<f64>) -> String {
    milliseconds.sort_by(f64::total_cmp);
    let at = |share: f64| milliseconds[((milliseconds.len() as f64 * share) as usize).min(milliseconds.len() - 1)];
    format!(
        "p50 {:.1}, p99 {:.1}, p99.9 {:.1}, max {:.1} ms of {} alerts",
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0),
        milliseconds.len()
    )
}
