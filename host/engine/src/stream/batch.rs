//! From a chunk's bytes to judged rows.

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, BooleanArray, new_null_array};
use arrow_schema::DataType;
use arrow_select::filter::filter;
use tamis_model::error::Context as _;
use tamis_model::time::{Millis, rfc3339_millis};
use tamis_model::{Error, Kind, Result};

use super::Stream;
use super::reader::Pending;
use crate::decode::{Decoded, Decoder as _, Origin, Refused};
use crate::grouping::Groups;
use crate::judge::{Batch, Desk};
use crate::outbox::Rows;
use crate::plan::{Key, TopicPlan};
use crate::report::{of, timed};

impl Stream {
    /// Decodes the next rows of the chunk and judges them.
    pub(super) fn judge_rows(&mut self, pending: Pending) -> Result<()> {
        let Pending { slot, from } = pending;
        let topic = self.reader.slots[slot].topic;
        let decoder = &mut self.plan.topics[topic].decoder;
        let (chunk, rows_max) = (&self.reader.chunk, self.settings.rows_max);
        let decoded = timed(&mut self.report.spent.decode_ns, || decoder.decode(chunk, from, rows_max));
        if decoded.consumed == 0 {
            let object = format!("{}, byte {from} of a chunk", self.reader.slots[slot].partition);
            return Err(Error::new(Kind::Corrupt, "decode", object));
        }
        let next = from + decoded.consumed;
        if next < self.reader.chunk.records().len() {
            self.reader.pending = Some(Pending { slot, from: next });
        }
        let now = self.clock.now();
        let timely = self.admit(slot, now, &decoded);
        self.changed = true;
        self.judge(slot, now, decoded, &timely, Trial::FIRST)
    }

    /// Takes the times of a batch's records, in the order in which they arrived. Refused records get their dead letters here.
    fn admit(&mut self, slot: usize, now: Millis, decoded: &Decoded) -> Timely {
        let slot = &self.reader.slots[slot];
        let (partition, number) = (&slot.partition, slot.partition.number);
        let rows =
            Rows { partition, chunk: &self.reader.chunk, origins: &decoded.origins, times: &decoded.times, attempt: 1 };
        let lateness_ms = self.settings.lateness_ms;
        let time_max = self.time_max(now);
        let time = self.times[slot.topic].partition(number);
        let counts = &mut self.report.counts;
        let mut position = self.positions.next(partition);
        let mut timely = Timely::of(std::iter::empty());
        let mut refused = decoded.refused.iter().peekable();
        for row in 0..=decoded.times.len() {
            while let Some(refused) = refused.next_if(|refused| refused.after_row as usize <= row) {
                let before = time.last().unwrap_or(0);
                match refused.time {
                    Some(at) if at > time_max => {
                        self.outbox.refuse(rows, &from_the_future(refused.origin, at, now), before, counts);
                    }
                    readable => {
                        self.outbox.refuse(rows, refused, before, counts);
                        readable.map(|at| time.observe(at, lateness_ms));
                    }
                }
                // What a line says of itself counts only when it is a record, or says what is expected. A line without an offset lies in
                // front of a position, so a restart may refuse it again: a record that was passed over would be lost.
                let offset = refused.origin.offset;
                if offset >= 0 && (refused.time.is_some() || offset == position) {
                    position = position.max(offset.saturating_add(1));
                }
            }
            let Some(at) = decoded.times.get(row) else { break };
            if *at > time_max {
                let refused = from_the_future(decoded.origins[row], *at, now);
                self.outbox.refuse(rows, &refused, *at, counts);
                timely.refused.push(row);
            } else {
                timely.admit(time.observe(*at, lateness_ms));
            }
            position = position.max(decoded.origins[row].offset.saturating_add(1));
        }
        self.positions.set(partition, position);
        let counts = of(&mut counts.topics, &partition.topic);
        counts.records += (decoded.times.len() + decoded.refused.len()) as u64;
        counts.late += timely.late_count;
        timely
    }

    /// Records that are later are refused.
    pub(super) fn time_max(&self, now: Millis) -> Millis {
        if self.settings.bounded { Millis::MAX } else { now.saturating_add(self.settings.future_ms_max) }
    }

