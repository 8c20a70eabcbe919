//! `tamis backtest`: what a version of a rule would have raised on the records of the topics.
//!
//! It runs in this process, beside a `tamis serve` on the same home or without one, and stands in the catalogue like those that are asked
//! for through the API. Nothing that is live is touched; components in the home's folder of plugins are taken in, and none is put to work.

mod arguments;
mod text;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tamis_catalog::backtests::{Backtest as Stored, BacktestState};
use tamis_catalog::{Actor, Catalog, Change};
use tamis_engine::{Clock, SystemClock};
use tamis_jobs::backtest::{BacktestContext, BacktestProgress, BacktestReport, BacktestRequest, enqueue, work_off};
use tamis_model::error::Context;
use tamis_model::{Error, Kind, Result};
use tamis_registry::Registry;

pub use arguments::BacktestArguments;

use super::{catalog, existing, runtime};
use crate::home::Home;
use crate::plan::Plan;
use crate::table::print_text;

/// Between two looks at a backtest that another process has taken.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The command.
pub fn command(home: Home, kafka: Option<String>, arguments: &BacktestArguments, json: bool) -> Result<ExitCode> {
    let request = arguments.request();
    let plan = Plan::new(existing(&home)?, None)?.with_brokers(kafka)?;
    let report = runtime()?.block_on(async {
        let registry = plan.library(catalog(&home).await?).await?;
        let (topics, schemas, pepper) = (plan.topics(), plan.schemas.clone(), plan.pepper.clone());
        let context = Arc::new(BacktestContext::new(&topics, schemas, pepper, Arc::new(SystemClock)));
        replay(&registry, &context, &request).await
    })?;
    let shown = match json {
        true => serde_json::to_string(&report).invalid("write", "the report as JSON")?,
        false => text::text(&report),
    };
    print_text(&shown).outage("write to", "standard output")?;
    Ok(ExitCode::SUCCESS)
}

/// Asks for a backtest, and runs it unless another process is faster. An interrupt cancels it, whoever runs it.
async fn replay(
    registry: &Registry,
    context: &Arc<BacktestContext>,
    request: &BacktestRequest,
) -> Result<BacktestReport> {
    let actor = Actor::local();
    let change = || Change { actor: &actor, why: None, at: SystemClock.now() };
    let queued = enqueue(registry, context, request, &change()).await?;
    let bar = bar();
    let show = |progress: BacktestProgress| {
        bar.set_length(progress.records_total);
        bar.set_position(progress.records_done);
    };
    let stop = AtomicBool::new(false);
    let run = async {
        match work_off(registry, context, Some(&queued.id), &stop, &show).await? {
            Some(done) => Ok(done),
            None => follow(registry.catalog(), &queued.id, &show).await,
        }
    };
    let mut run = std::pin::pin!(run);
    let done = tokio::select! {
        done = &mut run => done?,
        Ok(()) = tokio::signal::ctrl_c() => {
            registry.catalog().cancel_backtest(&queued.id, &change()).await?;
            run.await?
        }
    };
    bar.finish_and_clear();
    report(done)
}

/// Waits for a backtest that another process runs.
async fn follow(catalog: &Catalog, id: &str, show: &(dyn Fn(BacktestProgress) + Sync)) -> Result<Stored> {
    loop {
        let found = catalog.backtest(id).await?;
        let stored = found.ok_or_else(|| Error::new(Kind::Missing, "follow backtest", id))?;
        if stored.finished_at.is_some() {
            return Ok(stored);
        }
        show(BacktestProgress { records_done: stored.rows_done, records_total: stored.rows_total.unwrap_or_default() });
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// What a backtest reported, or why it did not.
fn report(stored: Stored) -> Result<BacktestReport> {
    let why = match (stored.state, stored.report, stored.error) {
        (BacktestState::Succeeded, Some(report), _) => {
            return serde_json::from_value(report).corrupt("read the report of backtest", &stored.id);
        }
        (_, _, Some(error)) => error,
        (state, ..) => format!("it was {state}"),
    };
    Err(Error::new(Kind::Stopped, "finish backtest", &stored.id).because(why))
}

fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {human_pos}/{human_len} records, {eta} left")
        .expect("the template is a constant");
    ProgressBar::new(0).with_style(style)
}
