//! A rule at work: its code, its state, its timers.

use std::sync::Arc;

use arrow_array::ArrayRef;
use hashbrown::DefaultHashBuilder;
use tamis_model::dead_letter::DeadLetter;
use tamis_model::manifest::Manifest;
use tamis_model::position::Partition;
use tamis_model::rule::{Judged, Keyed, NOT_JUDGED, PoisonedSubject, Rule};
use tamis_model::strings::{Strings, StringsBuf};
use tamis_model::time::Millis;
use tamis_model::{Error, Kind, Result};

use crate::alerts::{Author, Judging};
use crate::codec::{Reader, write_bytes, write_number, write_signed};
use crate::grouping::Groups;
use crate::outbox::{Outbox, Rows};
use crate::plan::{Layout, TopicPlan};
use crate::report::{Report, of, timed};
use crate::rules::RulePlan;
use crate::state::StateStore;
use crate::watermark::BEGINNING;

/// Keys of a call of `advance` at most.
const DUE_MAX: usize = 4096;
/// The first byte of an encoded state; changes when the encoding does.
const ENCODING: u64 = 1;

/// A rule at work.
pub(crate) struct RuleRun {
    pub plan: Arc<RulePlan>,
    code: Box<dyn Rule>,
    state: StateStore,
    /// The lowest of its topics'; never goes back.
    pub watermark: Millis,
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
    /// A rule without state.
    pub fn new(plan: Arc<RulePlan>) -> Result<Self> {
        let code = (plan.make)(&plan.config)?;
        Ok(Self { plan, code, state: StateStore::default(), watermark: BEGINNING, room: Room::default() })
    }

    /// Takes state and time over from the rule that this one replaces.
    pub fn take_over(&mut self, other: &mut Self) {
        self.state = std::mem::take(&mut other.state);
        self.watermark = other.watermark;
    }

    /// Judges the rows of a batch, which are from the declared input `input`; `groups` for rules with a key.
    pub fn apply(
        &mut self,
        layout: &Layout,
        input: usize,
        batch: &Batch<'_>,
        groups: Option<&Groups>,
        desk: &mut Desk<'_>,
    ) -> Result<()> {
        let Self { plan, code, state, room, watermark } = self;
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
        timed(&mut spent.state_ns, || state.join(keys, hashes, &mut room.slots, &mut room.states));
        let keyed = Keyed {
            rows,
            columns: &room.columns,
            input: &room.input,
            times: batch.rows.times,
            groups,
            keys,
            states: room.states.as_strings(),
            identities: plan.manifest.remembers.then_some(batch.identities),
            watermark: *watermark,
        };
        let mut judged = timed(&mut spent.rules_ns, || code.apply(&keyed))?;
        check_states(plan, &judged, keys.len())?;
        timed(&mut spent.state_ns, || {
            state.write_back(keys, hashes, &room.slots, judged.states.as_strings(), &judged.wakes);
        });
        let counts = &mut desk.report.counts;
        let not_judged = groups.iter().filter(|group| **group == NOT_JUDGED).count();
        of(&mut counts.rules, &plan.name).judged += (rows - not_judged) as u64;
        let author = Author { rule: plan, layout, topics: desk.topics };
        for poisoned in std::mem::take(&mut judged.poisoned) {
            of(&mut counts.rules, &plan.name).poisoned += 1;
            match poisoned.subject {
                PoisonedSubject::Row(row) if (row as usize) < rows => {
                    desk.outbox.poison(batch.rows, row, author, poisoned.reason.name(), &poisoned.message, counts);
                }
                _ => return Err(breach(plan, "it failed on a row that it was not given")),
            }
        }
        let judging = Judging { input, columns: batch.columns, times: batch.rows.times, groups, keys };
        desk.outbox.raise(author, &judging, judged.findings, desk.generated_at, counts)
    }

    /// Sees the keys again whose wake the watermark `now` has reached, each once. Returns whether there were any.
    pub fn advance(&mut self, layout: &Layout, now: Millis, desk: &mut Desk<'_>) -> Result<bool> {
        let mut due = std::mem::take(&mut self.room.due);
        timed(&mut desk.report.spent.state_ns, || self.state.due(now, &mut due));
        for slots in due.chunks(DUE_MAX) {
            self.advance_slots(layout, now, slots, desk)?;
        }
        let any = !due.is_empty();
        self.room.due = due;
        Ok(any)
    }

