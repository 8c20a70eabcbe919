//! A version of a rule at work: its code between the engine's columns and state on one side, letters, alerts and rows on the other.

use std::sync::Arc;

use arrow_array::ArrayRef;
use tamis_model::rule::{Judged, Keyed, NOT_JUDGED, PoisonedSubject, Rule};
use tamis_model::strings::{Strings, StringsBuf};
use tamis_model::time::Millis;
use tamis_model::{Error, Kind, Result};

use crate::alerts::{Author, Judging};
use crate::breaker::{Breaker, Tally};
use crate::grouping::Groups;
use crate::kept::{self, Kept};
use crate::meters::Durations;
use crate::outbox::Rows;
use crate::report::{Spent, timed};
use crate::rules::{OnFailure, RulePlan, Trip};
use crate::share::Share;
use crate::state::StateStore;
use crate::tray::{Tray, breach};

/// Keys of a call of `advance` at most.
const DUE_MAX: usize = 4096;

/// A version of a rule at work.
pub(crate) struct RuleRun {
    pub plan: Arc<RulePlan>,
    pub kept: Kept,
    /// The keys whose alerts count.
    pub share: Share,
    /// Whether it has raised, emitted or refused anything since the last checkpoint.
    pub has_spoken: bool,
    /// Its code, by shard.
    pub lanes: Vec<Lane>,
    breaker: Breaker,
    /// Whether it was told that the version is stopped.
    told: bool,
}

/// The code of a rule for the keys of one shard.
pub(crate) struct Lane {
    /// How long its calls took.
    pub latency: Durations,
    code: Box<dyn Rule>,
    room: Room,
}

/// Buffers that are used again for the next batch.
#[derive(Default)]
struct Room {
    columns: Vec<ArrayRef>,
    input: Vec<u8>,
    slots: Vec<u32>,
    states: StringsBuf,
    due: Vec<u32>,
    keys: StringsBuf,
    hashes: Vec<u64>,
}

/// The accepted rows of a batch, all of one topic.
pub(crate) struct Batch<'a> {
    pub rows: Rows<'a>,
    /// The decoded columns.
    pub columns: &'a [ArrayRef],
    /// Columns `id`, `order_id`, `customer_id`.
    pub identities: &'a [ArrayRef; 3],
    /// The rows that somebody waits for.
    pub awaited: &'a [u32],
}

/// A rule as one shard has it in a turn.
pub(crate) struct Seat<'a> {
    pub lane: &'a mut Lane,
    pub state: &'a mut StateStore,
    pub author: Author<'a>,
    /// The watermark of the batch at work.
    pub watermark: Millis,
    /// How far the stream's own time has come: at the end of the input all windows close before it.
    pub reached: Millis,
    pub generated_at: &'a str,
}

impl RuleRun {
    /// A version that begins with `kept`, with its code for each shard.
    pub fn new(plan: Arc<RulePlan>, codes: Vec<Box<dyn Rule>>, mut kept: Kept) -> Self {
        kept.states.pass_on();
        Self::with(plan, codes.into_iter().map(Lane::new).collect(), kept)
    }

    fn with(plan: Arc<RulePlan>, lanes: Vec<Lane>, kept: Kept) -> Self {
        let author = kept::Author::of(&plan);
        // What another version, or this one in another role, did is not held against it.
        let tripped =
            kept.tripped.filter(|_| (author.version, author.trial) == (kept.author.version, kept.author.trial));
        Self {
            breaker: Breaker::new(&plan),
            kept: Kept { author, tripped, ..kept },
            told: false,
            has_spoken: false,
            share: Share::All,
            plan,
            lanes,
        }
    }

    /// The same version with the same code, in a new set.
    pub fn goes_on(self, plan: Arc<RulePlan>) -> Self {
        let same = (plan.role, plan.on_failure) == (self.plan.role, self.plan.on_failure);
        let Self { breaker, told, has_spoken, .. } = self;
        let run = Self { has_spoken, ..Self::with(plan, self.lanes, self.kept) };
        if same { Self { breaker, told, ..run } } else { run }
    }

    /// Whether it runs as `plan` says.
    pub fn is_as(&self, plan: &RulePlan) -> bool {
        let what = |plan: &RulePlan| (plan.version, plan.role, plan.on_failure);
        self.plan.name == plan.name
            && what(&self.plan) == what(plan)
            && (&self.plan.plugin, &self.plan.config) == (&plan.plugin, &plan.config)
    }

