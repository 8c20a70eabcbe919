//! A version of a rule at work: its code between the engine's columns and state on one side, letters, alerts and rows on the other.

use std::sync::Arc;

use arrow_array::ArrayRef;
use hdrhistogram::Histogram;
use tamis_model::dead_letter::DeadLetter;
use tamis_model::rule::{Judged, Keyed, NOT_JUDGED, PoisonedSubject, Rule};
use tamis_model::strings::{Strings, StringsBuf};
use tamis_model::time::Millis;
use tamis_model::{Error, Kind, Result};

use crate::alerts::{Author, Judging};
use crate::breaker::{Breaker, Tally};
use crate::grouping::Groups;
use crate::kept::{self, Kept};
use crate::outbox::{Outbox, Rows};
use crate::plan::{Layout, TopicPlan};
use crate::report::{Report, Spent, timed};
use crate::rules::{OnFailure, RulePlan, Trip};
use crate::share::Share;

/// Keys of a call of `advance` at most.
const DUE_MAX: usize = 4096;

/// The longest call that is told from longer ones: a minute.
const CALL_NS_MAX: u64 = 60_000_000_000;

/// A version of a rule at work.
pub(crate) struct RuleRun {
    pub plan: Arc<RulePlan>,
    pub kept: Kept,
    /// The keys whose alerts count.
    pub share: Share,
    /// Whether it has raised, emitted or refused anything since the last checkpoint.
    pub has_spoken: bool,
    /// How long the calls of its code took, in nanoseconds.
    pub latency: Histogram<u32>,
    code: Box<dyn Rule>,
    breaker: Breaker,
    /// Whether it was told that the version is stopped.
    told: bool,
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
}

/// What a rule writes to besides its own state.
pub(crate) struct Desk<'a> {
    pub topics: &'a [TopicPlan],
    pub generated_at: &'a str,
    pub outbox: &'a mut Outbox,
    pub report: &'a mut Report,
}

impl RuleRun {
    /// A version that begins with `kept`.
    pub fn new(plan: Arc<RulePlan>, code: Box<dyn Rule>, kept: Kept) -> Self {
        let author = kept::Author::of(&plan);
        // What another version, or this one in another role, did is not held against it.
        let tripped =
            kept.tripped.filter(|_| (author.version, author.trial) == (kept.author.version, kept.author.trial));
        Self {
            breaker: Breaker::new(&plan),
            latency: Histogram::new_with_bounds(1, CALL_NS_MAX, 2).expect("the bounds are in order"),
            kept: Kept { author, tripped, ..kept },
            room: Room::default(),
            told: false,
            has_spoken: false,
            share: Share::All,
            plan,
            code,
        }
    }

