//! What the API can start: a nightly run, a backtest.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::NaiveDate;
use serde_json::json;
use tamis_api::{Asked, BacktestRequest, Jobs, RunRequest};
use tamis_catalog::audit::{AuditEntry, Outcome};
use tamis_catalog::backtests::Backtest;
use tamis_catalog::{Action, Conflict};
use tamis_connectors::ProcessLock;
use tamis_engine::SystemClock;
use tamis_jobs::backtest::{self, BacktestContext};
use tamis_jobs::nightly::{JobEvent, Observer};
use tamis_model::error::Context;
use tamis_model::{Error, Kind, Result};
use tokio::sync::oneshot;

use crate::commands::run_night;
use crate::host::Host;

/// The job that can be asked for.
const NIGHTLY: &str = "nightly";
/// Between two looks for a backtest that waits.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What the API of a host can start.
pub(super) fn jobs(host: &Host, context: &Arc<BacktestContext>) -> Jobs {
    let (runs, backtests, context) = (host.clone(), host.clone(), Arc::clone(context));
    Jobs::new(
        move |request, asked| start_run(runs.clone(), request, asked),
        move |request, asked| start_backtest(backtests.clone(), Arc::clone(&context), request, asked),
    )
}

/// Starts the nightly run, and returns as soon as it has an id: before that nothing was done that could be kept.
async fn start_run(host: Host, request: RunRequest, asked: Asked) -> Result<String> {
    if request.job != NIGHTLY {
        return Err(Error::invalid("start job", &request.job, format!("only `{NIGHTLY}` can be started")));
    }
    let as_of: NaiveDate = request.as_of.parse().invalid("read date", &request.as_of)?;
    let (started, id) = oneshot::channel();
    let started = Mutex::new(Some(started));
    let observer: Observer = Arc::new(move |event| {
        if let JobEvent::Started { run_id } = event
            && let Some(started) = started.lock().expect("nobody panics with it").take()
        {
            // Whoever asked may be gone.
            let _ = started.send(run_id.clone());
        }
    });
    let catalog = host.catalog().clone();
    let night = tokio::spawn(async move { run_night(&host, as_of, observer).await });
    let id = tokio::select! {
        biased;
        Ok(id) = id => id,
        ended = night => match ended.outage("start job", NIGHTLY)? {
            Ok(report) => report.run_id,
            // Another run has the lock: an outage for who can wait, a conflict for who asks.
            Err(error) if ProcessLock::is_taken(&error) => {
                return Err(Error::new(Kind::Conflict, "start job", NIGHTLY).because(Conflict::State(error.chain())));
            }
            Err(error) => return Err(error),
        },
    };
    let after = json!({"run": id, "as_of": request.as_of});
    let entry = AuditEntry {
        action: Action::RunStart,
        object: NIGHTLY,
        change: asked.change(),
        outcome: Outcome::Done,
        reason: None,
        before: None,
        after: Some(&after),
    };
    catalog.append_audit(&entry).await?;
    Ok(id)
}

/// Queues a backtest, when it can be run.
async fn start_backtest(
    host: Host,
    context: Arc<BacktestContext>,
    request: BacktestRequest,
    asked: Asked,
) -> Result<Backtest> {
    backtest::enqueue(&host.registry, &context, &request, &asked.change()).await
}

/// Works off backtests, one after the other, until `stop` is set.
pub(super) async fn work_off_backtests(host: Host, context: Arc<BacktestContext>, stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::Relaxed) {
        match backtest::work_off(&host.registry, &context, None, &stop, &|_| {}).await {
            Ok(Some(_)) => continue,
            Ok(None) => {}
            Err(error) => tracing::error!("{}", error.chain()),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// What backtests of a host work with.
pub(super) fn backtest_context(host: &Host) -> Arc<BacktestContext> {
    let plan = &host.plan;
    let (topics, schemas, pepper) = (plan.topics(), plan.schemas.clone(), plan.pepper.clone());
    Arc::new(BacktestContext::new(&topics, schemas, pepper, Arc::new(SystemClock)))
}
