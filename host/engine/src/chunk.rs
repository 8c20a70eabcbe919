//! Some records of a partition, as bytes.

use std::iter;
use std::ops::Range;

use tamis_model::time::Millis;

use crate::decode::Origin;
use crate::decode::json::{RecordParts, record_parts};
use crate::frame::{Frame, Frames};

/// Readable bytes behind a chunk's last record, so that decoders may load whole vectors.
pub const PADDING: usize = 64;

/// A stretch of fewer records is not worth a thread of its own.
const STRETCH_ROWS_MIN: usize = 128;

/// A stretch of one partition: whole records, one behind the other.
#[derive(Debug, Default)]
pub struct Chunk {
    /// The records, then [`PADDING`] bytes of zero.
    bytes: Vec<u8>,
    framing: Framing,
}

/// What tells the records of a chunk apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// Each ends in a line break: record lines (contracts 1), or a file's own rows.
    #[default]
    Lines,
    /// Each stands in a [frame](mod@crate::frame).
    Frames,
}

impl Framing {
    /// Between the end of a record and the next one.
    pub(crate) fn separator_bytes(self) -> usize {
        usize::from(self == Self::Lines)
    }
}

impl Chunk {
    /// The records without the padding.
    pub fn records(&self) -> &[u8] {
        &self.bytes[..self.bytes.len().saturating_sub(PADDING)]
    }

    /// The records and the padding.
    pub fn padded(&self) -> &[u8] {
        &self.bytes
    }

    /// Cuts what comes next from byte `from` on, `rows_max` records for each of `count` or fewer, into stretches of whole records, at
    /// most `count` and each of about as many. One alone reaches to the end.
    pub(crate) fn stretches(&self, from: usize, rows_max: usize, count: usize) -> Vec<Range<usize>> {
        let records = self.records();
        if count == 1 {
            return iter::once(from..records.len()).collect();
        }
        let rows_all = rows_max.saturating_mul(count);
        let end = |origin: Origin| (origin.end as usize + self.framing.separator_bytes()).min(records.len());
        let ends: Vec<usize> = self.origins_from(from).take(rows_all).map(end).collect();
        let count = count.min((ends.len() / STRETCH_ROWS_MIN).max(ends.len().div_ceil(rows_max)));
        let length = ends.len().div_ceil(count.max(1)).max(1);
        let mut start = from;
        let stretch = |ends: &[usize]| {
            let end = ends[ends.len() - 1];
            std::mem::replace(&mut start, end)..end
        };
        ends.chunks(length).map(stretch).collect()
    }

    /// Where each of its records stands, in order. Nothing is read of what they say: their offsets are −1.
    pub fn origins(&self) -> impl Iterator<Item = Origin> {
        self.origins_from(0)
    }

    /// The same from the one on that begins at byte `at`.
    pub(crate) fn origins_from(&self, mut at: usize) -> impl Iterator<Item = Origin> {
        let records = self.records();
        iter::from_fn(move || {
            let start = at;
            let rest = records.get(start..).filter(|rest| !rest.is_empty())?;
            let end = match self.framing {
                Framing::Lines => start + memchr::memchr(b'\n', rest).unwrap_or(rest.len()),
                Framing::Frames => Frame::read(records, start).end,
            };
            at = end + self.framing.separator_bytes();
            let byte = |at| u32::try_from(at).expect("a chunk is far below 4 GiB");
            Some(Origin { offset: -1, start: byte(start), end: byte(end) })
        })
    }

    /// Takes the records out for which `keep` does not hold.
    pub fn retain(&mut self, mut keep: impl FnMut(&Self, Origin) -> bool) {
        let separator = self.framing.separator_bytes();
        let origins: Vec<Origin> = self.origins().collect();
        let kept: Vec<Origin> = origins.into_iter().filter(|origin| keep(self, *origin)).collect();
        let mut to = 0;
        for origin in kept {
            let (start, end) = (origin.start as usize, origin.end as usize + separator);
            self.bytes.copy_within(start..end, to);
            to += end - start;
        }
        self.bytes.truncate(to);
        self.bytes.resize(to + PADDING, 0);
    }