    /// Groups the admitted rows and gives them to the rules of their topic.
    pub(super) fn judge(
        &mut self,
        slot: usize,
        now: Millis,
        mut decoded: Decoded,
        timely: &Timely,
        trial: Trial,
    ) -> Result<()> {
        if timely.behind_ms.is_empty() {
            return Ok(());
        }
        let slot = &self.reader.slots[slot];
        let columns = timely.keep(&mut decoded)?;
        let topic = &self.plan.topics[slot.topic];
        let rows = Rows {
            partition: &slot.partition,
            chunk: &self.reader.chunk,
            origins: &decoded.origins,
            times: &decoded.times,
            attempt: trial.attempt,
        };
        let identities = identities(topic, &columns, rows.times.len());
        let batch = Batch { rows, columns: &columns, identities: &identities };
        let groups = &mut self.groups;
        groups.resize_with(topic.groupings.len().max(groups.len()), Groups::default);
        timed(&mut self.report.spent.state_ns, || {
            for (grouping, groups) in topic.groupings.iter().zip(groups.iter_mut()) {
                let left_out = timely.left_out(grouping.behind_ms_max);
                let left_out = left_out.as_deref();
                match grouping.key {
                    Key::All => groups.all(rows.times.len(), left_out, &self.hasher),
                    Key::Column(column) => groups.by_column(columns[column].as_string(), left_out, &self.hasher),
                }
            }
        });
        let generated_at = rfc3339_millis(now);
        let Self { outbox, report, .. } = self;
        let mut desk = Desk { topics: &self.plan.topics, generated_at: &generated_at, outbox, report };
        let mut any_stopped = false;
        for reader in &topic.readers {
            let run = &mut self.runs[reader.rule];
            let groups = reader.grouping.map(|grouping| &self.groups[grouping]);
            let judges = run.kept.tripped.is_none() && trial.rule.is_none_or(|index| index == reader.rule);
            if judges && groups.is_none_or(|groups| !groups.hashes.is_empty()) {
                let layout = &self.plan.layouts[reader.rule];
                any_stopped |= run.apply(layout, reader.input, &batch, groups, &mut desk)?;
            }
        }
        if any_stopped {
            self.take_stock();
        }
        Ok(())
    }
}

/// Which rules judge, and for the how manieth time.
#[derive(Clone, Copy)]
pub(super) struct Trial {
    /// The index of the only one; none = all.
    pub rule: Option<usize>,
    pub attempt: u32,
}

impl Trial {
    const FIRST: Self = Self { rule: None, attempt: 1 };
}

/// What the times of a batch's rows say.
pub(super) struct Timely {
    /// For each admitted row how far it lies behind its partition's watermark.
    behind_ms: Vec<i64>,
    /// Rows that lie behind it.
    late_count: u64,
    /// The rows that are refused for their time.
    refused: Vec<usize>,
}

impl Timely {
    /// Rows of which none is refused.
    pub fn of(behind_ms: impl Iterator<Item = i64>) -> Self {
        let mut timely = Self { behind_ms: Vec::new(), late_count: 0, refused: Vec::new() };
        behind_ms.for_each(|behind_ms| timely.admit(behind_ms));
        timely
    }

    fn admit(&mut self, behind_ms: i64) {
        self.behind_ms.push(behind_ms);
        self.late_count += u64::from(behind_ms > 0);
    }

    /// Whether each row lies further behind than it may; none when no row does.
    fn left_out(&self, behind_ms_max: Option<i64>) -> Option<Vec<bool>> {
        let max = behind_ms_max.filter(|_| self.late_count > 0)?;
        Some(self.behind_ms.iter().map(|behind_ms| *behind_ms > max).collect())
    }

    /// Takes the refused rows out of a batch. Returns the columns of the others.
    fn keep(&self, decoded: &mut Decoded) -> Result<Vec<ArrayRef>> {
        if self.refused.is_empty() {
            return Ok(decoded.rows.columns().to_vec());
        }
        let mut kept = vec![true; decoded.times.len()];
        self.refused.iter().for_each(|row| kept[*row] = false);
        let mask = BooleanArray::from(kept);
        let mut row = mask.values().iter();
        decoded.times.retain(|_| row.next() == Some(true));
        let mut row = mask.values().iter();
        decoded.origins.retain(|_| row.next() == Some(true));
        let columns = decoded.rows.columns().iter().map(|column| filter(column, &mask));
        columns.collect::<Result<_, _>>().corrupt("filter", "a decoded batch")
    }
}

pub(super) fn from_the_future(origin: Origin, time: Millis, now: Millis) -> Refused {
    let message = format!("its time is {}, the clock's {}", rfc3339_millis(time), rfc3339_millis(now));
    Refused { origin, after_row: 0, time: Some(time), reason: "future_timestamp", message }
}

/// Columns `id`, `order_id`, `customer_id`; null where the topic has none.
fn identities(topic: &TopicPlan, columns: &[ArrayRef], rows: usize) -> [ArrayRef; 3] {
    let names = &topic.identities;
    let column = |column: Option<usize>| match column {
        Some(column) => columns[column].clone(),
        None => new_null_array(&DataType::Utf8, rows),
    };
    [column(Some(names.id)), column(names.order_id), column(names.customer_id)]
}
