//! `tamis replay`: a stretch of the topics through rules once more.

mod outputs;

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::mpsc::channel;

use clap::Args;
use serde::Serialize;
use tamis_catalog::runs::{RunEnd, RunState};
use tamis_connectors::ProcessLock;
use tamis_connectors::lake::ArchiveReader;
use tamis_connectors::topics::{Edge, Stretch};
use tamis_engine::report::Report;
use tamis_engine::rules::{OnFailure, Role, RulePlan, RuleSet};
use tamis_engine::stream::{Stream, StreamParts, StreamSettings};
use tamis_engine::{Clock, Decisions, Source, SystemClock};
use tamis_jobs::replay::{UpTo, Written};
use tamis_model::error::Context;
use tamis_model::time::utc_date;
use tamis_model::{Error, Kind, Result};
use tokio::runtime::Handle;

use self::outputs::Outputs;
use super::streams::accounts;
use super::{existing, lock_streams, runtime, stream_rows};
use crate::home::Home;
use crate::host::Host;
use crate::plan::Plan;
use crate::table::{Row, grouped, print};

/// The job, and the writer of what it writes.
const JOB: &str = "replay";

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
    /// `shadow`: alerts of shadow mode, apart from all others; `topic:NAME`: that topic alone, made when there is none; `routes`: where the rules' alerts go live.
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
pub fn command(home: Home, kafka: Option<String>, arguments: &ReplayArguments, json: bool) -> Result<ExitCode> {
    let refuse = |why: &str| Err(Error::invalid("replay", "the rules", why));
    if arguments.into == Into::Routes && !arguments.yes {
        return refuse("people act on what is in the routes: say --yes");
    }
    if arguments.version.is_some() && arguments.rules.len() > 1 {
        return refuse("a version is that of one rule");
    }
    let runtime = runtime()?;
    let plan = Plan::new(existing(&home)?, None)?.with_brokers(kafka)?;
    if arguments.into == Into::Routes && plan.kafka.as_ref().is_some_and(|kafka| kafka.shared) {
        return refuse("hosts of a group share the streams (shared, under [kafka]), and their routes are theirs");
    }
    let host = runtime.block_on(Host::open(plan))?;
    let rules = runtime.block_on(rules(&host, arguments))?;
    let _held = ProcessLock::acquire(&home.root().join("replay.lock"), "another replay is at work")?;
    let started = SystemClock.now();
    let id = tamis_jobs::nightly::run_id(&SystemClock);
    runtime.block_on(host.catalog().start_run(&id, JOB, &utc_date(started), started))?;
    let replay = Replay { host: &host, arguments, rules, runtime: runtime.handle(), id: &id };
    let result = replay.run().and_then(|(report, places)| {
        runtime.block_on(host.catalog().record_source(&id, &accounts(&Report::default(), &report), &[]))?;
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

struct Replay<'a> {
    host: &'a Host,
    arguments: &'a ReplayArguments,
    rules: RuleSet,
    runtime: &'a Handle,
    /// Of the run.
    id: &'a str,
}

impl Replay<'_> {
    fn run(&self) -> Result<(Report, Vec<PlaceRow>)> {
        let plan = &self.host.plan;
        // The routes are the streams' while they run.
        let _routes = (self.arguments.into == Into::Routes).then(|| lock_streams(&plan.home)).transpose()?;
        // What cannot be read is said before anything is made or taken over.
        let source = self.source()?;
        let Outputs { sinks, checkpoints, places, judged } = self.outputs()?;
        let source = match judged {
            Some(positions) => Box::new(UpTo::new(source, positions)) as Box<dyn Source>,
            None => source,
        };
        let mut stream = Stream::open(StreamParts {
            settings: StreamSettings {
                rows_max: plan.config.streams.rows_max,
                checkpoint_interval_ms: i64::try_from(plan.checkpoint_interval_ms()).unwrap_or(i64::MAX),
                bounded: true,
                ..StreamSettings::default()
            },
            source,
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
        let (plan, ReplayArguments { from, to, .. }) = (&self.host.plan, self.arguments);
        let read = self.rules.rules.iter().flat_map(|plan| &plan.manifest.inputs);
        let read: BTreeSet<String> = read.filter_map(|input| input.topic.clone()).collect();
        let topics = match self.arguments.topics.is_empty() {
            true => read.into_iter().collect(),
            false => self.arguments.topics.clone(),
        };
        let known = |topic: &String| plan.schemas.iter().any(|schema| schema.name == *topic);
        if let Some(unknown) = topics.iter().find(|topic| !known(topic)) {
            return Err(Error::new(Kind::Missing, "replay topic", unknown).because("there is no schema of it"));
        }
        if !self.arguments.archive {
            return plan.topics().stretch(&topics, *from, *to);
        }
        let archive = ArchiveReader::find(&plan.home.lake().join("bronze"), &topics)?;
        Ok(Box::new(Stretch::new(Box::new(archive), *from, *to)))
    }
}
