//! The partitions of topics as one partition of the exchange has them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use tamis_model::error::Context as _;
use tamis_model::position::{Partition, Positions};
use tamis_model::time::Millis;
use tamis_model::{Error, Kind, Result};

use super::parcel::Parcel;
use super::router::TELL_AGAIN_MS;
use crate::chunk::{Chunk, FramedRecord, Framing};
use crate::clock::{Clock, Waker};
use crate::frame::Frame;
use crate::source::{Read, Source};

/// More is not read ahead; what waits belongs to partitions whose turn has not come.
const WAITING_BYTES_MAX: usize = 64 << 20;

/// A partition of which nothing is heard for so long may have records that nobody reads.
const SILENT_MS_MAX: Millis = 3 * TELL_AGAIN_MS;

/// The partitions of topics as one partition of the exchange has them: of each the records whose keys belong there.
///
/// A record that the exchange has twice, because the host that handed it on began again, is there once. Beside the positions of
/// the topics' partitions, checkpoints have the one in the exchange.
pub struct Demux {
    source: Box<dyn Source>,
    /// The partition of the exchange.
    exchange: Partition,
    lanes: BTreeMap<Partition, Lane>,
    /// The next offset to read of the exchange.
    next: i64,
    /// Where what was handed out last came from: it may not be judged yet.
    handed_out: Option<i64>,
    waiting_bytes: usize,
    chunk: Chunk,
    /// Where everything began.
    opened_at: Positions,
    /// Whether the exchange had nothing more when it was last asked.
    caught_up: bool,
    clock: Arc<dyn Clock>,
}

/// A partition of a topic.
#[derive(Default)]
struct Lane {
    /// The next offset: what lies before it has been here.
    next: i64,
    waiting: VecDeque<Arrived>,
    /// How far its time was said to have come.
    highest: Option<Millis>,
    /// Whether it had nothing more when it was last heard of.
    caught_up: bool,
    heard_at: Millis,
}

/// What has arrived of a partition.
struct Arrived {
    /// The offset in the exchange.
    at: i64,
    frames: Vec<u8>,
    highest: Option<Millis>,
    caught_up: bool,
}

impl Demux {
    /// The `partitions` of topics as `exchange` has them; `source` reads that one.
    pub fn new(
        source: Box<dyn Source>,
        exchange: Partition,
        partitions: impl IntoIterator<Item = Partition>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            source,
            exchange,
            lanes: partitions.into_iter().map(|partition| (partition, Lane::default())).collect(),
            next: 0,
            handed_out: None,
            waiting_bytes: 0,
            chunk: Chunk::default(),
            opened_at: Positions::default(),
            caught_up: false,
            clock,
        }
    }

    /// Takes what has arrived in the exchange. Returns whether anything has.
    fn take_in(&mut self) -> Result<bool> {
        match self.source.read(&self.exchange, &mut self.chunk)? {
            Read::Records => self.caught_up = false,
            read @ (Read::CaughtUp | Read::Waiting) => {
                self.caught_up = read == Read::CaughtUp;
                return Ok(false);
            }
            Read::Passed(_) | Read::Ended => {
                return Err(Error::invalid(
                    "read",
                    &self.exchange,
                    "an exchange neither ends nor has a time of its own",
                ));
            }
        }
        if self.chunk.framing() != Framing::Frames {
            return Err(Error::new(Kind::Corrupt, "read", &self.exchange).because("its records are not in frames"));
        }
        for FramedRecord { offset, value, .. } in self.chunk.framed() {
            self.next = offset + 1;
            let Some(value) = value else { continue };
            let parcel = Parcel::decode(value).corrupt("read", format!("{} offset {offset}", self.exchange))?;
            let lane = self.lanes.entry(parcel.partition.clone());
            // One that came up since is known to the checkpoint all the same.
            let lane = lane.or_insert_with_key(|partition| Lane::from(self.opened_at.next(partition)));
            lane.heard_at = self.clock.now();
            self.waiting_bytes += lane.take(offset, &parcel);
        }
        Ok(true)
    }
}

