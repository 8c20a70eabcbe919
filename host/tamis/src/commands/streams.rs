//! `tamis run streams`: judge what the topics hold.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde::Serialize;
use tamis_catalog::run_details::RunFile;
use tamis_catalog::runs::{RunEnd, RunState};
use tamis_connectors::ProcessLock;
use tamis_engine::report::{Progress, Report};
use tamis_engine::rules::Trip;
use tamis_engine::stream::Command;
use tamis_engine::{Clock, SystemClock};
use tamis_model::accounting::RowCounts;
use tamis_model::error::Context;
use tamis_model::time::utc_date;
use tamis_model::{Error, Result};
use tamis_registry::Registry;
use tokio::runtime::Handle;

use super::runtime;
use crate::home::Home;
use crate::host::Host;
use crate::plan::Plan;
use crate::signals::Signals;
use crate::streams::{Onlookers, StreamRun, Until};
use crate::table::{Row, grouped, print};

const JOB: &str = "streams";
/// Between two tries to record that a version was stopped, at least.
const TRIPS_EVERY: Duration = Duration::from_secs(1);

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

/// The command: runs until the end, SIGTERM or an interrupt, then prints what was judged.
pub fn command(home: Home, kafka: Option<String>, until_end: bool, json: bool) -> Result<ExitCode> {
    let runtime = runtime()?;
    let plan = Plan::new(home, None)?.with_brokers(kafka)?;
    if plan.kafka.as_ref().is_some_and(|kafka| kafka.shared) {
        let reason =
            "the hosts of the group share them (shared, under [kafka]): `tamis serve` and `tamis worker` run them";
        return Err(Error::invalid("run", "all streams", reason));
    }
    let host = runtime.block_on(Host::open(plan))?;
    let until = if until_end { Until::End } else { Until::Stopped };
    let held = lock(&host.plan.home)?;
    let (stop, commands) = channel();
    let mut signals = runtime.block_on(async { Signals::listen() })?;
    runtime.spawn(async move {
        signals.came().await;
        // The stream may have ended already.
        let _ = stop.send(Command::Stop);
    });
    let report = run_streams(&host, &held, runtime.handle(), until, Onlookers::default(), &commands, &mut |_| {})?;
    let (topics, rules) = rows(&report);
    print(&topics, json).and_then(|()| print(&rules, json)).outage("write to", "standard output")?;
    Ok(ExitCode::SUCCESS)
}

/// The right to run the streams of a home. One process has it at a time: a second one would share its checkpoints, and would record it as
/// dead.
pub(crate) fn lock(home: &Home) -> Result<ProcessLock> {
    ProcessLock::acquire(&home.root().join("streams.lock"), "another run is at work")
}

/// Runs the streams with the rules that the registry has now, as a run of the catalogue, with the account of what this run read, while the
/// home's `lock` is held. Must not be called on a thread of `runtime`.
pub(crate) fn run_streams(
    host: &Host,
    _held: &ProcessLock,
    runtime: &Handle,
    until: Until,
    onlookers: Onlookers,
    commands: &Receiver<Command>,
    observer: &mut dyn FnMut(&Progress<'_>),
) -> Result<Report> {
    let Host { plan, registry, warehouse, influx, decisions } = host;
    let catalog = registry.catalog();
    let rules = runtime.block_on(registry.rule_set())?;
    let started = SystemClock.now();
    let id = tamis_jobs::nightly::run_id(&SystemClock);
    runtime.block_on(catalog.start_run(&id, JOB, &utc_date(started), started))?;
    let (mut trips, mut revision) = (Trips::new(registry, runtime), None);
    let observe = &mut |progress: &Progress<'_>| {
        trips.record(progress.trips);
        if revision != Some(progress.report.revision) {
            revision = Some(progress.report.revision);
            let tried = progress.rules().into_iter().filter(|gauge| gauge.trial && gauge.tripped.is_none());
            registry.set_tried(tried.map(|gauge| (gauge.rule, gauge.version)));
        }
        observer(progress);
    };
    let run = StreamRun { plan, rules, until, onlookers, influx: influx.clone(), decisions: decisions.clone() };
    let result = run.run(Arc::clone(warehouse), runtime.clone(), commands, observe).and_then(|finished| {
        runtime.block_on(catalog.record_source(&id, &accounts(&finished.before, &finished.report), &[]))?;
        Ok(finished.report)
    });
    registry.set_tried([]);
    trips.record_all();
    let end = match &result {
        Ok(_) => RunEnd { state: RunState::Succeeded, quality_score: None, error: None },
        Err(error) => RunEnd { state: RunState::Failed, quality_score: None, error: Some(error.chain()) },
    };
    let closed = runtime.block_on(catalog.finish_run(&id, &end, SystemClock.now()));
    match (result, closed) {
        (Err(error), _) | (Ok(_), Err(error)) => Err(error),
        (Ok(report), Ok(())) => Ok(report),
    }
}

