//! One rule is replaced while the day's events flow.
//!
//! The new version says the same as the old one, so that a second run of the demo raises the same alerts; that it took over shows in
//! the alerts' `rule_version`.

use std::sync::mpsc::{Sender, channel};
use std::time::Instant;

use tamis_catalog::rule_versions::VersionStep;
use tamis_catalog::rules::RuleStep;
use tamis_catalog::{Actor, Change};
use tamis_engine::report::Progress;
use tamis_engine::{Clock, Command, SystemClock};
use tamis_model::{Error, Result};
use tamis_registry::Draft;
use tokio::runtime::Handle;

use crate::host::Host;
use crate::table::grouped;

const RULE: &str = "card-testing";
/// How many records are judged before.
const RECORDS_BEFORE: u64 = 15_000;

/// Replaces the rule, once there were enough records.
pub(super) struct Switch<'a> {
    host: &'a Host,
    runtime: &'a Handle,
    commands: Sender<Command>,
    stage: Stage,
}

/// How far it is.
enum Stage {
    Waiting,
    /// The stream was told at this time, and answers here.
    Told(Instant, std::sync::mpsc::Receiver<Result<()>>, u32),
    /// What is to be said of it.
    Done(String),
}

impl<'a> Switch<'a> {
    pub fn new(host: &'a Host, runtime: &'a Handle, commands: Sender<Command>) -> Self {
        Self { host, runtime, commands, stage: Stage::Waiting }
    }

    /// Sees a step of the stream.
    pub fn observe(&mut self, progress: &Progress<'_>) -> Result<()> {
        let records: u64 = progress.report.counts.topics.values().map(|counts| counts.records).sum();
        match &self.stage {
            Stage::Waiting if records >= RECORDS_BEFORE => self.stage = self.tell()?,
            Stage::Told(since, answer, version) => {
                if let Ok(swapped) = answer.try_recv() {
                    swapped?;
                    let judged = progress.report.counts.rules.get(RULE).map_or(0, |counts| counts.judged);
                    self.stage = Stage::Done(format!(
                        "While events flowed, version {version} of {RULE} took over: {} payments were judged before it, all others \
                         by it, none twice. The switch took {:.1} ms.",
                        grouped(judged),
                        since.elapsed().as_secs_f64() * 1e3,
                    ));
                }
            }
            Stage::Waiting | Stage::Done(_) => {}
        }
        Ok(())
    }

    /// What is to be said of it; nothing when the stream ended before.
    pub fn said(self) -> Option<String> {
        match self.stage {
            Stage::Done(text) => Some(text),
            Stage::Waiting | Stage::Told(..) => None,
        }
    }

    /// Somebody writes a version, somebody else approves it, and it is put to work.
    fn tell(&self) -> Result<Stage> {
        let registry = &self.host.registry;
        let person = |name: &str| Actor { subject: name.to_owned(), token_id: None };
        let (analyst, reviewer) = (person("analyst"), person("reviewer"));
        let written = Change { actor: &analyst, why: Some("the demo replaces a rule"), at: SystemClock.now() };
        let reviewed = Change { actor: &reviewer, ..written };
        let (version, rules) = self.runtime.block_on(async {
            let version = registry.create_version(RULE, &Draft::default(), &written).await?.number;
            let catalog = registry.catalog();
            catalog.change_version(RULE, version, VersionStep::Submit, None, &written).await?;
            catalog.change_version(RULE, version, VersionStep::Approve, None, &reviewed).await?;
            registry.change_rule(RULE, &RuleStep::Activate { version }, None, &written).await?;
            Ok::<_, Error>((version, registry.rule_set().await?))
        })?;
        let (reply, answer) = channel();
        // Nobody listens any more when the stream has ended.
        let reply = Box::new(move |result| drop(reply.send(result)));
        let since = Instant::now();
        // A stream that has ended needs no other rules.
        let _ = self.commands.send(Command::Rules(rules, reply));
        Ok(Stage::Told(since, answer, version))
    }
}