    /// That the version was stopped, said once.
    pub fn trip(&mut self) -> Option<Trip> {
        let reason = self.kept.tripped.clone().filter(|_| !self.told)?;
        self.told = true;
        let RulePlan { name, version, role, .. } = &*self.plan;
        tracing::error!(rule = *name, version, reason, "the rule was stopped");
        Some(Trip { rule: name.clone(), version: *version, trial: role.is_trial(), reason })
    }

    /// Takes what a batch came to. Returns whether the version is stopped from now on.
    pub fn watch(&mut self, tally: Tally) -> bool {
        self.has_spoken |= tally.emitted > 0 || tally.alerts > 0 || tally.errors > 0;
        if self.kept.tripped.is_none() {
            self.kept.tripped = self.breaker.observe(tally);
        }
        self.kept.tripped.is_some()
    }

    /// How long the calls of its code took.
    pub fn latency(&self) -> Durations {
        let mut all = Durations::default();
        self.lanes.iter().for_each(|lane| all.add(&lane.latency));
        all
    }
}

impl Lane {
    fn new(code: Box<dyn Rule>) -> Self {
        Self { code, latency: Durations::default(), room: Room::default() }
    }
}

impl Seat<'_> {
    /// Judges the rows of a batch, which are from the declared input `input`; `groups` for rules with a key.
    pub fn apply(&mut self, input: usize, batch: &Batch<'_>, groups: Option<&Groups>, tray: &mut Tray) -> Result<()> {
        let Self { lane: Lane { latency, code, room }, state, author, .. } = self;
        let (plan, layout) = (author.rule, author.layout);
        let rows = batch.rows.times.len();
        layout.project(input, rows, batch.columns, &mut room.columns);
        room.input.clear();
        if layout.inputs.len() > 1 {
            room.input.resize(rows, input as u8);
        }
        let (groups, keys, hashes) = match groups {
            Some(groups) => (&groups.groups[..], groups.keys.as_strings(), &groups.hashes[..]),
            None => Default::default(),
        };
        timed(&mut tray.spent.state_ns, || state.join(keys, hashes, &mut room.slots, &mut room.states));
        let keyed = Keyed {
            rows,
            columns: &room.columns,
            input: &room.input,
            times: batch.rows.times,
            groups,
            keys,
            states: room.states.as_strings(),
            identities: plan.manifest.remembers.then_some(batch.identities),
            watermark: self.watermark,
        };
        let mut judged = clocked(&mut tray.spent, latency, || code.apply(&keyed))?;
        check(plan, &judged, keys.len())?;
        timed(&mut tray.spent.state_ns, || {
            state.write_back(keys, hashes, &room.slots, judged.states.as_strings(), &judged.wakes);
        });
        let rows = (rows - groups.iter().filter(|group| **group == NOT_JUDGED).count()) as u64;
        let judging = Judging { input, columns: batch.columns, times: batch.rows.times, groups, keys };
        // Whoever waits for a decision waits for alerts: what only emits rows says nothing of theirs.
        for row in batch.awaited.iter().filter(|_| plan.manifest.output.is_none()) {
            if groups.get(*row as usize) != Some(&NOT_JUDGED) && author.row_counts(&judging, *row) {
                tray.judged(*row);
            }
        }
        let mut letters = Vec::new();
        for poisoned in &judged.poisoned {
            let PoisonedSubject::Row(row) = poisoned.subject else {
                return Err(breach(plan, "it failed on a key where it was given rows"));
            };
            if row as usize >= judging.times.len() {
                return Err(breach(plan, "it failed on a row that it was not given"));
            }
            if author.row_counts(&judging, row) {
                letters.push((row, batch.rows.letter_of(row, *author, poisoned)));
            }
        }
        // What nobody waits for holds nothing up.
        if batch.rows.attempt == 1 {
            check_policy(plan, &judged)?;
        }
        tray.letters(letters);
        self.file(&judging, rows, rows, &mut judged, tray)
    }

    /// Sees the keys again whose wake the watermark has reached, each once. Those that expire are forgotten.
    pub fn advance(&mut self, tray: &mut Tray) -> Result<()> {
        let mut due = std::mem::take(&mut self.lane.room.due);
        let (now, expires) = (self.watermark, self.author.rule.manifest.expires);
        timed(&mut tray.spent.state_ns, || self.state.due(now, expires, &mut due));
        due.chunks(DUE_MAX).try_for_each(|slots| self.advance_slots(slots, tray))?;
        self.lane.room.due = due;
        Ok(())
    }

    fn advance_slots(&mut self, slots: &[u32], tray: &mut Tray) -> Result<()> {
        let Self { lane: Lane { latency, code, room }, state, author, watermark, reached, .. } = self;
        let (plan, layout) = (author.rule, author.layout);
        timed(&mut tray.spent.state_ns, || state.load(slots, &mut room.keys, &mut room.hashes, &mut room.states));
        let keys = room.keys.as_strings();
        let columns = layout.no_rows();
        let identities = std::array::from_fn(|_| arrow_array::new_empty_array(&arrow_schema::DataType::Utf8));
        let due = Keyed {
            columns: &columns,
            keys,
            states: room.states.as_strings(),
            identities: plan.manifest.remembers.then_some(&identities),
            watermark: *watermark,
            ..Keyed::default()
        };
        let mut judged = clocked(&mut tray.spent, latency, || code.advance(&due))?;
        check(plan, &judged, keys.len())?;
        let mut dropped = vec![false; if judged.poisoned.is_empty() { 0 } else { keys.len() }];
        let mut letters = Vec::new();
        for poisoned in &judged.poisoned {
            let PoisonedSubject::Group(group) = poisoned.subject else {
                return Err(breach(plan, "it failed on a row where it was given keys"));
            };
            let group = group as usize;
            *dropped.get_mut(group).ok_or_else(|| breach(plan, "it failed on a key that it was not given"))? = true;
            if author.share.has(&plan.name, &String::from_utf8_lossy(keys.get(group))) {
                let state = room.states.as_strings().get(group);
                letters.push((u32::MAX, author.key_letter(keys.get(group), state, *reached, poisoned)));
            }
        }
        if !dropped.is_empty() {
            judged.states = without(judged.states.as_strings(), &dropped);
        }
        timed(&mut tray.spent.state_ns, || {
            state.write_back(keys, &room.hashes, slots, judged.states.as_strings(), &judged.wakes);
        });
        check_policy(plan, &judged)?;
        tray.letters(letters);
        let keys = std::mem::take(&mut room.keys);
        let judging = Judging { input: 0, columns: &[], times: &[], groups: &[], keys: keys.as_strings() };
        self.file(&judging, 0, slots.len() as u64, &mut judged, tray)?;
        self.lane.room.keys = keys;
        Ok(())
    }

    /// Hands on what the rule made of `tried` rows or keys, of which `rows` are rows.
    fn file(&self, judging: &Judging<'_>, rows: u64, tried: u64, judged: &mut Judged, tray: &mut Tray) -> Result<()> {
        let findings = std::mem::take(&mut judged.findings);
        let reasons: Vec<_> = judged.poisoned.iter().map(|poisoned| poisoned.reason).collect();
        let (errors, alerts) = (reasons.len() as u64, findings.len() as u64);
        let emitted = tray.rows(self.author, &judged.emitted)?;
        tray.findings(self.author, judging, findings, self.generated_at)?;
        let tally = Tally { rows: tried, errors, alerts, emitted, exhausted: judged.exhausted };
        tray.called(rows, reasons, tally);
        Ok(())
    }
}

