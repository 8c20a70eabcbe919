//! `tamis replay`: a stretch of the topics through rules once more.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use tamis_catalog::run_details::RunFile;
use tamis_catalog::runs::{RunEnd, RunState};
use tamis_connectors::lake::ArchiveReader;
use tamis_connectors::topics::{ReaderSettings, TopicOverview, has_owner, overview};
use tamis_connectors::{AlertFiles, AlertRows, FileCheckpoints, ProcessLock, TopicReader, TopicWriter};
use tamis_engine::memory::MemoryCheckpoints;
use tamis_engine::report::Report;
use tamis_engine::rules::{OnFailure, Role, RulePlan, RuleSet};
use tamis_engine::stream::{Stream, StreamParts, StreamSettings};
use tamis_engine::{CheckpointStore, Clock, Decisions, Sink, Sinks, Source, SystemClock, Unstaged};
use tamis_jobs::replay::{Edge, Graft, Known, Redirected, Stretch, Written};
use tamis_model::accounting::RowCounts;
use tamis_model::aggregate::AggregateRow;
use tamis_model::alert::Alert;
use tamis_model::error::Context;
use tamis_model::time::utc_date;
use tamis_model::{Error, Kind, Result};
use tokio::runtime::Handle;

use super::{existing, lock_streams, runtime, stream_rows};
use crate::home::Home;
use crate::host::Host;
use crate::plan::Plan;
use crate::streams::{PIPELINE, writer_settings};
use crate::table::{Row, grouped, print};

/// The job, and the writer of what it writes.
const JOB: &str = "replay";
/// The topic of what is replayed in shadow mode; that of shadow alerts belongs to the streams.
const SHADOW_TOPIC: &str = "shadow_alerts_replay";

/// What is replayed, and into what.
#[derive(Args, Debug)]
pub struct ReplayArguments {
    /// A topic to read; by default those that the rules read. Can be repeated.
    #[arg(long = "topic", value_name = "TOPIC")]
    pub topics: Vec<String>,
    /// Where to begin: @TIME, +N or -N; by default at the beginning.
    #[arg(long, value_name = "EDGE", allow_hyphen_values = true)]
    pub from: Option<Edge>,
    /// Where to end, not included; by default at the end.
    #[arg(long, value_name = "EDGE", allow_hyphen_values = true)]
    pub to: Option<Edge>,
    /// Read the archive in Bronze, not the topics.
    #[arg(long)]
    pub archive: bool,
    /// A rule; by default all that are active. Can be repeated.
    #[arg(long = "rule", value_name = "RULE")]
    pub rules: Vec<String>,
    /// This version of the rule, not the active one.
    #[arg(long, value_name = "N", requires = "rules")]
    pub version: Option<u32>,
    /// `shadow`: alerts of shadow mode, apart from all others; `topic:NAME`: that topic alone; `routes`: where the rules' alerts go live.
    #[arg(long, default_value = "shadow", value_name = "TARGET")]
    pub into: Into,
    /// People act on what is in the routes: say that it is meant.
    #[arg(long)]
    pub yes: bool,
}

/// Where alerts go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Into {
    /// With an identity of shadow mode, to a topic, the lake and the warehouse.
    Shadow,
    /// To one topic alone.
    Topic(String),
    /// Where they go live, as far as they are missing.
    Routes,
}

impl FromStr for Into {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.strip_prefix("topic:")) {
            ("shadow", _) => Ok(Self::Shadow),
            ("routes", _) => Ok(Self::Routes),
            (_, Some(topic)) if !topic.is_empty() => Ok(Self::Topic(topic.to_owned())),
            _ => Err("expected shadow, topic:NAME or routes".to_owned()),
        }
    }
}

/// How many alerts went to a place.
#[derive(Debug, Serialize)]
struct PlaceRow {
    place: &'static str,
    written: u64,
    there_already: u64,
}

impl Row for PlaceRow {
    const HEAD: &'static [&'static str] = &["ALERTS IN", "#WRITTEN", "#THERE ALREADY"];

    fn cells(&self) -> Vec<String> {
        vec![self.place.to_owned(), grouped(self.written), grouped(self.there_already)]
    }
}

