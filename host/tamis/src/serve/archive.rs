//! The archive under supervision: on its own thread, so that it holds nobody up; it is begun again after an outage.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tamis_catalog::operations::Trouble;
use tamis_connectors::ProcessLock;
use tamis_engine::{Clock, SystemClock};
use tamis_model::{Error, Result};
use tokio::runtime::Handle;

use crate::commands::{lock_archive, run_archive};
use crate::host::Host;
use crate::streams::Until;

/// After an outage: at first, and at most.
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// An archive that ran so long is not failing again and again.
const STEADY: Duration = Duration::from_secs(60);
/// Between two looks whether it is to end.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Starts it; it ends when `stop` is set, or when only people can help. The thread is none of `runtime`.
pub(super) fn start(host: &Host, runtime: &Handle, stop: &Arc<AtomicBool>) -> JoinHandle<()> {
    let (host, runtime, stop) = (host.clone(), runtime.clone(), Arc::clone(stop));
    std::thread::spawn(move || {
        if !host.plan.config.archive.topics.is_empty() {
            supervise(&host, &runtime, &stop);
        }
    })
}

/// Waits for one that was told to end; what it has not closed by then is read again at the next start.
pub(super) fn end(archive: JoinHandle<()>, deadline: Instant) {
    while !archive.is_finished() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    if archive.is_finished() && archive.join().is_err() {
        tracing::error!("the archive panicked");
    }
}

fn supervise(host: &Host, runtime: &Handle, stop: &AtomicBool) {
    let mut pause = PAUSE_MIN;
    while !stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        let Err(error) = run(host, runtime, stop) else { continue };
        tracing::error!("the archive stopped: {}", error.chain());
        if began.elapsed() > STEADY {
            pause = PAUSE_MIN;
        }
        if !error.can_retry() {
            return raise(host, runtime, &error);
        }
        let until = Instant::now() + pause;
        pause = (pause * 2).min(PAUSE_MAX);
        while Instant::now() < until && !stop.load(Ordering::Relaxed) {
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

fn run(host: &Host, runtime: &Handle, stop: &AtomicBool) -> Result<()> {
    let held: ProcessLock = lock_archive(&host.plan.home)?;
    run_archive(host, &held, runtime, Until::Stopped, stop).map(drop)
}

fn raise(host: &Host, runtime: &Handle, error: &Error) {
    let message = format!("topics are not archived until the next start: {}", error.chain());
    let raised = host.catalog().raise_outside_runs(Trouble::RunFailed, "archive", &message, SystemClock.now());
    if let Err(error) = runtime.block_on(raised) {
        tracing::error!("{}", error.chain());
    }
}
