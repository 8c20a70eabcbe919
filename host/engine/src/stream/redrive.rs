//! Judging records again that were refused, or that a rule failed on.
//!
//! A redriven record moves neither positions nor time. It is as old as it is: where its partition's watermark has passed it, windows leave
//! it out, while stateless rules and joins judge it. What it raises has the identity that it would have had at first.

use tamis_model::alert::AlertMode;
use tamis_model::{Error, Result};

use super::Stream;
use super::batch::{Timely, Trial, from_the_future, hash_keys};
use super::parts::{Redrive, RedriveRule, Redriven};
use super::turn::{Piece, PieceRows};
use crate::decode::Decoder as _;
use crate::judge::RuleRun;
use crate::outbox::Rows;

impl Stream {
    /// Judges records again, each by the rule that failed on it. What fails again gets another dead letter.
    pub fn redrive(&mut self, records: &[Redrive]) -> Result<Vec<Redriven>> {
        // What is pending in the present chunk is judged first, so that this one can lie in its place.
        while let Some(pending) = self.reader.pending.take() {
            self.judge_rows(pending)?;
            self.flush()?;
        }
        let mut redriven = Vec::with_capacity(records.len());
        for record in records {
            let letters_before = self.report.counts.dead_letters;
            redriven.push(match self.redrive_one(record)? {
                false => Redriven::Left,
                true if self.report.counts.dead_letters > letters_before => Redriven::Failed,
                true => Redriven::Judged,
            });
            self.flush()?;
        }
        self.changed = true;
        Ok(redriven)
    }

    /// Returns whether there was somebody to judge it.
    fn redrive_one(&mut self, record: &Redrive) -> Result<bool> {
        let Redrive { partition, line, rule, attempt } = record;
        let slot = self.reader.slots.iter().position(|slot| slot.partition == *partition);
        let run = rule.as_ref().map(|rule| self.run_of(rule));
        let Some(slot) = slot.filter(|_| run != Some(None)) else { return Ok(false) };
        let topic = self.reader.slots[slot].topic;
        self.reader.chunk.fill(|bytes| {
            bytes.extend_from_slice(line);
            bytes.push(b'\n');
        });
        let chunk = &self.reader.chunk;
        let decoded = self.plan.topics[topic].decoders[0].decode(chunk, 0, 1);
        if decoded.consumed != chunk.records().len() {
            return Err(Error::invalid("redrive a record of", partition, "it is not one record line"));
        }
        let rows = Rows { partition, chunk, origins: &decoded.origins, times: &decoded.times, attempt: *attempt };
        let now = self.clock.now();
        let time_max = self.time_max(now);
        let future = decoded.times.iter().zip(&decoded.origins).filter(|(time, _)| **time > time_max);
        let future: Vec<_> = future.map(|(time, origin)| from_the_future(*origin, *time, now)).collect();
        for refused in decoded.refused.iter().chain(&future) {
            self.outbox.refuse_again(rows, refused, &mut self.report.counts);
        }
        if !future.is_empty() {
            return Ok(true);
        }
        // A partition that has fallen quiet is as far as its topic.
        let partition_watermark = self.times[topic].partition(partition.number).watermark(self.settings.lateness_ms);
        let watermark = partition_watermark.max(self.times[topic].stands_at());
        let timely = Timely::of(decoded.times.iter().map(|time| watermark.saturating_sub(*time).max(0)));
        let topic = &self.plan.topics[topic];
        let hashes = |columns: &[_]| hash_keys(&topic.groupings, columns, &self.hasher);
        let rows = PieceRows::new(topic, decoded, timely, hashes)?;
        let piece = Piece { rows, after: Vec::new() };
        self.turn(Some(slot), now, &[piece], Trial { rule: run.flatten(), attempt: *attempt })?;
        Ok(true)
    }

    /// The version that failed, else the one that runs in its place now.
    fn run_of(&self, failed: &RedriveRule) -> Option<usize> {
        let of_rule = |run: &RuleRun| run.plan.name == failed.name && run.kept.tripped.is_none();
        let same = |run: &RuleRun| run.plan.version == failed.version;
        let in_its_place = |run: &RuleRun| (run.plan.role.alert_mode() == AlertMode::Shadow) == failed.shadow;
        let place = |is: &dyn Fn(&RuleRun) -> bool| self.runs.iter().position(|run| of_rule(run) && is(run));
        place(&same)
            .or_else(|| place(&|run| in_its_place(run) && !run.plan.role.is_trial()))
            .or_else(|| place(&in_its_place))
    }
}