    /// The same version with the same code, in a new set.
    pub fn goes_on(self, plan: Arc<RulePlan>) -> Self {
        let same = (plan.role, plan.on_failure) == (self.plan.role, self.plan.on_failure);
        let Self { breaker, latency, room, told, has_spoken, .. } = self;
        let run = Self { latency, room, has_spoken, ..Self::new(plan, self.code, self.kept) };
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
    fn watch(&mut self, tally: Tally, emitted: bool) -> bool {
        self.has_spoken |= emitted || tally.alerts > 0 || tally.errors > 0;
        self.kept.tripped = self.breaker.observe(tally);
        self.kept.tripped.is_some()
    }

    /// Judges the rows of a batch, which are from the declared input `input`; `groups` for rules with a key. Returns whether the
    /// version is stopped from now on.
    pub fn apply(
        &mut self,
        layout: &Layout,
        input: usize,
        batch: &Batch<'_>,
        groups: Option<&Groups>,
        desk: &mut Desk<'_>,
    ) -> Result<bool> {
        let Self { plan, kept, code, room, latency, share, .. } = self;
        let rows = batch.rows.times.len();
        layout.project(input, rows, batch.columns, &mut room.columns);
        room.input.clear();
        if layout.inputs.len() > 1 {
            room.input.resize(rows, input as u8);
        }
        let spent = &mut desk.report.spent;
        let (groups, keys, hashes) = match groups {
            Some(groups) => (&groups.groups[..], groups.keys.as_strings(), &groups.hashes[..]),
            None => Default::default(),
        };
        timed(&mut spent.state_ns, || kept.state.join(keys, hashes, &mut room.slots, &mut room.states));
        let keyed = Keyed {
            rows,
            columns: &room.columns,
            input: &room.input,
            times: batch.rows.times,
            groups,
            keys,
            states: room.states.as_strings(),
            identities: plan.manifest.remembers.then_some(batch.identities),
            watermark: kept.watermark,
        };
        let judged = clocked(spent, latency, || code.apply(&keyed))?;
        check(plan, &judged, keys.len())?;
        timed(&mut spent.state_ns, || {
            kept.state.write_back(keys, hashes, &room.slots, judged.states.as_strings(), &judged.wakes);
        });
        let rows = rows - groups.iter().filter(|group| **group == NOT_JUDGED).count();
        desk.report.counts.of_rule(plan).judged += rows as u64;
        let author = Author { rule: plan, layout, topics: desk.topics, share: *share };
        let judging = Judging { input, columns: batch.columns, times: batch.rows.times, groups, keys };
        let mut tally = Tally { rows: rows as u64, errors: judged.poisoned.len() as u64, ..Tally::default() };
        tally.exhausted = judged.exhausted;
        let emitted = judged.emitted.first().is_some_and(|column| !column.is_empty());
        let letters = judged.poisoned.iter().map(|poisoned| match poisoned.subject {
            PoisonedSubject::Row(row) if (row as usize) < judging.times.len() => {
                Ok(author.row_counts(&judging, row).then(|| batch.rows.letter_of(row, author, poisoned)))
            }
            _ => Err(breach(plan, "it failed on a row that it was not given")),
        });
        let letters = letters.collect::<Result<_>>()?;
        // What nobody waits for holds nothing up.
        if batch.rows.attempt == 1 {
            check_policy(plan, &judged)?;
        }
        tally.alerts = judged.findings.len() as u64;
        file(author, &judging, letters, judged, desk)?;
        Ok(self.watch(tally, emitted))
    }

    /// Sees the keys again whose wake the watermark `now` has reached, each once. Returns whether there were any, and whether the
    /// version is stopped from now on.
    pub fn advance(&mut self, layout: &Layout, now: Millis, desk: &mut Desk<'_>) -> Result<(bool, bool)> {
        let mut due = std::mem::take(&mut self.room.due);
        timed(&mut desk.report.spent.state_ns, || self.kept.state.due(now, &mut due));
        let mut stopped = false;
        for slots in due.chunks(DUE_MAX) {
            stopped |= self.advance_slots(layout, now, slots, desk)?;
        }
        let any = !due.is_empty();
        self.room.due = due;
        Ok((any, stopped))
    }

    fn advance_slots(&mut self, layout: &Layout, now: Millis, slots: &[u32], desk: &mut Desk<'_>) -> Result<bool> {
        let Self { plan, kept, code, room, latency, share, .. } = self;
        let spent = &mut desk.report.spent;
        timed(&mut spent.state_ns, || kept.state.load(slots, &mut room.keys, &mut room.hashes, &mut room.states));
        let keys = room.keys.as_strings();
        let columns = layout.no_rows();
        let identities = std::array::from_fn(|_| arrow_array::new_empty_array(&arrow_schema::DataType::Utf8));
        let due = Keyed {
            columns: &columns,
            keys,
            states: room.states.as_strings(),
            identities: plan.manifest.remembers.then_some(&identities),
            watermark: now,
            ..Keyed::default()
        };
        let mut judged = clocked(spent, latency, || code.advance(&due))?;
        check(plan, &judged, keys.len())?;
        let author = Author { rule: plan, layout, topics: desk.topics, share: *share };
        let mut tally = Tally { rows: keys.len() as u64, errors: judged.poisoned.len() as u64, ..Tally::default() };
        tally.exhausted = judged.exhausted;
        let emitted = judged.emitted.first().is_some_and(|column| !column.is_empty());
        let mut dropped = vec![false; if judged.poisoned.is_empty() { 0 } else { keys.len() }];
        let mut letters = Vec::new();
        for poisoned in &judged.poisoned {
            let PoisonedSubject::Group(group) = poisoned.subject else {
                return Err(breach(plan, "it failed on a row that it was not given"));
            };
            let group = group as usize;
            *dropped.get_mut(group).ok_or_else(|| breach(plan, "it failed on a key that it was not given"))? = true;
            let counts = share.has(&plan.name, &String::from_utf8_lossy(keys.get(group)));
            letters.push(counts.then(|| {
                author.key_letter(keys.get(group), room.states.as_strings().get(group), kept.watermark, poisoned)
            }));
        }
        if !dropped.is_empty() {
            judged.states = without(judged.states.as_strings(), &dropped);
        }
        timed(&mut spent.state_ns, || {
            kept.state.write_back(keys, &room.hashes, slots, judged.states.as_strings(), &judged.wakes);
        });
        let judging = Judging { input: 0, columns: &[], times: &[], groups: &[], keys };
        check_policy(plan, &judged)?;
        tally.alerts = judged.findings.len() as u64;
        file(author, &judging, letters, judged, desk)?;
        Ok(self.watch(tally, emitted))
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

/// Hands on what a rule made of a batch: a letter for each event or key that it failed on, unless it is not its own, alerts, rows.
fn file(
    author: Author<'_>,
    judging: &Judging<'_>,
    letters: Vec<Option<DeadLetter>>,
    judged: Judged,
    desk: &mut Desk<'_>,
) -> Result<()> {
    let Desk { outbox, report, generated_at, .. } = desk;
    let counts = &mut report.counts;
    counts.of_rule(author.rule).poisoned += letters.len() as u64;
    for letter in letters.into_iter().flatten() {
        outbox.dead_letter(letter, counts);
    }
    outbox.emit(author, &judged.emitted, counts)?;
    outbox.raise(author, judging, judged.findings, generated_at, counts)
}

/// Times a call of a rule's code.
fn clocked<T>(spent: &mut Spent, latency: &mut Histogram<u32>, call: impl FnOnce() -> T) -> T {
    let mut spent_ns = 0;
    let result = timed(&mut spent_ns, call);
    spent.rules_ns += spent_ns;
    latency.saturating_record(spent_ns.max(1));
    result
}

/// Whether every key got a state and a wake back.
fn check(plan: &RulePlan, judged: &Judged, keys: usize) -> Result<()> {
    if judged.states.as_strings().len() != keys || judged.wakes.len() != keys {
        return Err(breach(plan, "it has not one state and one wake for each key"));
    }
    Ok(())
}

fn breach(plan: &RulePlan, reason: &str) -> Error {
    Error::new(Kind::Plugin, "use the outcome of", plan).because(reason)
}

/// The states with some of them emptied.
fn without(states: Strings<'_>, dropped: &[bool]) -> StringsBuf {
    let state = |i: usize| if dropped[i] { &[][..] } else { states.get(i) };
    (0..states.len()).map(state).collect()
}