/// The versions that the engine has stopped, until the registry has heard of them. It says so again after a restart, but not before.
struct Trips<'a> {
    registry: &'a Registry,
    runtime: &'a Handle,
    waiting: Vec<Trip>,
    again_at: Instant,
}

impl<'a> Trips<'a> {
    fn new(registry: &'a Registry, runtime: &'a Handle) -> Self {
        Self { registry, runtime, waiting: Vec::new(), again_at: Instant::now() }
    }

    /// Records new ones at once, and those that could not be recorded now and then.
    fn record(&mut self, new: &[Trip]) {
        for trip in new {
            let what = |trip: &Trip| (trip.rule.clone(), trip.version, trip.trial);
            self.waiting.retain(|waiting| what(waiting) != what(trip));
            self.waiting.push(trip.clone());
        }
        if !new.is_empty() || (!self.waiting.is_empty() && Instant::now() >= self.again_at) {
            self.record_all();
        }
    }

    fn record_all(&mut self) {
        let began = Instant::now();
        self.waiting.retain(|trip| {
            let recorded = self.runtime.block_on(self.registry.record_trip(trip, SystemClock.now()));
            recorded.is_err_and(|error| {
                tracing::error!("{}", error.chain());
                error.can_retry()
            })
        });
        // The stream stands still meanwhile: it must not wait for a lock most of its time.
        self.again_at = Instant::now() + TRIPS_EVERY.max(began.elapsed() * 10);
    }
}

/// For each topic what was read since `before`: everything but the refused records was judged.
pub(super) fn accounts(before: &Report, report: &Report) -> Vec<RunFile> {
    let refused = |report: &Report, topic: &str| -> (u64, u64) {
        report.counts.topics.get(topic).map_or((0, 0), |counts| (counts.records, counts.refused.values().sum()))
    };
    let account = |topic: &String| {
        let ((before_in, before_out), (rows_in, rejected)) = (refused(before, topic), refused(report, topic));
        let (rows_in, rejected) = (rows_in - before_in, rejected - before_out);
        RunFile {
            source: "topics".to_owned(),
            original_path: topic.clone(),
            sha256: String::new(),
            counts: RowCounts { rows_in, rows_out: rows_in - rejected, rejected, ..RowCounts::default() },
            quarantined: None,
        }
    };
    report.counts.topics.keys().map(account).collect()
}

#[cfg(test)]
mod tests {
    use tamis_catalog::plugins::Build;
    use tamis_catalog::rule_versions::{FailurePolicy, NewVersion, OnStateChange, VersionContent, VersionStep};
    use tamis_catalog::rules::RuleStep;
    use tamis_catalog::runs::Run;
    use tamis_catalog::{Actor, Catalog, Change};
    use tamis_model::Kind;
    use tokio::runtime::Runtime;

    use super::*;

    /// A home without plugins.
    fn host(folder: &tempfile::TempDir, runtime: &Runtime) -> Host {
        let plan = Plan::new(Home::new(folder.path()), Some(b"pepper")).unwrap();
        runtime.block_on(Host::open(plan)).unwrap()
    }

    fn run(host: &Host, runtime: &Runtime) -> Result<Report> {
        let (_keep, commands) = channel();
        run_streams(
            host,
            &lock(&host.plan.home)?,
            runtime.handle(),
            Until::End,
            Onlookers::default(),
            &commands,
            &mut |_| {},
        )
    }

    fn runs(host: &Host, runtime: &Runtime) -> Vec<Run> {
        runtime.block_on(host.catalog().runs(10)).unwrap()
    }