/// The command.
pub fn command(home: Home, arguments: &ReplayArguments, json: bool) -> Result<ExitCode> {
    let refuse = |why: &str| Err(Error::invalid("replay", "the rules", why));
    if arguments.into == Into::Routes && !arguments.yes {
        return refuse("people act on what is in the routes: say --yes");
    }
    if arguments.version.is_some() && arguments.rules.len() > 1 {
        return refuse("a version is that of one rule");
    }
    let runtime = runtime()?;
    let host = runtime.block_on(Host::open(Plan::new(existing(&home)?, None)?))?;
    let rules = runtime.block_on(rules(&host, arguments))?;
    let _held = ProcessLock::acquire(&home.root().join("replay.lock"), "another replay is at work")?;
    let started = SystemClock.now();
    let id = tamis_jobs::nightly::run_id(&SystemClock);
    runtime.block_on(host.catalog().start_run(&id, JOB, &utc_date(started), started))?;
    let replay = Replay { host: &host, arguments, rules, runtime: runtime.handle() };
    let result = replay.run().and_then(|(report, places)| {
        runtime.block_on(host.catalog().record_source(&id, &accounts(&report), &[]))?;
        Ok((report, places))
    });
    let (state, error) = match &result {
        Ok(_) => (RunState::Succeeded, None),
        Err(error) => (RunState::Failed, Some(error.chain())),
    };
    let end = RunEnd { state, quality_score: None, error };
    let closed = runtime.block_on(host.catalog().finish_run(&id, &end, SystemClock.now()));
    let (report, places) = result?;
    closed?;
    let (topics, rules) = stream_rows(&report);
    let printed = print(&topics, json).and_then(|()| print(&rules, json)).and_then(|()| print(&places, json));
    printed.outage("write to", "standard output")?;
    Ok(ExitCode::SUCCESS)
}

/// What is put to work: alone, whatever runs live.
async fn rules(host: &Host, arguments: &ReplayArguments) -> Result<RuleSet> {
    let role = if arguments.into == Into::Shadow { Role::Shadow } else { Role::Active };
    let alone = |plan: RulePlan| Arc::new(RulePlan { role, on_failure: OnFailure::DeadLetter, ..plan });
    if let (Some(version), [rule]) = (arguments.version, &arguments.rules[..]) {
        let plan = host.registry.version_plan(rule, version, role).await?;
        return Ok(RuleSet { revision: 0, rules: vec![alone(plan)] });
    }
    let running = host.registry.rule_set().await?.rules;
    let active: Vec<_> = running.into_iter().filter(|plan| plan.role == Role::Active).collect();
    let is_active = |name: &&String| active.iter().any(|plan| plan.name == **name);
    if let Some(unknown) = arguments.rules.iter().find(|name| !is_active(name)) {
        return Err(Error::new(Kind::Missing, "replay rule", unknown).because("no version of it is active"));
    }
    let wanted = |plan: &Arc<RulePlan>| arguments.rules.is_empty() || arguments.rules.contains(&plan.name);
    let rules = active.iter().filter(|plan| wanted(plan)).map(|plan| alone(RulePlan::clone(plan))).collect();
    Ok(RuleSet { revision: 0, rules })
}

/// Where alerts go, what is kept of that, and what is counted of each place.
struct Outputs {
    sinks: Sinks,
    checkpoints: Box<dyn CheckpointStore>,
    places: Vec<(&'static str, Written)>,
}

struct Replay<'a> {
    host: &'a Host,
    arguments: &'a ReplayArguments,
    rules: RuleSet,
    runtime: &'a Handle,
}

