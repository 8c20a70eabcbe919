//! Frames: the value is decoded where it lies, and what stands around it is known without reading.

use std::ops::Range;

use super::RecordDecoder;
use super::refusal::{Reason, origin};
use super::scan::Scan;
use crate::chunk::Chunk;
use crate::frame::Frame;

impl RecordDecoder {
    /// Reads at most `rows_max` frames of a stretch of the chunk; returns where it stopped.
    #[inline(always)]
    pub(super) fn frames<S: Scan>(&mut self, scan: S, chunk: &Chunk, stretch: Range<usize>, rows_max: usize) -> usize {
        let (bytes, padded, mut at) = (&chunk.records()[..stretch.end], chunk.padded(), stretch.start);
        while at < bytes.len() && self.reader.store.columns.rows() + self.batch.refused.len() < rows_max {
            let frame = Frame::read(bytes, at);
            self.reader.line.begin(Some(frame.offset), frame.timestamp);
            let (start, end) = (frame.value_start, frame.value_end);
            let read = simdutf8::basic::from_utf8(&bytes[start..end]).is_ok()
                && self.reader.bare_value(scan, padded, start, end).is_some();
            if read && self.reader.line.is_row(self.reader.record.required) {
                self.accept(at, frame.end);
            } else {
                self.other_frame(bytes, at, &frame);
            }
            at = frame.end;
        }
        at
    }

    /// Any frame that the fast way did not accept as a row.
    #[cold]
    #[inline(never)]
    fn other_frame(&mut self, bytes: &[u8], start: usize, frame: &Frame) {
        self.reader.line.begin(Some(frame.offset), frame.timestamp);
        let fault = match frame.value(bytes) {
            None => Some((Reason::Tombstone, None)),
            Some(_) if frame.timestamp.is_none() => {
                Some((Reason::InvalidRecord, Some("the record has no timestamp".to_owned())))
            }
            Some(value) => self.value_fault(value),
        };
        match fault {
            None => self.accept(start, frame.end),
            Some((reason, message)) => {
                self.refuse(origin(frame.offset, start, frame.end), frame.timestamp, reason, message);
            }
        }
    }
}
