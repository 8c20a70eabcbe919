//! A process that judges topics to their end, watched from outside.

use std::fs;
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tamis_services::kafka;

use super::cluster::{Topics, between};

/// A run that takes longer has come to nothing.
const LIMIT: Duration = Duration::from_secs(1_800);
/// Between two looks at how many alerts there are, which cost the broker something.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Between two looks whether it has ended, and what it has used until then.
const USAGE_EVERY: Duration = Duration::from_millis(10);
/// Of the kernel's accounts, a second: the same on all Linux.
const TICKS: f64 = 100.0;

/// What it used until a moment.
#[derive(Clone, Copy, Default)]
struct Look {
    seconds: f64,
    cpu_seconds: f64,
    alerts: f64,
}

/// What a run came to.
pub struct Figures {
    events: u64,
    whole: Look,
    /// When the first alert was seen.
    first: Look,
    /// From half of the alerts to all of them: nothing of start and end is in there.
    second_half: Look,
    broker_cpu_seconds: f64,
    resident_mib: u64,
}

/// Runs a command that judges `events` and writes alerts to `alerts`.
pub fn measure(
    mut command: Command,
    broker: &kafka::Cluster,
    topics: &Topics,
    alerts: &[String],
    events: u64,
) -> Result<Figures> {
    let broker = broker.process(0).context("the broker runs")?;
    let before = topics.ends(alerts)?;
    let broker_before = cpu_seconds(broker)?;
    let began = Instant::now();
    let mut child = Killed(command.spawn().with_context(|| format!("cannot run {}", command.get_program().display()))?);
    let (mut looks, mut resident_kib, mut cpu) = (vec![Look::default()], 0, 0.0);
    let mut looked = Instant::now();
    let status = loop {
        if let Some(status) = child.0.try_wait()? {
            break status;
        }
        // A process that has just ended has no memory any more, and none that is gone has accounts.
        cpu = cpu_seconds(child.0.id()).unwrap_or(cpu);
        resident_kib = resident_max_kib(child.0.id()).unwrap_or(resident_kib);
        if looked.elapsed() >= LOOK_EVERY {
            let seconds = began.elapsed().as_secs_f64();
            let alerts = between(&before, &topics.ends(alerts)?) as f64;
            looks.push(Look { seconds, cpu_seconds: cpu, alerts });
            looked = Instant::now();
        }
        if began.elapsed() > LIMIT {
            bail!("it has not ended after {LIMIT:?}");
        }
        sleep(USAGE_EVERY);
    };
    let seconds = began.elapsed().as_secs_f64();
    ensure!(status.success(), "it ended with {status}");
    looks.push(Look { seconds, cpu_seconds: cpu, alerts: between(&before, &topics.ends(alerts)?) as f64 });
    let broker_cpu_seconds = cpu_seconds(broker)? - broker_before;
    figures(events, &looks, broker_cpu_seconds, resident_kib >> 10)
}

fn figures(events: u64, looks: &[Look], broker_cpu_seconds: f64, resident_mib: u64) -> Result<Figures> {
    let whole = *looks.last().context("the end is looked at")?;
    ensure!(whole.alerts > 0.0, "it raised no alert");
    let (half, end) = (when(looks, whole.alerts / 2.0), when(looks, whole.alerts));
    let second_half = Look {
        seconds: end.seconds - half.seconds,
        cpu_seconds: end.cpu_seconds - half.cpu_seconds,
        alerts: end.alerts - half.alerts,
    };
    let first = looks.iter().find(|look| look.alerts > 0.0).copied().unwrap_or(whole);
    Ok(Figures { events, whole, first, second_half, broker_cpu_seconds, resident_mib })
}

/// When there were so many alerts, taking them to come evenly between two looks.
fn when(looks: &[Look], alerts: f64) -> Look {
    let next = looks.iter().position(|look| look.alerts >= alerts).unwrap_or(looks.len() - 1).max(1);
    let (a, b) = (looks[next - 1], looks[next]);
    let share = if b.alerts > a.alerts { ((alerts - a.alerts) / (b.alerts - a.alerts)).clamp(0.0, 1.0) } else { 1.0 };
    let between = |a: f64, b: f64| a + (b - a) * share;
    Look {
        seconds: between(a.seconds, b.seconds),
        cpu_seconds: between(a.cpu_seconds, b.cpu_seconds),
        alerts: between(a.alerts, b.alerts),
    }
}

impl Figures {
    /// The titles of the rows.
    pub fn head() -> String {
        let titles =
            ["first alert s", "all s", "events/s", "2nd half/s", "CPU s/M", "2nd half", "broker s/M", "MiB", "alerts"];
        let titles: Vec<_> = titles.iter().map(|title| format!("{title:>13}")).collect();
        format!("{:<32}{}", "", titles.concat())
    }

    /// A row of the table.
    pub fn row(&self, name: &str) -> String {
        let Self { events, whole, first, second_half, .. } = self;
        let (events, half) = (*events as f64, *events as f64 / 2.0);
        let millions = events / 1e6;
        format!(
            "{name:<32}{:>13.1}{:>13.1}{:>13.0}{:>13.0}{:>13.2}{:>13.2}{:>13.2}{:>13}{:>13.0}",
            first.seconds,
            whole.seconds,
            events / whole.seconds,
            half / second_half.seconds,
            whole.cpu_seconds / millions,
            second_half.cpu_seconds / (millions / 2.0),
            self.broker_cpu_seconds / millions,
            self.resident_mib,
            whole.alerts,
        )
    }
}

/// A process that ends with whoever looks after it.
pub struct Killed(pub Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a process has used of all cores, seconds.
fn cpu_seconds(process: u32) -> Result<f64> {
    let text = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // Behind the name, which may hold anything: user time and system time are the twelfth and thirteenth.
    let rest = text.rsplit_once(')').context("every process has a name")?.1;
    let ticks = rest.split_whitespace().skip(11).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>()?;
    Ok(ticks as f64 / TICKS)
}

/// The most memory that a process had, KiB.
fn resident_max_kib(process: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = text.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
