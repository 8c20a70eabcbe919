//! Taking checkpoints and going on from them.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tamis_model::Result;
use tamis_model::error::Context as _;
use tamis_model::position::Positions;

use super::Stream;
use crate::checkpoint::{Checkpoint, Keyed, KeyedState};
use crate::kept::{Author, Kept};
use crate::report::{Report, timed};
use crate::roster::{Before, Refused};
use crate::rules::{RuleSet, Trip};
use crate::sink::Settle;
use crate::watermark::TopicTime;

const REPORT: &str = "report";
const TIMES: &str = "times";
/// The owner of the ids of recent alerts.
pub(super) const RECENT_ALERTS: &str = "recent_alerts";
/// What the names of rules' versions begin with.
pub(super) const RULE_STATE: &str = "rule/";

fn rule_state(author: &Author) -> String {
    format!("{RULE_STATE}{}/{}", author.rule, author.version)
}

/// The owner of a version's keys: a name that stays when another version takes them over, so that nothing has to be written again.
pub(super) fn rule_keys(kept: &Kept) -> String {
    format!("keys/{}/{}", kept.author.rule, kept.line.unwrap_or_default())
}

impl Stream {
    /// A tick: take what changed of state → stage sinks → save checkpoint → commit sinks → settle what is due → release source.
    pub(super) fn checkpoint(&mut self) -> Result<()> {
        let mut spent_ns = 0;
        timed(&mut spent_ns, || self.tick())?;
        self.report.spent.checkpoints_ns += spent_ns;
        self.meters.checkpoints.record_ns(spent_ns);
        self.checkpointed_at = self.clock.now();
        self.changed = false;
        self.runs.iter_mut().for_each(|run| run.has_spoken = false);
        Ok(())
    }

    fn tick(&mut self) -> Result<()> {
        let keyed = self.take_changes();
        let state = self.snapshot()?;
        let staged = self.sinks.stage()?;
        let number = self.checkpoint_number;
        let positions = self.noted_positions();
        let checkpoint = Checkpoint { number, positions, staged, state, keyed };
        self.checkpoints.save(&checkpoint)?;
        self.checkpoint_number += 1;
        self.sinks.commit(&checkpoint.staged)?;
        self.noted = checkpoint.positions;
        self.sinks.settle(Settle::Due)?;
        self.source.release(&self.noted)
    }

    /// The positions, with what the source notes.
    pub(super) fn noted_positions(&self) -> Positions {
        let mut positions = self.positions.clone();
        self.source.note(&mut positions);
        positions
    }

    /// What the next checkpoint says of keyed state; it counts as said from now on.
    fn take_changes(&mut self) -> BTreeMap<String, Keyed> {
        self.name_lines();
        let kept = self.runs.iter_mut().map(|run| &mut run.kept).chain(&mut self.resting);
        let rules = kept.map(|kept| (rule_keys(kept), &mut kept.states as &mut dyn KeyedState));
        let recent: &mut dyn KeyedState = &mut self.outbox.recent;
        let mut owners: Vec<_> = rules.chain([(RECENT_ALERTS.to_owned(), recent)]).collect();
        let mut said: Vec<Keyed> = owners.iter_mut().map(|(_, state)| state.take_changes()).collect();
        // As much is repeated as has changed, dealt out by the number of keys: all rounds take about as long, and an owner that changes
        // little does not hold what others said meanwhile.
        let changed: u64 = said.iter().filter(|keyed| !keyed.whole).map(|keyed| keyed.changes.len()).sum();
        let keys: usize = owners.iter().map(|(_, state)| state.keys()).sum();
        for ((_, state), keyed) in owners.iter_mut().zip(&mut said).filter(|(_, keyed)| !keyed.whole) {
            let share = (changed * state.keys() as u64).div_ceil(keys.max(1) as u64);
            state.repeat(share, keyed);
        }
        owners.into_iter().map(|(owner, _)| owner).zip(said).collect()
    }

