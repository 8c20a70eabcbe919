//! `tamis run nightly` and `tamis run silver`: the trusted tables of a day, and those of topics.

use std::process::ExitCode;
use std::sync::Arc;

use chrono::NaiveDate;
use serde::Serialize;
use tamis_catalog::runs::RunState;
use tamis_connectors::DeltaTables;
use tamis_connectors::warehouse::Warehouse;
use tamis_engine::SystemClock;
use tamis_jobs::gate::GatePlan;
use tamis_jobs::nightly::{JobContext, NightlyReport, Observer, nightly, silver_of_topics};
use tamis_jobs::plans::Plans;
use tamis_jobs::silver::SilverReport;
use tamis_model::Result;
use tamis_model::error::Context;

use super::runtime;
use crate::exit::HELD_BACK;
use crate::home::Home;
use crate::host::Host;
use crate::plan::Plan;
use crate::table::{Row, grouped, print};

/// A dropped file that changed less than this long ago is looked at twice.
const SETTLE_MS: u64 = 500;

/// The account of a source.
#[derive(Debug, Serialize)]
pub struct SourceRow {
    source: String,
    files: usize,
    rows_in: u64,
    rows_out: u64,
    duplicates: u64,
    filtered: u64,
    rejected: u64,
    cells_nullified: u64,
}

impl SourceRow {
    /// The account of one source of a run.
    pub fn of(report: &SilverReport) -> Self {
        let counts = report.counts();
        Self {
            source: report.source.clone(),
            files: report.files.len(),
            rows_in: counts.rows_in,
            rows_out: counts.rows_out,
            duplicates: counts.duplicates,
            filtered: counts.filtered,
            rejected: counts.rejected,
            cells_nullified: report.nullified.values().sum(),
        }
    }
}

impl Row for SourceRow {
    const HEAD: &'static [&'static str] =
        &["SOURCE", "#FILES", "#ROWS IN", "#OUT", "#DUPLICATES", "#FILTERED", "#REJECTED", "#CELLS NULLIFIED"];

    fn cells(&self) -> Vec<String> {
        let counts = [self.rows_in, self.rows_out, self.duplicates, self.filtered, self.rejected, self.cells_nullified];
        let mut cells = vec![self.source.clone(), self.files.to_string()];
        cells.extend(counts.map(grouped));
        cells
    }
}

/// The command.
pub fn command(home: Home, as_of: NaiveDate, json: bool) -> Result<ExitCode> {
    let plan = Plan::new(home, None)?;
    let report = runtime()?.block_on(async { run_night(&Host::open(plan).await?, as_of, Arc::new(|_| {})).await })?;
    let rows: Vec<_> = report.sources.iter().map(SourceRow::of).collect();
    print(&rows, json).outage("write to", "standard output")?;
    let (state, score) = (report.state, report.quality_score.unwrap_or_default());
    tracing::info!("run {} {state}: {} tables, {score:.1} % of the checks passed", report.run_id, report.tables.len());
    Ok(exit_code(&report))
}

/// Whether everything went through.
pub fn exit_code(report: &NightlyReport) -> ExitCode {
    for alert in &report.alerts {
        tracing::warn!("{} {}: {}", alert.kind, alert.subject, alert.message);
    }
    match report.state {
        RunState::Partial | RunState::Gated => ExitCode::from(HELD_BACK),
        RunState::Succeeded | RunState::Running => ExitCode::SUCCESS,
        RunState::Failed => ExitCode::FAILURE,
    }
}

/// `tamis run silver`: what is new in the archives of topics, into their datasets.
pub fn silver_command(home: Home, topics: &[String], json: bool) -> Result<ExitCode> {
    let plan = Plan::new(home, None)?;
    let reports = runtime()?.block_on(async { run_silver(&Host::open(plan).await?, topics).await })?;
    let rows: Vec<_> = reports.iter().map(SourceRow::of).collect();
    print(&rows, json).outage("write to", "standard output")?;
    let partial = reports.iter().any(|report| report.quarantined().next().is_some());
    Ok(if partial { ExitCode::from(HELD_BACK) } else { ExitCode::SUCCESS })
}

/// Runs silver of topics of a home, of all when none is named.
pub(crate) async fn run_silver(host: &Host, topics: &[String]) -> Result<Vec<SilverReport>> {
    let as_of = chrono::Utc::now().date_naive();
    let plans = Plans::of_plugins(&host.plan.plugins)?;
    // Nothing of it is published, so there is no gate.
    silver_of_topics(&context(host, plans, GatePlan::default()), topics, as_of, Arc::new(|_| {})).await
}

/// Runs the night of a home.
pub(crate) async fn run_night(host: &Host, as_of: NaiveDate, observer: Observer) -> Result<NightlyReport> {
    let plans = Plans::of_plugins(&host.plan.plugins)?;
    let gate = GatePlan::bind(&plans.checks)?;
    nightly(&context(host, plans, gate), as_of, observer).await
}

fn context(host: &Host, plans: Plans, gate: GatePlan) -> JobContext {
    let Host { plan, warehouse, .. } = host;
    let home = &plan.home;
    let warehouse: Arc<dyn Warehouse> = warehouse.clone();
    JobContext {
        drop: home.drop(),
        lake: home.lake(),
        lock: home.root().join("nightly.lock"),
        catalog: host.catalog().clone(),
        tables: DeltaTables::new(home.lake()),
        warehouse,
        gate,
        plans,
        memory_bytes_max: plan.config.batch.memory_mib_max as usize * (1 << 20),
        settle_ms: SETTLE_MS,
        clock: Arc::new(SystemClock),
    }
}