impl Replay<'_> {
    fn run(&self) -> Result<(Report, Vec<PlaceRow>)> {
        let plan = &self.host.plan;
        // The routes are the streams' while they run.
        let _routes = (self.arguments.into == Into::Routes).then(|| lock_streams(&plan.home)).transpose()?;
        let Outputs { sinks, checkpoints, places } = self.outputs()?;
        let mut stream = Stream::open(StreamParts {
            settings: StreamSettings {
                rows_max: plan.config.streams.rows_max,
                bounded: true,
                ..StreamSettings::default()
            },
            source: Box::new(Stretch::new(self.source()?, self.arguments.from, self.arguments.to)),
            schemas: plan.schemas.clone(),
            rules: self.rules.clone(),
            sinks,
            checkpoints,
            clock: Arc::new(SystemClock),
            decisions: Decisions::default(),
        })?;
        let (_keep, commands) = channel();
        let report = stream.run(&commands, &mut |_| {})?;
        let row = |(place, written): (&'static str, Written)| {
            let counts = *written.lock().expect("nobody panics with it");
            PlaceRow { place, written: counts.written, there_already: counts.there }
        };
        Ok((report, places.into_iter().map(row).collect()))
    }

    fn source(&self) -> Result<Box<dyn Source>> {
        let home = &self.host.plan.home;
        let read = self.rules.rules.iter().flat_map(|plan| &plan.manifest.inputs);
        let read: BTreeSet<String> = read.filter_map(|input| input.topic.clone()).collect();
        let topics = match self.arguments.topics.is_empty() {
            true => read.into_iter().collect(),
            false => self.arguments.topics.clone(),
        };
        let known = |topic: &String| self.host.plan.schemas.iter().any(|schema| schema.name == *topic);
        if let Some(unknown) = topics.iter().find(|topic| !known(topic)) {
            return Err(Error::new(Kind::Missing, "replay topic", unknown).because("there is no schema of it"));
        }
        Ok(match self.arguments.archive {
            true => Box::new(ArchiveReader::find(&home.lake().join("bronze"), &topics)?),
            false => Box::new(TopicReader::new(home.topics(), ReaderSettings::new(topics).until_end())?),
        })
    }

    /// A topic is its own that is new, or that a replay has begun.
    fn refuse_what_is_not_its_own(&self, topic: &str) -> Result<()> {
        let plan = &self.host.plan;
        let refuse = |why: &str| Err(Error::invalid("replay into topic", topic, why));
        if plan.schemas.iter().any(|schema| schema.name == topic) {
            return refuse("rules read it");
        }
        let is_foreign = |found: &TopicOverview| {
            let has_records = found.partitions.iter().any(|partition| partition.next_offset > partition.first_offset);
            found.topic == topic && has_records
        };
        let folder = plan.home.topics();
        if !has_owner(&folder, topic)? && overview(&folder)?.iter().any(is_foreign) {
            return refuse("it has records that no replay has written");
        }
        Ok(())
    }

    fn outputs(&self) -> Result<Outputs> {
        let (plan, into) = (&self.host.plan, &self.arguments.into);
        let writer = if *into == Into::Routes { PIPELINE } else { JOB };
        let mut records = TopicWriter::open(plan.home.topics(), writer, writer_settings(plan))?;
        let folder = plan.home.lake().join("alerts");
        let mut lake = AlertFiles::open(&folder, writer, plan.pepper.clone(), Duration::ZERO)?;
        let warehouse = Arc::clone(&self.host.warehouse);
        let mut rows = AlertRows::new(warehouse, self.runtime.clone(), writer, plan.pepper.clone());
        let checkpoints: Box<dyn CheckpointStore> = match into {
            Into::Shadow | Into::Topic(_) => Box::new(MemoryCheckpoints::new()),
            Into::Routes => {
                let graft = Graft::new(FileCheckpoints::open(plan.home.checkpoints(PIPELINE))?)?;
                let commit = |name: &str, commit: &mut dyn FnMut(&serde_json::Value) -> Result<()>| {
                    graft.staged(name).map_or(Ok(()), commit)
                };
                commit("records", &mut |staged| records.commit(staged))?;
                commit("alerts/lake", &mut |staged| lake.commit(staged))?;
                commit("alerts/warehouse", &mut |staged| rows.commit(staged))?;
                // What is gathered is among the files that are compared with.
                lake.settle(tamis_engine::Settle::All)?;
                Box::new(graft)
            }
        };
        if let Into::Topic(topic) = into {
            self.refuse_what_is_not_its_own(topic)?;
        }
        let topic = match into {
            Into::Shadow => Some(SHADOW_TOPIC.to_owned()),
            Into::Topic(topic) => Some(topic.clone()),
            Into::Routes => None,
        };
        let mut in_topics = Known::default();
        for topic in topic.iter().chain(self.rules.rules.iter().map(|plan| &plan.route).filter(|_| topic.is_none())) {
            in_topics.in_topic(&plan.home.topics(), topic)?;
        }
        let mut places = vec![("topics", Written::default())];
        let records = Redirected { sink: records, known: in_topics, topic, written: Arc::clone(&places[0].1) };
        let mut alerts: Vec<(String, Box<dyn Sink<Alert>>)> = Vec::new();
        if !matches!(into, Into::Topic(_)) {
            let mut known = Known::default();
            self.rules.rules.iter().try_for_each(|plan| known.in_lake(&folder, &plan.name))?;
            let written = Written::default();
            places.push(("lake", Arc::clone(&written)));
            alerts.push(("lake".to_owned(), Box::new(Redirected { sink: lake, known, topic: None, written })));
            // It takes each id once by itself.
            alerts.push(("warehouse".to_owned(), Box::new(rows)));
        }
        // Rows of aggregates have no identity by which they could be written once.
        let aggregates: Box<dyn Sink<AggregateRow>> = Box::new(Unstaged(|_: &[AggregateRow]| Ok(())));
        let sinks = Sinks { records: Box::new(records), alerts, aggregates: Some(aggregates) };
        Ok(Outputs { sinks, checkpoints, places })
    }
}

/// For each topic what was read: everything but the refused records was judged.
fn accounts(report: &Report) -> Vec<RunFile> {
    let account = |(topic, counts): (&String, &tamis_engine::report::TopicCounts)| {
        let (rows_in, rejected) = (counts.records, counts.refused.values().sum());
        RunFile {
            source: "topics".to_owned(),
            original_path: topic.clone(),
            sha256: String::new(),
            counts: RowCounts { rows_in, rows_out: rows_in - rejected, rejected, ..RowCounts::default() },
            quarantined: None,
        }
    };
    report.counts.topics.iter().map(account).collect()
}