    /// Gives a number to whoever has keys of its own and none yet.
    fn name_lines(&mut self) {
        let mut last: BTreeMap<String, u32> = BTreeMap::new();
        for kept in self.kept() {
            let line = last.entry(kept.author.rule.clone()).or_default();
            *line = kept.line.unwrap_or(0).max(*line);
        }
        for kept in self.runs.iter_mut().map(|run| &mut run.kept).chain(&mut self.resting) {
            kept.line.get_or_insert_with(|| {
                let line = last.entry(kept.author.rule.clone()).or_default();
                *line += 1;
                *line
            });
        }
    }

    /// What versions have that outlives their code.
    fn kept(&self) -> impl Iterator<Item = &Kept> {
        self.runs.iter().map(|run| &run.kept).chain(&self.resting)
    }

    fn snapshot(&self) -> Result<BTreeMap<String, Vec<u8>>> {
        let times: BTreeMap<&str, &TopicTime> =
            self.plan.topics.iter().map(|topic| topic.schema.name.as_str()).zip(&self.times).collect();
        let mut state = BTreeMap::from([
            (REPORT.to_owned(), encode(REPORT, &self.report)?),
            (TIMES.to_owned(), encode(TIMES, &times)?),
        ]);
        state.extend(self.kept().map(|kept| (rule_state(&kept.author), kept.encode())));
        Ok(state)
    }

    /// Goes on at the last checkpoint with `rules`. Returns whether one must be taken before anything is written: there was none, or
    /// it does not know all sinks.
    pub(super) fn restore(&mut self, rules: &RuleSet) -> Result<bool> {
        let Some(checkpoint) = self.checkpoints.latest()? else {
            self.begin(rules, Vec::new())?;
            return Ok(true);
        };
        let complete = self.sinks.commit(&checkpoint.staged)?;
        let state = &checkpoint.state;
        let revision = self.report.revision;
        self.report = Report { revision, ..decode(REPORT, state)? };
        let mut times: BTreeMap<String, TopicTime> = decode(TIMES, state)?;
        for (time, topic) in self.times.iter_mut().zip(&self.plan.topics) {
            if let Some(stored) = times.remove(&topic.schema.name) {
                *time = stored;
                time.reopen();
            }
        }
        let kept = self.restore_keys(state)?;
        let trials: Vec<_> = kept.iter().filter(|kept| kept.author.trial).map(|kept| kept.author.place()).collect();
        self.begin(rules, kept)?;
        self.forget_trials_but(&trials);
        self.checkpoint_number = checkpoint.number + 1;
        self.noted = checkpoint.positions.clone();
        self.positions = checkpoint.positions;
        Ok(!complete)
    }

    /// Begins with `rules`. A version that cannot be started is stopped, and what it would go on with stays: the others do not wait for
    /// people.
    fn begin(&mut self, rules: &RuleSet, kept: Vec<Kept>) -> Result<()> {
        let (refused, _) =
            self.take_up(rules, kept.into_iter().map(|kept| Before::Restored(Box::new(kept))).collect())?;
        for Refused { plan, error } in refused {
            if error.can_retry() {
                return Err(error);
            }
            tracing::error!(rule = plan.name, version = plan.version, "the rule was stopped: {}", error.chain());
            let (rule, version, trial) = (plan.name.clone(), plan.version, plan.role.is_trial());
            self.trips.push(Trip { rule, version, trial, reason: error.chain() });
        }
        Ok(())
    }
}

fn encode<T: Serialize>(owner: &str, value: &T) -> Result<Vec<u8>> {
    serde_json::to_vec(value).invalid("write into a checkpoint", owner)
}

fn decode<T: DeserializeOwned>(owner: &str, state: &BTreeMap<String, Vec<u8>>) -> Result<T> {
    serde_json::from_slice(find(owner, state)?).corrupt("read from a checkpoint", owner)
}

fn find<'a>(owner: &str, state: &'a BTreeMap<String, Vec<u8>>) -> Result<&'a [u8]> {
    state.get(owner).map(Vec::as_slice).ok_or("it is not there").corrupt("read from a checkpoint", owner)
}
