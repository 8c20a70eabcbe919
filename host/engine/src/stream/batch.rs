//! From a chunk's bytes to judged rows.

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, BooleanArray};
use arrow_select::filter::filter;
use hashbrown::DefaultHashBuilder;
use tamis_model::error::Context as _;
use tamis_model::time::{Millis, rfc3339_millis};
use tamis_model::{Error, Kind, Result};

use super::Stream;
use super::deciding::Marks;
use super::reader::Pending;
use super::turn::{Piece, PieceRows};
use crate::decode::{Decoded, Origin, Refused};
use crate::exchange::Part;
use crate::grouping::hash_all;
use crate::outbox::Rows;
use crate::plan::{Grouping, Key, TopicPlan};
use crate::report::{of, timed};

/// What is longer goes into no topic of ours: neither on to another host nor, with what is said of it, among the dead letters.
const RECORD_BYTES_MAX: usize = 1 << 20;

/// Decoded rows, and by the topic's way of grouping the hash of each row's key.
type Hashed = (Decoded, Vec<Vec<u64>>);

impl Stream {
    /// Decodes the next rows of the chunk and judges them, then moves time.
    pub(super) fn judge_rows(&mut self, pending: Pending) -> Result<()> {
        let partition = &self.reader.slots[pending.slot].partition;
        // Whatever the log says of a batch, it says where the batch begins.
        let began = format!("{partition}/{}", self.positions.next(partition));
        let span = tracing::error_span!("batch", trace_id = %began);
        let judged = span.in_scope(|| self.judge_batch(pending));
        judged.map_err(|error| Error::new(error.kind(), "judge the batch at", began).because(error))
    }

    fn judge_batch(&mut self, pending: Pending) -> Result<()> {
        let Pending { slot, from } = pending;
        let (decoded, next) = self.decode(slot, from)?;
        if next < self.reader.chunk.records().len() {
            self.reader.pending = Some(Pending { slot, from: next });
        }
        let now = self.clock.now();
        let marks = Marks::find(&self.decisions, &self.reader.chunk, from, next);
        let mut pieces = Vec::with_capacity(decoded.len());
        for (decoded, hashes) in decoded {
            let awaited = marks.awaited(&self.decisions, &self.reader.chunk, &decoded);
            let timely = self.admit(slot, now, &decoded);
            self.note_refused(slot, now, &awaited, &decoded, &timely);
            let topic = &self.plan.topics[self.reader.slots[slot].topic];
            let hashes = Some(hashes).filter(|_| timely.refused.is_empty());
            let hashes =
                |columns: &[ArrayRef]| hashes.unwrap_or_else(|| hash_keys(&topic.groupings, columns, &self.hasher));
            let mut rows = PieceRows::new(topic, decoded, timely, hashes)?;
            if let Some(rows) = &mut rows {
                let partition = &self.reader.slots[slot].partition;
                rows.watch(&mut self.deciding, pieces.len(), partition, &awaited);
            }
            if let (Some(router), Some(rows)) = (&mut self.router, &rows) {
                let partition = &self.reader.slots[slot].partition;
                router.take(partition, &topic.routes, &rows.to_hand_on(&self.reader.chunk), now);
            }
            pieces.push(Piece { rows, after: self.pass_time(now) });
        }
        self.pack(slot, now);
        self.meters.batches += pieces.len() as u64;
        self.changed = true;
        self.turn(Some(slot), now, &pieces, Trial::FIRST)
    }

    /// Makes parcels of what was taken for the exchange.
    fn pack(&mut self, slot: usize, now: Millis) {
        if let Some(router) = &mut self.router {
            let slot = &self.reader.slots[slot];
            let highest = self.times[slot.topic].partition(slot.partition.number).highest();
            router.pack(&slot.partition, highest, now);
        }
    }