/// Whether the stream may go on. What is on trial holds nobody up.
fn check_policy(plan: &RulePlan, judged: &Judged) -> Result<()> {
    match judged.poisoned.first() {
        Some(poisoned) if plan.on_failure == OnFailure::Halt && !plan.role.is_trial() => {
            let reason = format!("its failure policy is to halt: {}: {}", poisoned.reason.name(), poisoned.message);
            Err(Error::new(Kind::Plugin, "judge with", plan).because(reason))
        }
        _ => Ok(()),
    }
}

/// Times a call of a rule's code.
fn clocked<T>(spent: &mut Spent, latency: &mut Durations, call: impl FnOnce() -> T) -> T {
    let mut spent_ns = 0;
    let result = timed(&mut spent_ns, call);
    spent.rules_ns += spent_ns;
    latency.record_ns(spent_ns);
    result
}

/// Whether every key got a state and a wake back.
fn check(plan: &RulePlan, judged: &Judged, keys: usize) -> Result<()> {
    if judged.states.as_strings().len() != keys || judged.wakes.len() != keys {
        return Err(breach(plan, "it has not one state and one wake for each key"));
    }
    Ok(())
}

/// The states with some of them emptied.
fn without(states: Strings<'_>, dropped: &[bool]) -> StringsBuf {
    let state = |i: usize| if dropped[i] { &[][..] } else { states.get(i) };
    (0..states.len()).map(state).collect()
}
