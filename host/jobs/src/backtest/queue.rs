//! Backtests in the catalogue: asked for, worked off one after the other, and reported.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tamis_catalog::Change;
use tamis_catalog::backtests::{Backtest as Stored, BacktestEnd};
use tamis_model::error::Context;
use tamis_model::{Kind, Result};
use tamis_registry::Registry;
use tokio::sync::watch;

use super::{BacktestContext, BacktestProgress, BacktestReport, BacktestRequest, backtest};
use crate::nightly::run_id;

/// How often the catalogue is told how far a backtest is, and asked whether it is to go on.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// Queues a backtest. What cannot be run is refused before.
pub async fn enqueue(
    registry: &Registry,
    context: &BacktestContext,
    request: &BacktestRequest,
    change: &Change<'_>,
) -> Result<Stored> {
    request.resolve(registry).await?;
    let json = serde_json::to_value(request).invalid("write", "the request of a backtest")?;
    registry.catalog().create_backtest(&run_id(&*context.clock), &json, change).await
}

/// Runs the backtest `id`, or the one that waits longest, and keeps what came of it; none when there is none that waits. `stop` says that
/// the host wants to end: the backtest is kept as failed then, as the catalogue does with those whose process died. An error of this
/// function is one of the catalogue.
pub async fn work_off(
    registry: &Registry,
    context: &Arc<BacktestContext>,
    id: Option<&str>,
    stop: &AtomicBool,
    observer: &(dyn Fn(BacktestProgress) + Sync),
) -> Result<Option<Stored>> {
    let catalog = registry.catalog();
    let Some(claimed) = catalog.claim_backtest(id, context.clock.now()).await? else { return Ok(None) };
    let end = match run(registry, context, &claimed, stop, observer).await {
        Ok(report) => {
            BacktestEnd::Succeeded(serde_json::to_value(&report).invalid("write", "the report of a backtest")?)
        }
        Err(error) if error.kind() == Kind::Stopped && !stop.load(Ordering::Relaxed) => BacktestEnd::Cancelled,
        Err(error) => BacktestEnd::Failed(error.chain()),
    };
    catalog.finish_backtest(&claimed.id, &end, context.clock.now()).await.map(Some)
}

async fn run(
    registry: &Registry,
    context: &Arc<BacktestContext>,
    claimed: &Stored,
    stop: &AtomicBool,
    observer: &(dyn Fn(BacktestProgress) + Sync),
) -> Result<BacktestReport> {
    let request = serde_json::from_value::<BacktestRequest>(claimed.request.clone());
    let resolved = request.corrupt("read the request of backtest", &claimed.id)?.resolve(registry).await?;
    let cancel = Arc::new(AtomicBool::new(false));
    let (told, progress) = watch::channel(BacktestProgress::default());
    let mut work = tokio::task::spawn_blocking({
        let (context, cancel) = (Arc::clone(context), Arc::clone(&cancel));
        move || {
            backtest(&context, &resolved, &cancel, &mut |progress| {
                told.send_replace(progress);
            })
        }
    });
    loop {
        let done = tokio::time::timeout(LOOK_INTERVAL, &mut work).await;
        let at = *progress.borrow();
        observer(at);
        let recorded = registry.catalog().record_progress(&claimed.id, at.records_done, Some(at.records_total)).await;
        if let Ok(result) = done {
            return result.outage("run backtest", &claimed.id)?;
        }
        let wanted = recorded.unwrap_or_else(|error| {
            tracing::warn!("{}", error.chain());
            true
        });
        if stop.load(Ordering::Relaxed) || !wanted {
            cancel.store(true, Ordering::Relaxed);
        }
    }
}
