//! A partition that a source reads.

use std::time::Instant;

use tamis_engine::Chunk;
use tamis_engine::frame::Frames;
use tamis_model::Result;
use tamis_model::position::Partition;

use super::errors::failed_with;
use super::queue::{Arrived, PartitionQueue};

/// A partition that is read.
pub(super) struct Taken {
    pub partition: Partition,
    pub queue: PartitionQueue,
    /// Where it was taken up.
    pub begin: i64,
    /// The offset behind the last record that was read.
    pub next: i64,
    /// Where a bounded source ends.
    pub end: Option<i64>,
    /// The client has come to the partition's end and nothing was read since.
    pub at_end: Option<End>,
}

/// A partition's end, as it was.
#[derive(Clone, Copy)]
pub(super) struct End {
    /// Behind the last record, and behind the marks of transactions.
    pub offset: i64,
    /// When the broker said so, or was asked last.
    pub known: Instant,
}

impl Taken {
    /// The records from the offset `from` on, marks of transactions among them; none = nothing was fetched yet.
    pub fn lag(&self, from: i64) -> Option<u64> {
        let end = if self.at_end.is_some() { self.next } else { self.queue.end()? };
        Some(u64::try_from(end - from).unwrap_or(0))
    }

    /// Takes note of its end as somebody has found it who began to look at `began`.
    pub fn ends_at(&mut self, now: i64, began: Instant) {
        match &mut self.at_end {
            // What the client has told since is newer.
            Some(end) if end.known < began && now <= end.offset => end.known = began,
            Some(end) if end.known < began => self.at_end = None,
            _ => {}
        }
    }

    /// Whether it is at the end of a bounded source.
    pub fn has_ended(&self) -> bool {
        self.end.is_some_and(|end| self.next >= end || self.at_end.is_some())
    }

    /// Takes what has arrived, up to about `chunk_bytes`. Whether there is any record.
    pub fn read(&mut self, chunk: &mut Chunk, chunk_bytes: usize) -> Result<bool> {
        chunk.fill_frames(|frames| {
            self.fill(frames, chunk_bytes)?;
            Ok(!frames.is_empty())
        })
    }

    fn fill(&mut self, frames: &mut Frames<'_>, chunk_bytes: usize) -> Result<()> {
        while frames.len() < chunk_bytes {
            match self.queue.next() {
                None => break,
                Some(Arrived::Record(record)) => {
                    self.at_end = None;
                    if self.end.is_some_and(|end| record.offset() >= end) {
                        self.next = record.offset();
                        break;
                    }
                    frames.push(record.offset(), record.timestamp(), record.key(), record.value(), record.headers());
                    self.next = record.offset() + 1;
                }
                // It stands behind the records before the end, and behind the marks of transactions.
                Some(Arrived::End(offset)) => {
                    self.at_end = Some(End { offset, known: Instant::now() });
                    break;
                }
                Some(Arrived::Failed(code, words)) => {
                    let object = format!("{} from offset {}: {words}", self.partition, self.next);
                    let error = failed_with("read", object, code);
                    if !error.can_retry() {
                        return Err(error);
                    }
                    tracing::debug!("{}", error.chain());
                }
            }
        }
        Ok(())
    }
}
