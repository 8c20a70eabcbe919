//! What came of the records that somebody waits for: gathered in the turn that judges them, told when its output has left.

use memchr::memmem;
use tamis_model::position::Partition;
use tamis_model::time::Millis;

use super::Stream;
use super::batch::{Timely, from_the_future};
use crate::chunk::Chunk;
use crate::decisions::{Decision, Decisions, HEADER, Hit, Outcome, RuleResult, Ticket, Verdict};
use crate::decode::{Decoded, Origin, Refused};
use crate::judge::RuleRun;
use crate::recent::RecentAlerts;
use crate::rules::RulePlan;
use crate::tray::{Item, Place};

/// The records that somebody waits for.
#[derive(Default)]
pub(super) struct Deciding {
    /// Those of the turn, in the order of pieces and rows.
    rows: Vec<Row>,
    /// What came of others, whose output may not have left yet.
    decided: Vec<(Ticket, Decision)>,
}

/// An admitted row that somebody waits for.
struct Row {
    ticket: Ticket,
    piece: usize,
    row: u32,
    partition: Partition,
    offset: i64,
    late: bool,
    /// By the indices of the rules that judged it.
    verdicts: Vec<(u32, Verdict)>,
}

/// Where a header that may be a ticket stands in a chunk.
pub(super) struct Marks(Vec<usize>);

/// A record that somebody waits for.
#[derive(Clone, Copy)]
pub(super) struct Awaited {
    ticket: Ticket,
    origin: Origin,
}

impl Marks {
    /// Those between two bytes of a chunk. When nobody wants to know, none is looked for.
    pub fn find(decisions: &Decisions, chunk: &Chunk, from: usize, to: usize) -> Self {
        if !decisions.any_wanted() {
            return Self(Vec::new());
        }
        Self(memmem::find_iter(&chunk.records()[from..to], HEADER).map(|at| from + at).collect())
    }

    /// The records among those decoded together that somebody waits for.
    pub fn awaited(&self, decisions: &Decisions, chunk: &Chunk, decoded: &Decoded) -> Vec<Awaited> {
        let mut awaited: Vec<Awaited> = Vec::new();
        for mark in &self.0 {
            let Some(origin) = record_at(decoded, *mark) else { continue };
            // The header's name may stand in it more than once.
            if awaited.last().is_some_and(|last| last.origin.start == origin.start) {
                continue;
            }
            let ticket = Ticket::find(&chunk.record(origin).headers).filter(|ticket| decisions.is_wanted(*ticket));
            awaited.extend(ticket.map(|ticket| Awaited { ticket, origin }));
        }
        awaited
    }
}

/// The record in which byte `at` of the chunk lies.
fn record_at(decoded: &Decoded, at: usize) -> Option<Origin> {
    let has = |origin: &Origin| (origin.start as usize..origin.end as usize).contains(&at);
    let behind = decoded.origins.partition_point(|origin| origin.start as usize <= at);
    let accepted = behind.checked_sub(1).map(|row| decoded.origins[row]).filter(has);
    accepted.or_else(|| decoded.refused.iter().map(|refused| refused.origin).find(has))
}

impl Deciding {
    /// Takes those rows of piece `piece` that somebody waits for. Returns their numbers.
    pub fn admit(
        &mut self,
        piece: usize,
        partition: &Partition,
        decoded: &Decoded,
        timely: &Timely,
        awaited: &[Awaited],
    ) -> Vec<u32> {
        let mut rows = Vec::new();
        for Awaited { ticket, origin } in awaited {
            let row = decoded.origins.binary_search_by_key(&origin.start, |origin| origin.start);
            let Ok(row) = row else { continue };
            rows.push(row as u32);
            self.rows.push(Row {
                ticket: *ticket,
                piece,
                row: row as u32,
                partition: partition.clone(),
                offset: decoded.origins[row].offset,
                late: timely.is_late(row),
                verdicts: Vec::new(),
            });
        }
        rows
    }

    /// A rule has judged a row, and so far did not fire.
    pub fn judged(&mut self, place: Place) {
        if let Some(row) = self.row(place) {
            row.verdicts.push((place.rule, Verdict::NoHit));
        }
    }

    /// A rule has made something.
    pub fn take(&mut self, place: Place, item: &Item, recent: &RecentAlerts) {
        if self.rows.is_empty() {
            return;
        }
        let Some(row) = self.row(place) else { return };
        let verdict = row.verdicts.iter_mut().find(|(rule, verdict)| *rule == place.rule && *verdict == Verdict::NoHit);
        let Some((_, verdict)) = verdict else { return };
        match item {
            Item::Alert(raised) => {
                let alert = &raised.alert;
                *verdict = Verdict::Hit(Box::new(Hit {
                    alert_id: alert.alert_id.clone(),
                    severity: alert.severity,
                    criteria: alert.criteria.clone(),
                    context: alert.context.clone(),
                    repeated: recent.has(&alert.alert_id),
                }));
            }
            Item::Letter(letter) => {
                *verdict = Verdict::Error { reason: letter.reason.into(), message: letter.message.clone() };
            }
            Item::Row(_) => {}
        }
    }

    /// The turn is over.
    pub fn finish(&mut self, runs: &[RuleRun], revision: u64) {
        for Row { ticket, partition, offset, late, mut verdicts, .. } in self.rows.drain(..) {
            verdicts.sort_by_key(|(rule, _)| *rule);
            let result = |(rule, verdict)| {
                let RulePlan { name, version, plugin, role, .. } = &*runs[rule as usize].plan;
                let (plugin, plugin_version) = (plugin.name.clone(), plugin.version.clone());
                RuleResult { rule: name.clone(), version: *version, plugin, plugin_version, role: *role, verdict }
            };
            let outcome = Outcome::Judged { late, rules: verdicts.into_iter().map(result).collect() };
            self.decided.push((ticket, Decision { partition, offset, revision, outcome }));
        }
    }

    /// Tells those who wait: the output has left.
    pub fn tell(&mut self, decisions: &Decisions) {
        self.decided.drain(..).for_each(|(ticket, decision)| decisions.decide(ticket, decision));
    }

    fn row(&mut self, place: Place) -> Option<&mut Row> {
        let key = (place.batch as usize, place.row);
        let at = self.rows.binary_search_by_key(&key, |row| (row.piece, row.row)).ok()?;
        Some(&mut self.rows[at])
    }
}

impl Stream {
    /// Takes those records that somebody waits for and that were refused: by the decoder, or for their time or length.
    pub(super) fn note_refused(
        &mut self,
        slot: usize,
        now: Millis,
        awaited: &[Awaited],
        decoded: &Decoded,
        timely: &Timely,
    ) {
        let time_max = self.time_max(now);
        for Awaited { ticket, origin } in awaited {
            let is_it = |refused: &&Refused| refused.origin.start == origin.start;
            let Some(refused) = decoded.refused.iter().chain(timely.refused()).find(is_it) else { continue };
            let refused = match refused.time {
                Some(time) if time > time_max => from_the_future(*origin, time, now),
                _ => refused.clone(),
            };
            let Refused { reason, message, .. } = refused;
            let (partition, revision) = (self.reader.slots[slot].partition.clone(), self.report.revision);
            let outcome = Outcome::Refused { reason: reason.into(), message };
            self.deciding.decided.push((*ticket, Decision { partition, offset: origin.offset, revision, outcome }));
        }
    }
}