impl From<i64> for Lane {
    /// One that goes on at an offset.
    fn from(next: i64) -> Self {
        Self { next, ..Self::default() }
    }
}

impl Lane {
    /// Takes a parcel, without what has been here. Returns how many bytes wait because of it.
    fn take(&mut self, at: i64, parcel: &Parcel<'_>) -> usize {
        let mut frames = Vec::new();
        let mut start = 0;
        for end in Frame::ends(parcel.frames, 0) {
            let offset = Frame::read(parcel.frames, start).offset;
            if offset >= self.next {
                frames.extend_from_slice(&parcel.frames[start..end]);
                self.next = offset + 1;
            }
            start = end;
        }
        let bytes = frames.len();
        self.waiting.push_back(Arrived { at, frames, highest: parcel.highest, caught_up: parcel.caught_up });
        bytes
    }

    /// The records of the parcel that came first, or then how far time has come behind them; and its offset in the exchange. None
    /// when nothing new waits.
    fn next_read(&mut self, chunk: &mut Chunk) -> Option<(Read, i64)> {
        loop {
            let arrived = self.waiting.front_mut()?;
            let at = arrived.at;
            self.caught_up = arrived.caught_up;
            let frames = std::mem::take(&mut arrived.frames);
            if !frames.is_empty() {
                chunk.fill_framed(&frames);
                return Some((Read::Records, at));
            }
            let highest = self.waiting.pop_front()?.highest;
            // What is only said again is no sign of life.
            if let Some(highest) = highest.filter(|_| self.highest < highest) {
                self.highest = Some(highest);
                return Some((Read::Passed(highest), at));
            }
        }
    }
}

impl Source for Demux {
    fn wake(&mut self, waker: &Waker) {
        self.source.wake(waker);
    }

    fn open(&mut self, positions: &Positions) -> Result<()> {
        for (partition, lane) in &mut self.lanes {
            *lane = Lane::from(positions.next(partition));
        }
        (self.opened_at, self.caught_up) = (positions.clone(), false);
        (self.next, self.handed_out, self.waiting_bytes) = (positions.next(&self.exchange), None, 0);
        self.source.open(positions)
    }

    fn partitions(&mut self) -> Result<Vec<Partition>> {
        Ok(self.lanes.keys().cloned().collect())
    }

    fn read(&mut self, partition: &Partition, chunk: &mut Chunk) -> Result<Read> {
        self.handed_out = None;
        loop {
            let lane = self.lanes.get_mut(partition);
            let lane = lane.ok_or_else(|| Error::new(Kind::Missing, "read partition", partition))?;
            match lane.next_read(chunk) {
                Some((read, at)) => {
                    self.handed_out = Some(at);
                    if read == Read::Records {
                        self.waiting_bytes -= chunk.records().len();
                    }
                    return Ok(read);
                }
                None if self.waiting_bytes < WAITING_BYTES_MAX && self.take_in()? => {}
                None => {
                    // Of one that nobody speaks of nobody knows what it has: its host may be gone.
                    let heard_after = self.clock.now() - SILENT_MS_MAX;
                    let is_heard = |lane: &Lane| lane.caught_up && lane.heard_at >= heard_after;
                    let caught_up = self.caught_up && self.lanes.get(partition).is_some_and(is_heard);
                    return Ok(if caught_up { Read::CaughtUp } else { Read::Waiting });
                }
            }
        }
    }

    fn note(&self, positions: &mut Positions) {
        let waiting = self.lanes.values().filter_map(|lane| lane.waiting.front()).map(|arrived| arrived.at);
        let first = waiting.chain(self.handed_out).min();
        positions.set(&self.exchange, first.unwrap_or(self.next));
        self.source.note(positions);
    }

    /// That of the exchange.
    fn lag(&self) -> Vec<(Partition, u64)> {
        self.source.lag()
    }

    fn release(&mut self, positions: &Positions) -> Result<()> {
        self.source.release(positions)
    }
}
