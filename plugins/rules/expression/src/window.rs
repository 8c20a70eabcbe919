//! Counts over sliding windows: the events of each key, and which of them fire.
//!
//! An event x fires when the condition holds with the counts over the events of its key in (x.time − length, x.time], x and equal times
//! included. An event that arrives is in the windows of those that are not older, so these are judged again. While events arrive counts only
//! grow: a condition that goes with its counts is judged with each arrival, and fires as soon as it holds. One that may stop holding when
//! counts grow is judged when the watermark has passed the event, so that no event of its window can still come. Either way the set of
//! events that fire does not depend on the order of arrival.
//!
//! Nor does the set of rows that are refused: it is those for which the condition cannot be evaluated whatever is counted. An event for which
//! counts decide whether it can be is counted like all others; where they decide against it, it does not fire, and the log says so.
//!
//! An event that waits for the watermark is judged by the condition that then holds, which tells from the columns that were kept what it has
//! to know. States of conditions that wait are therefore read only by those that wait, over the same columns (see `describe`).

mod arrivals;
mod kept;

use tamis_sdk::bindings::types::{Finding, Keyed, RuleOutcome, Severity, Value};
use tamis_sdk::host::{Level, log};
use tamis_sdk::rule::{ByKey, NEVER, NOT_JUDGED, empty_outcome, end_state, foreign_state};
use tamis_sdk::window::{Event, History, IdentityColumns};

use crate::columns::Column;
use crate::counts::{Known, Split, Subject, Trend, Unknown};
use crate::evaluate::{Bits, Interpreter, Rows};
use crate::place::Place;
use crate::plan::Test;
use arrivals::Arrivals;
use kept::{Layout, SETTLED_BYTES};

pub use kept::fingerprint;

/// The version of the states that are written here.
pub const STATE_VERSION: u8 = 2;

/// A declared count.
#[derive(Clone, Debug)]
pub struct Count {
    /// What it is called.
    pub name: String,
    /// Which events are counted; none = all.
    pub condition: Option<Test>,
    /// The length of its window.
    pub window_ms: i64,
}

/// A condition over counts, and what it needs to be judged.
#[derive(Debug)]
pub struct Counting {
    counts: Vec<Count>,
    condition: Split,
    layout: Layout,
    severity: Severity,
}

/// The events of a key while a batch is applied; reused for the next key.
#[derive(Default)]
struct Key<'a> {
    history: History<'a>,
    /// Of each count, the times of the events in it, ascending.
    times: Vec<Vec<i64>>,
    known: Vec<Known>,
    counts: Vec<i64>,
    /// How often an event could not be judged so far, and where it failed first.
    failed: usize,
    failed_first: Option<Place>,
}

impl Key<'_> {
    fn fail(&mut self, place: Place) {
        self.failed += 1;
        self.failed_first.get_or_insert(place);
    }

    /// Says what could not be judged: the rows are in, and cannot be refused any more.
    fn report(&self) {
        if let Some(place) = self.failed_first {
            let failed = self.failed;
            log(
                Level::Warn,
                &format!(
                    "the condition cannot be evaluated ({place}) for {failed} events with these counts: they do not fire"
                ),
            );
        }
    }
}

impl Counting {
    /// A condition over counts. `columns` are those of the condition.
    pub fn new(counts: Vec<Count>, condition: Test, columns: &[Column], severity: Severity) -> Self {
        let condition = Split::of(condition);
        let layout = Layout::new(columns, &condition.own);
        Self { counts, condition, layout, severity }
    }

    /// The counts.
    pub fn counts(&self) -> &[Count] {
        &self.counts
    }

    /// Takes in the rows of a batch and judges what they touch.
    pub fn apply(&self, rows: &Keyed, columns: &[Column], interpreter: &Interpreter) -> Result<RuleOutcome, String> {
        let by_key = ByKey::new(rows)?;
        let table = Rows::of(&rows.batch, columns)?;
        let identities = IdentityColumns::of(rows.identities.as_ref(), table.len)?;
        let members = rows.groups.as_ref().map_or(&[][..], |groups| &groups.members);
        let judged = Bits::all(table.len).filter(|row| members[row] != NOT_JUDGED);
        let arrivals = Arrivals::of(&table, &judged, &self.counts, &self.condition, interpreter)?;
        if let Some(why) = arrivals.refused() {
            return Err(format!("the condition {why}"));
        }
        let mut outcome = empty_outcome(by_key.keys(), by_key.state_bytes() + 64 * table.len);
        let mut key = Key::default();
        for group in 0..by_key.keys() {
            let state = by_key.state(group);
            self.open(&mut key, state, interpreter).ok_or_else(|| foreign_state(STATE_VERSION, group, state))?;
            for &row in by_key.rows(group) {
                if let Some(at) = self.arrive(&mut key, &arrivals, row, rows.times[row as usize]) {
                    self.judge_touched(&mut key, at, group, &mut outcome.findings)?;
                }
            }
            self.close(&mut key, group, rows.watermark, Some(&identities), &mut outcome)?;
        }
        key.report();
        Ok(outcome)
    }