    #[test]
    fn a_second_process_leaves_the_run_that_is_at_work_alone() {
        let (folder, runtime) = (tempfile::tempdir().unwrap(), runtime().unwrap());
        let host = host(&folder, &runtime);
        let lock = ProcessLock::acquire(&folder.path().join("streams.lock"), "the test is at work").unwrap();
        runtime.block_on(host.catalog().start_run("01-a", JOB, "2026-03-20", 0)).unwrap();
        let error = run(&host, &runtime).unwrap_err();
        assert_eq!(error.kind(), Kind::Outage);
        let expected = format!("streams.lock: another run is at work (process {})", std::process::id());
        assert!(error.chain().ends_with(&expected), "{}", error.chain());
        let states: Vec<_> = runs(&host, &runtime).iter().map(|run| run.state).collect();
        assert_eq!(states, [RunState::Running]);
        drop(lock);
        run(&host, &runtime).unwrap();
        let states: Vec<_> = runs(&host, &runtime).iter().map(|run| run.state).collect();
        assert_eq!(states, [RunState::Succeeded, RunState::Failed], "the lock is free: the run before has died");
    }

    /// A rule of the catalogue whose version 1 is active; its plugin has no bytes.
    async fn activate(catalog: &Catalog, rule: &str) -> Result<()> {
        let (author, other) = (Actor::local(), Actor::system());
        let change = Change { actor: &author, why: Some("a test"), at: 1 };
        let text = r#"{"name": "a", "version": "1.0.0", "title": "A test", "world": "rule"}"#;
        let manifest = serde_json::from_str(text).expect("it is a manifest");
        let plugin_sha256 = "a".repeat(64);
        catalog.begin_upload(&plugin_sha256, 1, &change).await?;
        catalog.finish_upload(&plugin_sha256, Build::Ready(Box::new(manifest)), 1).await?;
        let content = VersionContent {
            plugin: "a".to_owned(),
            plugin_version: "1.0.0".to_owned(),
            plugin_sha256,
            config: serde_json::Map::new(),
            route: None,
            on_failure: FailurePolicy::DeadLetter,
            on_state_change: OnStateChange::Keep,
        };
        catalog.create_rule(rule, &NewVersion { content, based_on: None }, &change).await?;
        catalog.change_version(rule, 1, VersionStep::Submit, None, &change).await?;
        catalog.change_version(rule, 1, VersionStep::Approve, None, &Change { actor: &other, ..change }).await?;
        catalog.change_rule(rule, &RuleStep::Activate { version: 1 }, None, &change).await.map(drop)
    }

    #[test]
    fn that_a_version_was_stopped_is_recorded_when_the_database_has_room_again() {
        let (folder, runtime) = (tempfile::tempdir().unwrap(), runtime().unwrap());
        let host = host(&folder, &runtime);
        runtime.block_on(activate(host.catalog(), "a")).unwrap();
        let database = format!("sqlite:{}", host.plan.home.metadata().display());
        let execute = |statement: &'static str| {
            runtime.block_on(async {
                let database = sqlx::SqlitePool::connect(&database).await.unwrap();
                sqlx::query(statement).execute(&database).await.unwrap();
            });
        };
        execute("CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT raise(ABORT, 'no room'); END");
        let mut trips = Trips::new(&host.registry, runtime.handle());
        let trip = Trip { rule: "a".to_owned(), version: 1, trial: false, reason: "it failed".to_owned() };
        let is_disabled = || runtime.block_on(host.catalog().rule("a")).unwrap().unwrap().pointers.disabled;
        trips.record(std::slice::from_ref(&trip));
        trips.record(&[trip]);
        assert_eq!((trips.waiting.len(), is_disabled()), (1, false));
        execute("DROP TRIGGER full");
        trips.record(&[]);
        assert!(!is_disabled(), "it waits between two tries");
        trips.again_at = Instant::now();
        trips.record(&[]);
        assert_eq!((trips.waiting.len(), is_disabled()), (0, true));
        let missing = Trip { rule: "gone".to_owned(), version: 1, trial: false, reason: String::new() };
        trips.record(&[missing]);
        assert_eq!(trips.waiting, [], "what can never be recorded is not kept");
    }

    #[test]
    fn a_run_that_fails_is_recorded_with_its_own_error() {
        let (folder, runtime) = (tempfile::tempdir().unwrap(), runtime().unwrap());
        let host = host(&folder, &runtime);
        // Something stands where the checkpoints belong.
        std::fs::write(folder.path().join("checkpoints"), "").unwrap();
        let error = run(&host, &runtime).unwrap_err();
        let runs = runs(&host, &runtime);
        assert_eq!(runs.len(), 1);
        assert_eq!((runs[0].state, runs[0].error.as_ref()), (RunState::Failed, Some(&error.chain())));
    }
}