    /// What tells them apart.
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// Fills the chunk anew: `fill` appends the records, each with its line break, to the empty buffer it gets.
    pub fn fill<T>(&mut self, fill: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        self.refill(Framing::Lines, fill)
    }

    /// Fills the chunk anew with frames.
    pub fn fill_frames<T>(&mut self, fill: impl FnOnce(&mut Frames<'_>) -> T) -> T {
        self.refill(Framing::Frames, |bytes| fill(&mut Frames::new(bytes)))
    }

    /// Fills the chunk anew with frames that stand one behind the other already.
    pub(crate) fn fill_framed(&mut self, frames: &[u8]) {
        self.refill(Framing::Frames, |bytes| bytes.extend_from_slice(frames));
    }

    /// Its records, when they are in frames.
    pub fn framed(&self) -> impl Iterator<Item = FramedRecord<'_>> {
        let records = self.records();
        let end = if self.framing == Framing::Frames { records.len() } else { 0 };
        let mut start = 0;
        Frame::ends(&records[..end], 0).map(move |end| {
            let frame = Frame::read(records, std::mem::replace(&mut start, end));
            let Frame { offset, timestamp, .. } = frame;
            FramedRecord { offset, timestamp, key: frame.key(records), value: frame.value(records) }
        })
    }

    /// The bytes of one of its records: a line without its line break, or a frame.
    pub fn raw(&self, origin: Origin) -> &[u8] {
        &self.bytes[origin.start as usize..origin.end as usize]
    }

    /// What one of its records says, as far as it can be read.
    pub fn record(&self, origin: Origin) -> RecordParts {
        match self.framing {
            Framing::Lines => record_parts(self.raw(origin)),
            Framing::Frames => Frame::read(&self.bytes, origin.start as usize).parts(&self.bytes),
        }
    }

    /// The time of one of its records.
    pub fn timestamp(&self, origin: Origin) -> Option<Millis> {
        match self.framing {
            Framing::Lines => self.record(origin).timestamp,
            Framing::Frames => Frame::read(&self.bytes, origin.start as usize).timestamp,
        }
    }

    /// The highest time of the partition before one of its records, where that cannot be seen from the records here.
    pub(crate) fn before(&self, origin: Origin) -> Option<Millis> {
        match self.framing {
            Framing::Lines => None,
            Framing::Frames => Frame::read(&self.bytes, origin.start as usize).before,
        }
    }

    /// Adds one of its records to `frames`, with the highest time of the partition before it.
    pub(crate) fn hand_on(&self, origin: Origin, before: Option<Millis>, frames: &mut Frames<'_>) {
        match self.framing {
            Framing::Frames => frames.push_behind(self.raw(origin), before),
            Framing::Lines => {
                let parts = self.record(origin);
                let headers = parts.headers.iter().map(|(name, value)| (name.as_bytes(), value.as_slice()));
                let mut frame = Vec::new();
                let (key, value) = (parts.key.as_deref(), parts.value.as_deref());
                Frames::new(&mut frame).push(origin.offset, parts.timestamp, key, value, headers);
                frames.push_behind(&frame, before);
            }
        }
    }

    fn refill<T>(&mut self, framing: Framing, fill: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        self.framing = framing;
        self.bytes.clear();
        let result = fill(&mut self.bytes);
        self.bytes.resize(self.bytes.len() + PADDING, 0);
        result
    }
}

/// A record in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FramedRecord<'a> {
    /// Its offset.
    pub offset: i64,
    /// Its time.
    pub timestamp: Option<Millis>,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value; none = it is a tombstone.
    pub value: Option<&'a [u8]>,
}