    /// Judges what the watermark has passed, and forgets what no event to come can count.
    pub fn advance(&self, due: &Keyed, interpreter: &Interpreter) -> Result<RuleOutcome, String> {
        let by_key = ByKey::new(due)?;
        let mut outcome = empty_outcome(by_key.keys(), by_key.state_bytes());
        let mut key = Key::default();
        for group in 0..by_key.keys() {
            let state = by_key.state(group);
            self.open(&mut key, state, interpreter).ok_or_else(|| foreign_state(STATE_VERSION, group, state))?;
            self.close(&mut key, group, due.watermark, None, &mut outcome)?;
        }
        key.report();
        Ok(outcome)
    }

    /// Reads the state of a key; nothing when it is none of ours.
    fn open<'a>(&self, key: &mut Key<'a>, state: &'a [u8], interpreter: &Interpreter) -> Option<()> {
        key.history.decode(state, STATE_VERSION, true)?;
        key.times.resize_with(self.counts.len(), Vec::new);
        key.times.iter_mut().for_each(Vec::clear);
        for index in 0..key.history.events.len() {
            let (events, arena) = key.history.parts();
            let event = &mut events[index];
            let kept = event.kept.of(arena);
            let members = *kept.first().filter(|members| u32::from(**members) >> self.counts.len() == 0)?;
            let time = event.time;
            self.memberships(members).for_each(|count| key.times[count].push(time));
            if event.can_fire() && self.layout.is_of(kept) {
                let cells = self.layout.known(kept, &mut key.known)?;
                self.layout.cells(cells)?;
            } else if event.can_fire() && self.waits() {
                self.renew(&mut key.history, index, interpreter)?;
            } else {
                // Judged by another condition when it arrived, it still counts, but is not judged again.
                event.fired = true;
            }
        }
        Some(())
    }

    /// Makes what is known of an event that waited under another condition what this one has to know; nothing when it was not kept as this
    /// one keeps events.
    fn renew(&self, history: &mut History<'_>, index: usize, interpreter: &Interpreter) -> Option<()> {
        let (events, arena) = history.parts();
        let Event { time, kept, .. } = events[index];
        let (members, batch) = (*kept.of(arena).first()?, self.layout.batch(kept.of(arena))?);
        let rows = Rows::of(&batch, self.layout.columns()).ok()?;
        let arrivals = Arrivals::of(&rows, &Bits::all(rows.len), &[], &self.condition, interpreter).ok()?;
        if !arrivals.can_fire(0) {
            events[index].fired = true;
            return Some(());
        }
        let start = history.arena.len();
        arrivals.encode(&self.layout, members, 0, &mut history.arena);
        // The stretch of the arena is that of an event that is taken in, which is done for that alone.
        let at = history.insert(0, time, start);
        history.events[index].kept = history.events.remove(at).kept;
        Some(())
    }

    /// The counts that an event is in.
    fn memberships(&self, members: u8) -> impl Iterator<Item = usize> {
        (0..self.counts.len()).filter(move |count| members >> count & 1 == 1)
    }

    /// Takes in a row; where it stands among the events of its key. Nothing when it is in no count and can never fire.
    fn arrive(&self, key: &mut Key<'_>, arrivals: &Arrivals<'_>, row: u32, time: i64) -> Option<usize> {
        let (members, can_fire) = (arrivals.members(row as usize), arrivals.can_fire(row as usize));
        if members == 0 && !can_fire {
            return None;
        }
        let start = key.history.arena.len();
        if can_fire {
            arrivals.encode(&self.layout, members, row as usize, &mut key.history.arena);
        } else {
            key.history.arena.push(members);
        }
        let at = key.history.insert(row, time, start);
        key.history.events[at].fired = !can_fire;
        for count in self.memberships(members) {
            let times = &mut key.times[count];
            times.insert(times.partition_point(|earlier| *earlier <= time), time);
        }
        Some(at)
    }

    /// Judges the event at `at` and, if it is in a count, all whose windows it is in; unless the condition waits for the watermark.
    fn judge_touched(
        &self,
        key: &mut Key<'_>,
        at: usize,
        group: usize,
        findings: &mut Vec<Finding>,
    ) -> Result<(), String> {
        if self.waits() {
            return Ok(());
        }
        let (events, arena) = key.history.parts();
        let Event { time, kept, .. } = events[at];
        let members = kept.of(arena).first().copied().unwrap_or(0);
        let Some(length) = self.memberships(members).map(|count| self.counts[count].window_ms).max() else {
            return self.judge(key, at, group, findings);
        };
        let equal_before = events[..at].iter().rev().take_while(|event| event.time == time).count();
        let touched = events[at..].iter().take_while(|event| event.time.saturating_sub(time) < length).count();
        (at - equal_before..at + touched).try_for_each(|index| self.judge(key, index, group, findings))
    }

    /// Judges an event, unless it has fired or can never.
    fn judge(&self, key: &mut Key<'_>, index: usize, group: usize, findings: &mut Vec<Finding>) -> Result<(), String> {
        let Key { history, times, known, counts, .. } = key;
        let (events, arena) = history.parts();
        let event = &mut events[index];
        if !event.can_fire() {
            return Ok(());
        }
        counts.clear();
        counts.extend(self.counts.iter().zip(times).map(|(count, times)| {
            let start = event.time.saturating_sub(count.window_ms);
            let upto = |time: i64| times.partition_point(|other| *other <= time);
            (upto(event.time) - upto(start)) as i64
        }));
        let foreign = || format!("the state of key {group} holds an event of another layout");
        let cells = self.layout.known(event.kept.of(arena), known).ok_or_else(foreign)?;
        let holds = self.condition.remainder.holds(Subject { known, counts });
        if holds == Ok(true) {
            let mut context = self.layout.cells(cells).ok_or_else(foreign)?;
            for (count, counted) in self.counts.iter().zip(counts) {
                let start = event.time.saturating_sub(count.window_ms);
                context.extend([Value::Int64(*counted), Value::Timestamp(start)]);
            }
            let subject = event.subject(0, arena, group)?;
            findings.push(Finding { subject, severity: self.severity, criteria: 1, context });
            event.fired = true;
        } else if let Err(Unknown::Failed(place)) = holds {
            key.fail(place);
        }
        Ok(())
    }

    /// The columns that are kept of events that wait for the watermark, if they do.
    pub fn waits_with(&self) -> Option<String> {
        self.waits().then(|| self.layout.shape())
    }

    /// Whether events are judged when the watermark has passed them.
    fn waits(&self) -> bool {
        !matches!(self.condition.trend, Trend::Constant | Trend::Rising)
    }

    /// Judges what waited for the watermark, forgets what no event to come can count, and writes the state.
    fn close(
        &self,
        key: &mut Key<'_>,
        group: usize,
        watermark: i64,
        identities: Option<&IdentityColumns<'_>>,
        outcome: &mut RuleOutcome,
    ) -> Result<(), String> {
        if self.waits() {
            let settled = key.history.events.partition_point(|event| event.time < watermark);
            (0..settled).try_for_each(|index| self.judge(key, index, group, &mut outcome.findings))?;
        }
        let (events, arena) = key.history.parts();
        let (mut last, mut next) = (i64::MIN, NEVER);
        events.retain_mut(|event| {
            let members = event.kept.of(arena).first().copied().unwrap_or(0);
            let windows = self.memberships(members).map(|count| self.counts[count].window_ms);
            let counted = windows.max().map(|window_ms| event.time.saturating_add(window_ms));
            let undecided = event.can_fire() && event.time >= watermark;
            if !undecided {
                event.fired = true;
                event.kept = event.kept.first(SETTLED_BYTES);
            } else if self.waits() {
                next = next.min(event.time.saturating_add(1));
            }
            let needed = counted.filter(|end| *end > watermark).max(undecided.then_some(event.time.saturating_add(1)));
            last = last.max(needed.unwrap_or(i64::MIN));
            needed.is_some()
        });
        let wake = if events.is_empty() { NEVER } else { last.min(next) };
        key.history.encode(watermark, STATE_VERSION, true, identities, &mut outcome.states.data);
        end_state(outcome, wake)
    }
}
