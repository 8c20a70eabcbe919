//! What the API can start: a nightly run, a backtest.

use std::sync::{Arc, Mutex};

use chrono::NaiveDate;
use tamis_api::{Asked, BacktestRequest, Jobs, RunRequest};
use tamis_catalog::audit::{AuditEntry, Outcome};
use tamis_catalog::backtests::Backtest;
use tamis_catalog::{Action, Conflict};
use tamis_jobs::nightly::{JobEvent, Observer};
use tamis_model::error::Context;
use tamis_model::{Error, Kind, Result};
use tokio::sync::oneshot;

use crate::commands::run_night;
use crate::host::Host;

/// The job that can be asked for.
const NIGHTLY: &str = "nightly";

/// What the API of a host can start.
pub(super) fn jobs(host: &Host) -> Jobs {
    let (runs, backtests) = (host.clone(), host.clone());
    Jobs::new(
        move |request, asked| start_run(runs.clone(), request, asked),
        move |request, asked| start_backtest(backtests.clone(), request, asked),
    )
}

/// Starts the nightly run, and returns as soon as it has an id.
async fn start_run(host: Host, request: RunRequest, asked: Asked) -> Result<String> {
    if request.job != NIGHTLY {
        return Err(Error::invalid("start job", &request.job, format!("only `{NIGHTLY}` can be started")));
    }
    let as_of: NaiveDate = request.as_of.parse().invalid("read date", &request.as_of)?;
    let entry = AuditEntry {
        action: Action::RunStart,
        object: NIGHTLY,
        change: asked.change(),
        outcome: Outcome::Done,
        reason: None,
        before: None,
        after: None,
    };
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
    host.catalog().append_audit(&entry).await?;
    let night = tokio::spawn(async move { run_night(&host, as_of, observer).await });
    tokio::select! {
        Ok(id) = id => Ok(id),
        ended = night => match ended.outage("start job", NIGHTLY)? {
            Ok(report) => Ok(report.run_id),
            // Another run has the lock: an outage for who can wait, a conflict for who asks.
            Err(error) if error.can_retry() => {
                Err(Error::new(Kind::Conflict, "start job", NIGHTLY).because(Conflict::State(error.chain())))
            }
            Err(error) => Err(error),
        },
    }
}

async fn start_backtest(_host: Host, _request: BacktestRequest, _asked: Asked) -> Result<Backtest> {
    Err(Error::invalid("start", "backtest", "not here yet"))
}
