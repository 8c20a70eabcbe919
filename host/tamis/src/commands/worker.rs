//! `tamis worker`: a share of a group's streams on a host without catalogue, lake and warehouse.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tamis_model::{Error, Result};

use super::runtime;
use crate::group::{TURN, Worker};
use crate::home::Home;
use crate::kafka::KafkaPlan;
use crate::plan::Plan;
use crate::signals::Signals;

/// After an outage: at first, and at most.
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// A worker that ran so long is not failing again and again.
const STEADY: Duration = Duration::from_secs(60);

/// The command: works until SIGTERM or an interrupt, or until only people can help.
pub fn command(home: Home, kafka: Option<String>) -> Result<ExitCode> {
    let plan = Arc::new(Plan::new(home, None)?.with_brokers(kafka)?);
    let Some(kafka) = plan.kafka.clone().filter(|kafka| kafka.shared) else {
        let reason =
            "say shared = true and bootstrap_servers under [kafka] in tamis.toml, here and at the host that serves";
        return Err(Error::invalid("share", "the streams", reason));
    };
    let runtime = runtime()?;
    let mut signals = runtime.block_on(async { Signals::listen() })?;
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    runtime.spawn(async move {
        signals.came().await;
        stopped.store(true, Ordering::Relaxed);
    });
    let mut pause = PAUSE_MIN;
    loop {
        let began = Instant::now();
        let Err(error) = work(&plan, &kafka, &stop) else { return Ok(ExitCode::SUCCESS) };
        if !error.can_retry() || stop.load(Ordering::Relaxed) {
            return Err(error);
        }
        tracing::error!("the worker stopped: {}", error.chain());
        if began.elapsed() > STEADY {
            pause = PAUSE_MIN;
        }
        let until = Instant::now() + pause;
        pause = (pause * 2).min(PAUSE_MAX);
        while Instant::now() < until && !stop.load(Ordering::Relaxed) {
            std::thread::sleep(TURN);
        }
    }
}

fn work(plan: &Arc<Plan>, kafka: &KafkaPlan, stop: &AtomicBool) -> Result<()> {
    let mut worker = Worker::new(plan, kafka)?;
    while !stop.load(Ordering::Relaxed) {
        worker.turn()?;
        std::thread::sleep(TURN);
    }
    worker.leave()
}