    fn advance_slots(&mut self, layout: &Layout, now: Millis, slots: &[u32], desk: &mut Desk<'_>) -> Result<()> {
        let Self { plan, code, state, room, watermark } = self;
        let spent = &mut desk.report.spent;
        timed(&mut spent.state_ns, || state.load(slots, &mut room.keys, &mut room.hashes, &mut room.states));
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
        let mut judged = timed(&mut spent.rules_ns, || code.advance(&due))?;
        check_states(plan, &judged, keys.len())?;
        let counts = &mut desk.report.counts;
        let mut dropped = vec![false; if judged.poisoned.is_empty() { 0 } else { keys.len() }];
        for poisoned in std::mem::take(&mut judged.poisoned) {
            let PoisonedSubject::Group(group) = poisoned.subject else {
                return Err(breach(plan, "it failed on a row that it was not given"));
            };
            if group as usize >= keys.len() {
                return Err(breach(plan, "it failed on a key that it was not given"));
            }
            of(&mut counts.rules, &plan.name).poisoned += 1;
            dropped[group as usize] = true;
            let topic = desk.topics[layout.inputs[0].topic].schema.name.clone();
            let letter = DeadLetter {
                partition: Partition { topic, number: 0 },
                offset: None,
                timestamp: (*watermark).max(0),
                key: Some(keys.get(group as usize).to_vec()),
                value: Some(room.states.as_strings().get(group as usize).to_vec()),
                reason: poisoned.reason.name(),
                message: poisoned.message,
                plugin: Some(plan.plugin.clone()),
                attempt: 1,
            };
            desk.outbox.dead_letter(letter, counts);
        }
        if !dropped.is_empty() {
            judged.states = without(judged.states.as_strings(), &dropped);
        }
        timed(&mut spent.state_ns, || {
            state.write_back(keys, &room.hashes, slots, judged.states.as_strings(), &judged.wakes);
        });
        let author = Author { rule: plan, layout, topics: desk.topics };
        let judging = Judging { input: 0, columns: &[], times: &[], groups: &[], keys };
        desk.outbox.raise(author, &judging, judged.findings, desk.generated_at, counts)
    }

    /// State, timers and time as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        write_number(&mut out, ENCODING);
        write_number(&mut out, u64::from(self.plan.manifest.state_version));
        write_bytes(&mut out, self.plan.plugin.name.as_bytes());
        write_bytes(&mut out, self.plan.plugin.version.as_bytes());
        write_signed(&mut out, self.watermark);
        self.state.encode(&mut out);
        out
    }

    /// Goes on with what [`RuleRun::encode`] wrote.
    pub fn restore(&mut self, bytes: &[u8], hasher: &DefaultHashBuilder) -> Result<()> {
        let corrupt = || Error::new(Kind::Corrupt, "restore", format!("the state of rule {}", self.plan.name));
        let mut reader = Reader(bytes);
        if reader.number().ok_or_else(corrupt)? != ENCODING {
            return Err(corrupt().because("it is of another encoding"));
        }
        let state_version = reader.number().and_then(|n| u32::try_from(n).ok()).ok_or_else(corrupt)?;
        let plugin = String::from_utf8_lossy(reader.bytes().ok_or_else(corrupt)?).into_owned();
        let plugin_version = String::from_utf8_lossy(reader.bytes().ok_or_else(corrupt)?).into_owned();
        let watermark = reader.signed().ok_or_else(corrupt)?;
        let state = StateStore::decode(&mut reader, hasher).filter(|_| reader.0.is_empty()).ok_or_else(corrupt)?;
        if self.may_take_over(&plugin, &plugin_version, state_version, state.len())? {
            self.state = state;
        }
        self.watermark = watermark;
        Ok(())
    }

    /// Whether it goes on with the state of the rule that it replaces.
    pub fn may_replace(&self, old: &Self) -> Result<bool> {
        let Manifest { state_version, .. } = *old.plan.manifest;
        self.may_take_over(&old.plan.plugin.name, &old.plan.plugin.version, state_version, old.state.len())
    }

    /// Whether it goes on with a state; an error when it neither can nor may begin anew.
    fn may_take_over(&self, plugin: &str, version: &str, state_version: u32, keys: usize) -> Result<bool> {
        let wanted = (&self.plan.plugin.name[..], self.plan.manifest.state_version);
        if (plugin, state_version) == wanted || keys == 0 {
            return Ok(true);
        }
        if self.plan.resets_state {
            return Ok(false);
        }
        let reason = format!(
            "{keys} keys have state version {state_version} of {plugin} {version}, and {} {} wants state version {}",
            wanted.0, self.plan.plugin.version, wanted.1
        );
        Err(Error::invalid("go on with the state of", format!("rule {}", self.plan.name), reason))
    }
}

/// Whether every key got a state and a wake back.
fn check_states(plan: &RulePlan, judged: &Judged, keys: usize) -> Result<()> {
    if judged.states.as_strings().len() != keys || judged.wakes.len() != keys {
        return Err(breach(plan, "it has not one state and one wake for each key"));
    }
    Ok(())
}

fn breach(plan: &RulePlan, reason: &str) -> Error {
    Error::new(Kind::Plugin, "use the outcome of", format!("rule {} ({})", plan.name, plan.plugin.name)).because(reason)
}

/// The states with some of them emptied.
fn without(states: Strings<'_>, dropped: &[bool]) -> StringsBuf {
    let state = |i: usize| if dropped[i] { &[][..] } else { states.get(i) };
    (0..states.len()).map(state).collect()
}
