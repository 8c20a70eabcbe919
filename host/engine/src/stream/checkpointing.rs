//! Taking checkpoints and going on from them.

use std::collections::BTreeMap;
use std::time::Instant;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tamis_model::Result;
use tamis_model::error::Context as _;
use tamis_model::position::Positions;

use super::Stream;
use super::restoring::Last;
use crate::checkpoint::{Checkpoint, Keyed, KeyedState};
use crate::committer::{Saved, Taken};
use crate::decisions::Known;
use crate::kept::{Author, Kept};
use crate::report::{Report, timed};
use crate::roster::{Before, Refused};
use crate::rules::{RuleSet, Trip};
use crate::watermark::TopicTime;

const REPORT: &str = "report";
const TIMES: &str = "times";
/// The owner of the ids of recent alerts.
pub(super) const RECENT_ALERTS: &str = "recent_alerts";
/// The owner of what came of requests with keys.
pub(super) const ANSWERS: &str = "answers";
/// What the names of rules' versions begin with.
pub(super) const RULE_STATE: &str = "rule/";

/// Who has keys, and what the checkpoint at work says of them.
struct Owner<'a> {
    name: String,
    state: &'a mut dyn KeyedState,
    said: Keyed,
}

fn rule_state(author: &Author) -> String {
    format!("{RULE_STATE}{}/{}", author.rule, author.version)
}

/// The owner of a version's keys: a name that stays when another version takes them over, so that nothing has to be written again.
pub(super) fn rule_keys(kept: &Kept) -> String {
    format!("keys/{}/{}", kept.author.rule, kept.line.unwrap_or_default())
}

impl Stream {
    /// Takes a checkpoint and waits until it is durable.
    pub(super) fn checkpoint(&mut self) -> Result<()> {
        self.wait_saved()?;
        self.begin_checkpoint()?;
        self.wait_saved()
    }

    /// Takes what changed of state and hands it over, behind the output before it. None is on its way.
    pub(super) fn begin_checkpoint(&mut self) -> Result<()> {
        let mut spent_ns = 0;
        timed(&mut spent_ns, || self.hand_over())?;
        self.report.spent.checkpoints_ns += spent_ns;
        self.checkpointed_at = self.clock.now();
        self.changed = false;
        self.runs.iter_mut().for_each(|run| run.has_spoken = false);
        Ok(())
    }

    fn hand_over(&mut self) -> Result<()> {
        let keyed = self.take_changes();
        let state = self.snapshot()?;
        debug_assert!(self.prompt.is_none() || self.outbox.output.records.is_empty(), "they leave with their batch");
        let records = self.prompt.as_mut().map(|records| records.begin_stage()).transpose()?;
        let (number, positions) = (self.checkpoint_number, self.noted_positions());
        self.checkpoint_number += 1;
        self.is_saving = true;
        self.noted = positions.clone();
        let checkpoint = Checkpoint { number, positions, staged: BTreeMap::new(), state, keyed };
        let taken = Taken { checkpoint, records, at: Instant::now() };
        self.committing.checkpoint(&mut self.outbox.output, taken)
    }

    /// Looks whether the checkpoint that is on its way has become durable.
    pub(super) fn look_saved(&mut self) -> Result<()> {
        match self.committing.saved()? {
            Some(saved) => self.saved(saved),
            None => Ok(()),
        }
    }

    /// Waits for the checkpoint that is on its way, if there is one.
    pub(super) fn wait_saved(&mut self) -> Result<()> {
        if !self.is_saving {
            return Ok(());
        }
        let saved = self.committing.wait_saved()?;
        self.saved(saved)
    }

    fn saved(&mut self, saved: Saved) -> Result<()> {
        self.is_saving = false;
        self.meters.checkpoints.record_ns(u64::try_from(saved.taken_at.elapsed().as_nanos()).unwrap_or(u64::MAX));
        self.source.release(&saved.positions)
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
        let Self { runs, resting, outbox, pool, decisions, .. } = self;
        let owner = |name, state| Owner { name, state, said: Keyed::default() };
        let kept = runs.iter_mut().map(|run| &mut run.kept).chain(resting);
        let rules = kept.map(|kept| owner(rule_keys(kept), &mut kept.states as &mut dyn KeyedState));
        let mut answers = decisions.known();
        let others = [(RECENT_ALERTS, outbox.recent.state()), (ANSWERS, answers.state())];
        let mut owners: Vec<_> = rules.chain(others.map(|(name, state)| owner(name.to_owned(), state))).collect();
        pool.each(true, &mut owners, |owner| owner.said = owner.state.take_changes());
        // As much is repeated as has changed, dealt out by the number of keys: all rounds take about as long, and an owner that changes
        // little does not hold what others said meanwhile.
        let changed: u64 = owners.iter().filter(|owner| !owner.said.whole).map(|owner| owner.said.changes.len()).sum();
        let keys: usize = owners.iter().map(|owner| owner.state.keys()).sum();
        pool.each(true, &mut owners, |Owner { state, said, .. }| {
            if !said.whole {
                let share = (changed * state.keys() as u64).div_ceil(keys.max(1) as u64);
                state.repeat(share, said);
            }
        });
        owners.into_iter().map(|owner| (owner.name, owner.said)).collect()
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
    pub(super) fn go_on(&mut self, last: Option<Last>, rules: &RuleSet) -> Result<bool> {
        let Some(Last { checkpoint, complete, kept, recent, answers }) = last else {
            self.decisions.begin(Known::default());
            self.begin(rules, Vec::new())?;
            return Ok(true);
        };
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
        self.outbox.recent = recent;
        self.decisions.begin(answers);
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
