//! Hands records on to the exchange partitions of their keys.

use std::collections::BTreeMap;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use tamis_model::partitioner::partition_of;
use tamis_model::position::Partition;
use tamis_model::record::Record;
use tamis_model::time::Millis;

use super::Exchange;
use super::parcel::Parcel;
use crate::chunk::Chunk;
use crate::decode::Origin;
use crate::frame::Frames;
use crate::plan::{ALL, Key};

/// So long the others may not know that time has moved where it brings them no record.
const TELL_MS: Millis = 100;
/// So often they are told that nothing has changed: one that has just begun knows nothing.
pub(super) const TELL_AGAIN_MS: Millis = 5_000;

/// What is longer is cut: a parcel goes into one record.
const PARCEL_BYTES: usize = 512 << 10;

/// Hands records on.
pub(crate) struct Router {
    exchange: Exchange,
    /// By exchange partition the frames for it.
    frames: Vec<Vec<u8>>,
    /// By exchange partition the number of the last row that went there.
    has: Vec<u64>,
    row: u64,
    told: BTreeMap<Partition, Told>,
    out: Vec<Record>,
}

/// What the exchange knows of a partition's time.
#[derive(Clone, Copy)]
struct Told {
    highest: Option<Millis>,
    caught_up: bool,
    at: Millis,
}

/// Rows that are to be handed on.
pub(crate) struct Rows<'a> {
    pub chunk: &'a Chunk,
    /// The decoded columns.
    pub columns: &'a [ArrayRef],
    pub origins: &'a [Origin],
    /// For each row the highest time of its partition before it.
    pub before: &'a [Option<Millis>],
}

impl Router {
    pub fn new(exchange: Exchange) -> Self {
        let partitions = exchange.partitions as usize;
        Self {
            exchange,
            frames: vec![Vec::new(); partitions],
            has: vec![0; partitions],
            row: 0,
            told: BTreeMap::new(),
            out: Vec::new(),
        }
    }

    /// Takes rows, each once for each partition that one of its keys belongs to.
    pub fn take(&mut self, partition: &Partition, keys: &[Key], rows: &Rows<'_>, now: Millis) {
        let partitions = self.exchange.partitions;
        for (row, origin) in rows.origins.iter().enumerate() {
            self.row += 1;
            for key in keys {
                let to = match key {
                    Key::All => partition_of(ALL.as_bytes(), partitions),
                    Key::Column(column) => {
                        let column = rows.columns[*column].as_string::<i32>();
                        if column.is_null(row) {
                            continue;
                        }
                        partition_of(column.value(row).as_bytes(), partitions)
                    }
                };
                let to = to as usize;
                if std::mem::replace(&mut self.has[to], self.row) != self.row {
                    rows.chunk.hand_on(*origin, rows.before[row], &mut Frames::new(&mut self.frames[to]));
                    if self.frames[to].len() >= PARCEL_BYTES {
                        // Time has come further only behind all that is taken.
                        self.send_frames(to as u32, partition, None, now);
                    }
                }
            }
        }
    }

    /// Packs what was taken, all of it from `partition`, whose time has come to `highest`.
    pub fn pack(&mut self, partition: &Partition, highest: Option<Millis>, now: Millis) {
        for to in 0..self.exchange.partitions {
            self.send_frames(to, partition, highest, now);
        }
        // The partitions that got nothing do not know it yet.
        if let Some(told) = self.told.get_mut(partition) {
            told.caught_up = false;
        }
    }

    /// Tells all of them how far a partition has come, when they do not know it. Whether there was anything to tell.
    pub fn tell(&mut self, partition: &Partition, highest: Option<Millis>, caught_up: bool, now: Millis) -> bool {
        let is_due = |told: &Told| {
            let pause_ms = if (told.highest, told.caught_up) == (highest, caught_up) { TELL_AGAIN_MS } else { TELL_MS };
            now.saturating_sub(told.at) >= pause_ms
        };
        if self.told.get(partition).is_some_and(|told| !is_due(told)) {
            return false;
        }
        self.told.insert(partition.clone(), Told { highest, caught_up, at: now });
        for to in 0..self.exchange.partitions {
            let parcel = Parcel { partition: partition.clone(), highest, caught_up, frames: &[] };
            self.out.push(record(&self.exchange, to, &parcel, now));
        }
        true
    }

    /// What is to be written.
    pub fn drain(&mut self) -> Vec<Record> {
        std::mem::take(&mut self.out)
    }

    /// Sends what waits for a partition of the exchange.
    fn send_frames(&mut self, to: u32, partition: &Partition, highest: Option<Millis>, now: Millis) {
        let frames = &mut self.frames[to as usize];
        if !frames.is_empty() {
            let parcel = Parcel { partition: partition.clone(), highest, caught_up: false, frames };
            self.out.push(record(&self.exchange, to, &parcel, now));
            frames.clear();
        }
    }
}

fn record(exchange: &Exchange, to: u32, parcel: &Parcel<'_>, now: Millis) -> Record {
    Record {
        topic: exchange.topic.clone(),
        partition: Some(to),
        timestamp: now,
        key: None,
        value: Some(parcel.encode()),
        value_is_json: false,
        headers: Vec::new(),
    }
}