    /// Decodes what comes next in the chunk, one stretch for each shard. Returns where the first byte behind it is.
    fn decode(&mut self, slot: usize, from: usize) -> Result<(Vec<Hashed>, usize)> {
        let Self { plan, reader, pool, settings, hasher, .. } = self;
        let (chunk, rows_max) = (&reader.chunk, settings.rows_max);
        let stretches = chunk.stretches(from, rows_max, settings.shards);
        let TopicPlan { decoders, groupings, .. } = &mut plan.topics[reader.slots[slot].topic];
        while decoders.len() < stretches.len() {
            decoders.push(decoders[0].clone());
        }
        let mut work: Vec<_> = decoders.iter_mut().zip(&stretches).map(|(d, stretch)| (d, stretch, None)).collect();
        timed(&mut self.report.spent.decode_ns, || {
            pool.each(true, &mut work, |(decoder, stretch, decoded)| {
                let rows = decoder.decode_stretch(chunk, (*stretch).clone(), rows_max);
                let hashes = hash_keys(groupings, rows.rows.columns(), hasher);
                *decoded = Some((rows, hashes));
            });
        });
        let decoded: Vec<_> = work.into_iter().filter_map(|(_, _, decoded)| decoded).collect();
        let last = stretches.last().map_or(from, |stretch| stretch.start);
        let next = last + decoded.last().map_or(0, |(decoded, _)| decoded.consumed);
        if next == from {
            let object = format!("{}, byte {from} of a chunk", reader.slots[slot].partition);
            return Err(Error::new(Kind::Corrupt, "decode", object));
        }
        Ok((decoded, next))
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
            let origin = decoded.origins[row];
            let refused = if *at > time_max {
                Some(from_the_future(origin, *at, now))
            } else if origin.bytes() > RECORD_BYTES_MAX {
                time.observe(*at, lateness_ms);
                Some(too_large(origin, *at))
            } else {
                None
            };
            if let Some(refused) = refused {
                self.outbox.refuse(rows, &refused, *at, counts);
                timely.refused.push((row, refused));
            } else {
                if let Some(before) = self.reader.chunk.before(decoded.origins[row]) {
                    time.raise(before);
                }
                timely.before.push(time.highest());
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
        // What is handed on was accepted by the clock of the one who read it.
        let is_accepted = self.settings.bounded || matches!(self.settings.part, Part::Keyed { .. });
        if is_accepted { Millis::MAX } else { now.saturating_add(self.settings.future_ms_max) }
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
    pub const FIRST: Self = Self { rule: None, attempt: 1 };
}

/// What the times of a batch's rows say.
pub(super) struct Timely {
    /// For each admitted row how far it lies behind its partition's watermark.
    behind_ms: Vec<i64>,
    /// Rows that lie behind it.
    late_count: u64,
    /// The rows that are refused for their time or their length.
    refused: Vec<(usize, Refused)>,
    /// For each admitted row the highest time of its partition before it, where time moves.
    pub before: Vec<Option<Millis>>,
}

impl Timely {
    /// Rows of which none is refused.
    pub fn of(behind_ms: impl Iterator<Item = i64>) -> Self {
        let mut timely = Self { behind_ms: Vec::new(), late_count: 0, refused: Vec::new(), before: Vec::new() };
        behind_ms.for_each(|behind_ms| timely.admit(behind_ms));
        timely
    }

    fn admit(&mut self, behind_ms: i64) {
        self.behind_ms.push(behind_ms);
        self.late_count += u64::from(behind_ms > 0);
    }

    /// Whether an admitted row lies behind its partition's watermark.
    pub fn is_late(&self, row: usize) -> bool {
        self.behind_ms[row] > 0
    }

    /// Why records are refused that were decoded: for their time or their length.
    pub fn refused(&self) -> impl Iterator<Item = &Refused> {
        self.refused.iter().map(|(_, refused)| refused)
    }

    /// Whether no row is admitted.
    pub fn is_empty(&self) -> bool {
        self.behind_ms.is_empty()
    }

    /// Whether each row lies further behind than it may; none when no row does.
    pub fn left_out(&self, behind_ms_max: Option<i64>) -> Option<Vec<bool>> {
        let max = behind_ms_max.filter(|_| self.late_count > 0)?;
        Some(self.behind_ms.iter().map(|behind_ms| *behind_ms > max).collect())
    }

    /// Takes the refused rows out of a batch. Returns the columns of the others.
    pub fn keep(&self, decoded: &mut Decoded) -> Result<Vec<ArrayRef>> {
        if self.refused.is_empty() {
            return Ok(decoded.rows.columns().to_vec());
        }
        let mut kept = vec![true; decoded.times.len()];
        self.refused.iter().for_each(|(row, _)| kept[*row] = false);
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

fn too_large(origin: Origin, time: Millis) -> Refused {
    let message = format!("it has {} bytes, and a record at most {RECORD_BYTES_MAX}", origin.bytes());
    Refused { origin, after_row: 0, time: Some(time), reason: "too_large", message }
}

/// By way of grouping the hash of each row's key.
pub(super) fn hash_keys(groupings: &[Grouping], columns: &[ArrayRef], hasher: &DefaultHashBuilder) -> Vec<Vec<u64>> {
    let hashes = |grouping: &Grouping| match grouping.key {
        Key::All => Vec::new(),
        Key::Column(column) => hash_all(columns[column].as_string(), hasher),
    };
    groupings.iter().map(hashes).collect()
}
