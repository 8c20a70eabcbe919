//! Judging records again that were refused, or that a rule failed on.
//!
//! A redriven record moves neither positions nor time. It is as old as it is: where its partition's watermark has passed it, windows leave
//! it out, while stateless rules and joins judge it. What it raises has the identity that it would have had at first.

use tamis_model::{Error, Result};

use super::Stream;
use super::batch::{Timely, Trial};
use super::parts::{Redrive, Redriven};
use crate::decode::Decoder as _;
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
        let runs = |name: &String| self.runs.iter().any(|run| run.plan.name == *name && run.kept.tripped.is_none());
        let Some(slot) = slot.filter(|_| rule.as_ref().is_none_or(runs)) else { return Ok(false) };
        let topic = self.reader.slots[slot].topic;
        self.reader.chunk.fill(|bytes| {
            bytes.extend_from_slice(line);
            bytes.push(b'\n');
        });
        let chunk = &self.reader.chunk;
        let decoded = self.plan.topics[topic].decoder.decode(chunk, 0, 1);
        if decoded.consumed != chunk.records().len() {
            return Err(Error::invalid("redrive a record of", partition, "it is not one record line"));
        }
        let rows = Rows { partition, chunk, origins: &decoded.origins, times: &decoded.times, attempt: *attempt };
        for refused in &decoded.refused {
            self.outbox.refuse(rows, refused, refused.time.unwrap_or(0), &mut self.report.counts);
        }
        let lateness_ms = self.settings.lateness_ms;
        let watermark = self.times[topic].partition(partition.number).watermark(lateness_ms);
        let timely = Timely::of(decoded.times.iter().map(|time| watermark.saturating_sub(*time).max(0)));
        let now = self.clock.now();
        self.judge(slot, now, decoded, &timely, Trial { rule: rule.as_deref(), attempt: *attempt })?;
        Ok(true)
    }
}
