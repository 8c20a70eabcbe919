//! `tamis demo`: a day of the reference company from nothing to alerts and tables, then its payments live.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use tamis_api::Desk;
use tamis_engine::report::Report;
use tamis_engine::{Sink, Unstaged};
use tamis_jobs::nightly::{JobEvent, NightlyReport, Observer};
use tamis_model::alert::Alert;
use tamis_model::error::Context;
use tamis_model::{Error, Result};
use tokio::runtime::Runtime;

use super::generate::{Day, generate_for};
use super::inlet::make_topics;
use super::switch::Switch;
use super::{AS_OF_DAY, Scale, generate, live, summary};
use crate::cli::{Demo, Serve};
use crate::commands::{self, lock_streams, run_night, run_streams};
use crate::home::Home;
use crate::host::Host;
use crate::plan::{PEPPER_VARIABLE, Plan};
use crate::serve::{Serving, Socket};
use crate::signals::Signals;
use crate::streams::{Onlookers, Until};

/// The demo, from generating the day to the last live alert.
pub fn run(home: Home, brokers: Option<String>, demo: &Demo, json: bool) -> Result<ExitCode> {
    home.create()?;
    if let Some(folder) = &demo.plugins {
        install(folder, &home)?;
    }
    // Pseudonyms must be the same in every run of a demo; whoever sets a pepper gets their own.
    let pepper = format!("demo-{}", demo.seed);
    let pepper = std::env::var_os(PEPPER_VARIABLE).is_none().then_some(pepper.as_bytes());
    let runtime = commands::runtime()?;
    let host = runtime.block_on(Host::open(Plan::new(home, pepper)?.with_brokers(brokers)?))?;
    prepare(&host, &runtime, Day { seed: demo.seed, scale: Scale(demo.scale) })?;
    let started = Instant::now();
    let (report, switched) = day(&host, &runtime)?;
    let night = night(&host, &runtime)?;
    summary::print(&host.plan.home, &report, &night, started.elapsed(), json)?;
    if let Some(switched) = switched.filter(|_| !json) {
        summary::line(&switched)?;
    }
    if !demo.once {
        trickle(&host, &runtime, demo)?;
    }
    Ok(commands::nightly_exit_code(&night))
}

/// Puts the day where the host finds it.
fn prepare(host: &Host, runtime: &Runtime, day: Day) -> Result<()> {
    let bar = bar("events of the day");
    let mut observer = |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    };
    match &host.plan.kafka {
        None => generate(&host.plan.home, day.seed, day.scale, &mut observer)?,
        Some(kafka) => {
            let rules = runtime.block_on(host.registry.rule_set())?;
            let new = make_topics(&host.plan, kafka, &rules)?;
            generate_for(&host.plan, day, new, &mut observer)?;
        }
    }
    bar.finish_and_clear();
    Ok(())
}

/// Copies the components of a folder into the home.
fn install(folder: &Path, home: &Home) -> Result<()> {
    let mut installed = 0;
    for entry in std::fs::read_dir(folder).invalid("list plugins in", folder.display())? {
        let path = entry.outage("list plugins in", folder.display())?.path();
        if let (Some(name), Some("wasm")) = (path.file_name(), path.extension().and_then(|e| e.to_str())) {
            std::fs::copy(&path, home.plugins().join(name)).outage("install plugin", path.display())?;
            installed += 1;
        }
    }
    match installed {
        0 => Err(Error::invalid("install plugins from", folder.display(), "there is no component (*.wasm) in it")),
        _ => Ok(()),
    }
}

/// The day's records through the rules, to their end.
fn day(host: &Host, runtime: &Runtime) -> Result<(Report, Option<String>)> {
    let bar = bar("records judged");
    let (tell, commands) = channel();
    let mut switch = Switch::new(host, runtime.handle(), tell);
    let mut switched = Ok(());
    let report = run_streams(
        host,
        &lock_streams(&host.plan.home)?,
        runtime.handle(),
        Until::End,
        Onlookers::default(),
        &commands,
        &mut |progress| {
            bar.set_position(progress.report.counts.topics.values().map(|counts| counts.records).sum());
            if switched.is_ok() {
                switched = switch.observe(progress);
            }
        },
    )?;
    bar.finish_and_clear();
    switched?;
    Ok((report, switch.said()))
}

/// The nightly run, with a line for what it is at.
fn night(host: &Host, runtime: &Runtime) -> Result<NightlyReport> {
    let bar = ProgressBar::new_spinner();
    bar.enable_steady_tick(Duration::from_millis(100));
    let shown = bar.clone();
    let observer: Observer = Arc::new(move |event| shown.set_message(words(event)));
    let as_of = AS_OF_DAY.parse().invalid("read date", AS_OF_DAY)?;
    let report = runtime.block_on(run_night(host, as_of, observer))?;
    bar.finish_and_clear();
    Ok(report)
}

fn words(event: &JobEvent) -> String {
    match event {
        JobEvent::Started { run_id } => format!("run {run_id}"),
        JobEvent::Ingested { taken, .. } => format!("bronze: {taken} files taken in"),
        JobEvent::Silver { source, progress } => format!("silver.{source}: {} rows", progress.rows_in),
        JobEvent::SilverDone { report } => format!("{} written", report.dataset),
        JobEvent::Gold { dataset, rows } => format!("gold.{dataset}: {rows} rows"),
        JobEvent::Checked { passed, total } => format!("{passed} of {total} checks passed"),
        JobEvent::Published { tables } => format!("{tables} tables published"),
    }
}

fn bar(what: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {human_pos} {msg} {per_sec}");
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())).with_message(what)
}

/// Live payments until somebody interrupts; alerts are printed as they fire, and the API is there to change rules.
fn trickle(host: &Host, runtime: &Runtime, demo: &Demo) -> Result<()> {
    let console = || -> Vec<(String, Box<dyn Sink<Alert>>)> {
        // What was shown cannot be taken back.
        let shown = Unstaged(|alerts: &[Alert]| alerts.iter().try_for_each(summary::alert));
        vec![("console".to_owned(), Box::new(shown))]
    };
    let serve = Serve { listen: demo.listen.clone(), tls_certificates: None, tls_key: None };
    let (mut signals, serving) = runtime.block_on(async {
        let (signals, socket) = (Signals::listen()?, Socket::open(&serve).await?);
        let serving = Serving::start(host, lock_streams(&host.plan.home)?, socket, Box::new(console)).await?;
        Ok::<_, Error>((signals, serving))
    })?;
    let said = runtime.block_on(serving.say(host, false));
    let live = said.and_then(|()| {
        summary::line("Live payments now; alerts appear as they fire. Ctrl-C ends it.")?;
        live_until(&mut signals, serving.desk(), runtime, demo)
    });
    serving.end(runtime).and(live)
}

/// Waits until a thread has.
async fn has_finished<T>(thread: &ScopedJoinHandle<'_, T>) {
    while !thread.is_finished() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Payments until a signal comes, or none can be made.
fn live_until(signals: &mut Signals, desk: &Desk, runtime: &Runtime, demo: &Demo) -> Result<()> {
    let ended = Arc::new(AtomicBool::new(false));
    std::thread::scope(|scope| {
        let generator = scope.spawn(|| live::trickle(desk, demo.seed, Scale(demo.scale), &ended));
        runtime.block_on(async {
            tokio::select! {
                () = signals.came() => {}
                // It has failed.
                () = has_finished(&generator) => {}
            }
        });
        ended.store(true, Ordering::Relaxed);
        generator.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
