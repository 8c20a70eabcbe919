//! `tamis worker`: a share of a group's streams on a host without catalogue, lake and warehouse.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tamis_api::{StreamState, StreamStatus};
use tamis_engine::{Clock, SystemClock};
use tamis_model::error::Context;
use tamis_model::{Error, Result};
use tokio::sync::watch;

use super::runtime;
use crate::group::{LOOK_EVERY, TURN, Worker};
use crate::home::Home;
use crate::kafka::KafkaPlan;
use crate::plan::Plan;
use crate::serve;
use crate::signals::Signals;

/// After an outage: at first, and at most.
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// A worker that ran so long is not failing again and again.
const STEADY: Duration = Duration::from_secs(60);

/// The command: works until SIGTERM or an interrupt, or until only people can help; shows at `listen` how that is.
pub fn command(home: Home, kafka: Option<String>, listen: Option<String>, json: bool) -> Result<ExitCode> {
    let plan = Arc::new(Plan::new(home, None)?.with_brokers(kafka)?);
    let Some(kafka) = plan.kafka.clone().filter(|kafka| kafka.shared) else {
        let reason =
            "say shared = true and bootstrap_servers under [kafka] in tamis.toml, here and at the host that serves";
        return Err(Error::invalid("share", "the streams", reason));
    };
    let runtime = runtime()?;
    let mut signals = runtime.block_on(async { Signals::listen() })?;
    let status = watch::Sender::new(StreamStatus::starting(SystemClock.now()));
    if let Some(wanted) = listen.as_ref().or(plan.config.metrics.listen.as_ref()) {
        let address = runtime.block_on(show(wanted, &status))?;
        let said = match json {
            true => serde_json::json!({"metrics": address}).to_string(),
            false => format!("Metrics and readiness are at http://{address}"),
        };
        crate::table::print_text(&said).outage("write to", "standard output")?;
    }
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    runtime.spawn(async move {
        signals.came().await;
        stopped.store(true, Ordering::Relaxed);
    });
    let mut pause = PAUSE_MIN;
    loop {
        let began = Instant::now();
        let Err(error) = work(&plan, &kafka, &stop, &status) else { return Ok(ExitCode::SUCCESS) };
        if !error.can_retry() || stop.load(Ordering::Relaxed) {
            return Err(error);
        }
        tracing::error!("the worker stopped: {}", error.chain());
        let now = SystemClock.now();
        status.send_modify(|status| {
            (status.state, status.since, status.updated_at) = (StreamState::Failed, now, now);
            status.error = Some(error.chain());
        });
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

/// Answers whoever asks how the streams are, as long as there is who says it. Returns where.
async fn show(wanted: &str, status: &watch::Sender<StreamStatus>) -> Result<SocketAddr> {
    let (listener, address) = serve::listen(wanted).await?;
    let router = tamis_api::worker_router(status.subscribe(), Arc::new(SystemClock));
    let mut status = status.subscribe();
    let ended = async move { while status.changed().await.is_ok() {} };
    serve::spawn(tamis_api::serve(listener, None, router, ended));
    Ok(address)
}

fn work(plan: &Arc<Plan>, kafka: &KafkaPlan, stop: &AtomicBool, status: &watch::Sender<StreamStatus>) -> Result<()> {
    let mut worker = Worker::new(plan, kafka)?;
    let mut looked = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        worker.turn()?;
        if looked.elapsed() >= LOOK_EVERY {
            looked = Instant::now();
            status.send_modify(|status| worker.seen().write(status, SystemClock.now()));
        }
        std::thread::sleep(TURN);
    }
    worker.leave()
}
