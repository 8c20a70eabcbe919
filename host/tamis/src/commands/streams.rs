//! `tamis run streams`: judge what the topics hold.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use serde::Serialize;
use tamis_catalog::run_details::RunFile;
use tamis_catalog::runs::{RunEnd, RunState};
use tamis_engine::report::{Progress, Report};
use tamis_engine::stream::Command;
use tamis_engine::{Clock, Sink, SystemClock};
use tamis_model::Result;
use tamis_model::accounting::RowCounts;
use tamis_model::alert::Alert;
use tamis_model::error::Context;
use tamis_model::time::utc_date;
use tokio::runtime::Runtime;

use super::{catalog, runtime, warehouse};
use crate::home::Home;
use crate::plan::Plan;
use crate::streams::{Finished, Until};
use crate::table::{Row, grouped, print};

const JOB: &str = "streams";

/// What a topic came to, in total since the first run.
#[derive(Debug, Serialize)]
pub struct TopicRow {
    topic: String,
    records: u64,
    late: u64,
    rejected: u64,
}

impl Row for TopicRow {
    const HEAD: &'static [&'static str] = &["TOPIC", "#RECORDS", "#LATE", "#REJECTED"];

    fn cells(&self) -> Vec<String> {
        let mut cells = vec![self.topic.clone()];
        cells.extend([self.records, self.late, self.rejected].map(grouped));
        cells
    }
}

/// How often a rule fired at a severity, in total since the first run.
#[derive(Debug, Serialize)]
pub struct RuleRow {
    rule: String,
    severity: String,
    alerts: u64,
}

impl Row for RuleRow {
    const HEAD: &'static [&'static str] = &["RULE", "SEVERITY", "#ALERTS"];

    fn cells(&self) -> Vec<String> {
        vec![self.rule.clone(), self.severity.clone(), grouped(self.alerts)]
    }
}

/// The rows of a report, worst first within a rule.
pub fn rows(report: &Report) -> (Vec<TopicRow>, Vec<RuleRow>) {
    let topics = report.counts.topics.iter().map(|(topic, counts)| TopicRow {
        topic: topic.clone(),
        records: counts.records,
        late: counts.late,
        rejected: counts.refused.values().sum(),
    });
    let rules = report.counts.rules.iter().flat_map(|(rule, counts)| {
        counts.alerts.iter().rev().map(|(severity, alerts)| RuleRow {
            rule: rule.clone(),
            severity: severity.name().to_owned(),
            alerts: *alerts,
        })
    });
    (topics.collect(), rules.collect())
}

/// The command: runs until the end or an interrupt, then prints what was judged.
pub fn command(home: Home, until_end: bool, json: bool) -> Result<ExitCode> {
    let plan = Plan::new(home, None)?;
    let runtime = runtime()?;
    let until = if until_end { Until::End } else { Until::Stopped };
    let (stop, commands) = channel();
    runtime.spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            // The stream may have ended already.
            let _ = stop.send(Command::Stop);
        }
    });
    let report = run_streams(&plan, &runtime, until, Vec::new(), &commands, &mut |_| {})?;
    let (topics, rules) = rows(&report);
    print(&topics, json).and_then(|()| print(&rules, json)).outage("write to", "standard output")?;
    Ok(ExitCode::SUCCESS)
}

/// Runs the streams as a run of the catalogue, with the account of what this run read.
pub(crate) fn run_streams(
    plan: &Plan,
    runtime: &Runtime,
    until: Until,
    also: Vec<(String, Box<dyn Sink<Alert>>)>,
    commands: &Receiver<Command>,
    observer: &mut dyn FnMut(&Progress<'_>),
) -> Result<Report> {
    let (catalog, warehouse) = runtime
        .block_on(async { Ok::<_, tamis_model::Error>((catalog(&plan.home).await?, warehouse(&plan.home).await?)) })?;
    let started = SystemClock.now();
    let id = tamis_jobs::nightly::run_id(&SystemClock);
    runtime.block_on(catalog.start_run(&id, JOB, &utc_date(started), started))?;
    let result =
        crate::streams::run(plan, Arc::clone(&warehouse), runtime.handle().clone(), until, also, commands, observer);
    let end = match &result {
        Ok(_) => RunEnd { state: RunState::Succeeded, quality_score: None, error: None },
        Err(error) => RunEnd { state: RunState::Failed, quality_score: None, error: Some(error.chain()) },
    };
    runtime.block_on(async {
        if let Ok(finished) = &result {
            catalog.record_source(&id, &accounts(finished), &[]).await?;
        }
        catalog.finish_run(&id, &end, SystemClock.now()).await
    })?;
    result.map(|finished| finished.report)
}

/// For each topic what this run read: everything but the refused records was judged.
fn accounts(finished: &Finished) -> Vec<RunFile> {
    let refused = |report: &Report, topic: &str| -> (u64, u64) {
        report.counts.topics.get(topic).map_or((0, 0), |counts| (counts.records, counts.refused.values().sum()))
    };
    let account = |topic: &String| {
        let ((before_in, before_out), (rows_in, rejected)) =
            (refused(&finished.before, topic), refused(&finished.report, topic));
        let (rows_in, rejected) = (rows_in - before_in, rejected - before_out);
        RunFile {
            source: "topics".to_owned(),
            original_path: topic.clone(),
            sha256: String::new(),
            counts: RowCounts { rows_in, rows_out: rows_in - rejected, rejected, ..RowCounts::default() },
            quarantined: None,
        }
    };
    finished.report.counts.topics.keys().map(account).collect()
}
