//! Records as a broker gives them: any bytes as key and value, each record in a frame of its own.
//!
//! A value is not known to be JSON, so it cannot be put into a record line unread; in a frame it stands as it came, and the decoder reads
//! it in place. A frame is a header of [`HEADER_BYTES`], the value, a line break (where reading the value stops at the latest), the key,
//! and the record's headers, each with the lengths of name and value before them. Numbers are little-endian.

use tamis_model::time::Millis;

use crate::decode::json::RecordParts;

/// The header: length of the frame, offset, timestamp, lengths of value, key and the record's headers, highest time before it.
const HEADER_BYTES: usize = 40;
/// The length of what is not there.
const ABSENT: u32 = u32::MAX;
/// The timestamp of a record without one.
const TIMELESS: i64 = i64::MIN;

/// Writes frames, one behind the other.
#[derive(Debug)]
pub struct Frames<'a>(&'a mut Vec<u8>);

impl<'a> Frames<'a> {
    pub(crate) fn new(bytes: &'a mut Vec<u8>) -> Self {
        Self(bytes)
    }

    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a record; its parts are below 4 GiB. Without a value it is a tombstone. Headers are names and values.
    pub fn push<'r>(
        &mut self,
        offset: i64,
        timestamp: Option<Millis>,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: impl IntoIterator<Item = (&'r [u8], &'r [u8])>,
    ) {
        let bytes = &mut *self.0;
        let start = bytes.len();
        bytes.reserve(HEADER_BYTES + value.map_or(0, <[u8]>::len) + 1 + key.map_or(0, <[u8]>::len));
        bytes.extend_from_slice(&[0; HEADER_BYTES]);
        bytes.extend_from_slice(value.unwrap_or_default());
        bytes.push(b'\n');
        bytes.extend_from_slice(key.unwrap_or_default());
        let headers_start = bytes.len();
        for (name, value) in headers {
            bytes.extend_from_slice(&length(name.len()).to_le_bytes());
            bytes.extend_from_slice(name);
            bytes.extend_from_slice(&length(value.len()).to_le_bytes());
            bytes.extend_from_slice(value);
        }
        let part = |part: Option<&[u8]>| part.map_or(ABSENT, |part| length(part.len())).to_le_bytes();
        let headers_bytes = length(bytes.len() - headers_start);
        let frame_bytes = length(bytes.len() - start);
        let header = &mut bytes[start..start + HEADER_BYTES];
        header[..4].copy_from_slice(&frame_bytes.to_le_bytes());
        header[4..12].copy_from_slice(&offset.to_le_bytes());
        header[12..20].copy_from_slice(&timestamp.unwrap_or(TIMELESS).to_le_bytes());
        header[20..24].copy_from_slice(&part(value));
        header[24..28].copy_from_slice(&part(key));
        header[28..32].copy_from_slice(&headers_bytes.to_le_bytes());
        header[32..40].copy_from_slice(&TIMELESS.to_le_bytes());
    }

    /// Adds a frame that was taken out of a chunk, and says that `before` is the highest time of its partition before it.
    pub(crate) fn push_behind(&mut self, frame: &[u8], before: Option<Millis>) {
        let start = self.0.len();
        self.0.extend_from_slice(frame);
        self.0[start + 32..start + 40].copy_from_slice(&before.unwrap_or(TIMELESS).to_le_bytes());
    }
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("a record is far below 4 GiB")
}

/// A frame, by where its parts are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    pub offset: i64,
    pub timestamp: Option<Millis>,
    /// The highest time of its partition before it, where records of other keys are left out.
    pub before: Option<Millis>,
    pub value_start: usize,
    /// Where the line break stands.
    pub value_end: usize,
    has_value: bool,
    has_key: bool,
    headers_start: usize,
    /// The byte behind the frame.
    pub end: usize,
}

impl Frame {
    /// The frame that begins at `at`.
    #[inline(always)]
    pub fn read(bytes: &[u8], at: usize) -> Self {
        let header: &[u8; HEADER_BYTES] = bytes[at..].first_chunk().expect("a chunk holds whole frames");
        let long = |i: usize| i64::from_le_bytes(*header[i..].first_chunk().expect("it is in the header"));
        let number = |i: usize| u32::from_le_bytes(*header[i..].first_chunk().expect("it is in the header"));
        let (value, key) = (number(20), number(24));
        let value_start = at + HEADER_BYTES;
        let value_end = value_start + if value == ABSENT { 0 } else { value as usize };
        let end = at + number(0) as usize;
        Self {
            offset: long(4),
            timestamp: Some(long(12)).filter(|timestamp| *timestamp != TIMELESS),
            before: Some(long(32)).filter(|before| *before != TIMELESS),
            value_start,
            value_end,
            has_value: value != ABSENT,
            has_key: key != ABSENT,
            headers_start: end - number(28) as usize,
            end,
        }
    }

    /// Where each frame from byte `at` on ends.
    pub fn ends(bytes: &[u8], mut at: usize) -> impl Iterator<Item = usize> {
        std::iter::from_fn(move || {
            (at < bytes.len()).then(|| {
                at = Self::read(bytes, at).end;
                at
            })
        })
    }

    /// Its value; none for a tombstone.
    pub fn value<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        self.has_value.then(|| &bytes[self.value_start..self.value_end])
    }

    /// Its key.
    pub fn key<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        self.has_key.then(|| &bytes[self.value_end + 1..self.headers_start])
    }

    /// Everything that it says.
    pub fn parts(&self, bytes: &[u8]) -> RecordParts {
        let key = self.key(bytes).map(<[u8]>::to_vec);
        let mut rest = &bytes[self.headers_start..self.end];
        let mut headers = Vec::new();
        while let (Some(name), Some(value)) = (part(&mut rest), part(&mut rest)) {
            headers.push((String::from_utf8_lossy(name).into_owned(), value.to_vec()));
        }
        let value = self.value(bytes).map(<[u8]>::to_vec);
        RecordParts { offset: Some(self.offset), timestamp: self.timestamp, key, value, headers }
    }
}

/// Whether bytes from outside are frames, one behind the other, that can be read.
pub(crate) fn are_whole(mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        let Some(header) = bytes.first_chunk::<HEADER_BYTES>() else { return false };
        let number = |i: usize| u32::from_le_bytes(*header[i..].first_chunk().expect("it is in the header"));
        let part = |number: u32| if number == ABSENT { 0 } else { number as usize };
        // The value has a line break behind it.
        let parts = HEADER_BYTES + part(number(20)) + 1 + part(number(24)) + number(28) as usize;
        match bytes.split_at_checked(number(0) as usize) {
            Some((frame, rest)) if frame.len() == parts => bytes = rest,
            _ => return false,
        }
    }
    true
}

/// Takes what stands behind its length off the front.
fn part<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, behind) = rest.split_first_chunk()?;
    let (part, behind) = behind.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    *rest = behind;
    Some(part)
}

#[cfg(test)]
mod tests {
    use crate::Chunk;
    use crate::decode::Origin;

    use super::*;

    #[test]
    fn what_was_put_in_comes_out() {
        let headers = || [(&b"a"[..], &b"\n\xff"[..]), (b"\xc3", b"")];
        type Case<'a> = (i64, Option<Millis>, Option<&'a [u8]>, Option<&'a [u8]>, usize);
        let cases: [Case<'_>; 5] = [
            (0, Some(0), None, None, 0),
            (7, None, Some(b""), Some(b""), 2),
            (i64::MAX, Some(-1), Some(b"k\n"), None, 1),
            (8, Some(1_773_842_400_000), None, Some(b"{\n}"), 0),
            (9, Some(5), Some(b"\xff"), Some(b"\0"), 2),
        ];
        let mut chunk = Chunk::default();
        chunk.fill_frames(|frames| {
            for (offset, timestamp, key, value, count) in cases {
                frames.push(offset, timestamp, key, value, headers().into_iter().take(count));
            }
        });
        let mut at = 0;
        for (offset, timestamp, key, value, count) in cases {
            let frame = Frame::read(chunk.records(), at);
            let headers = headers()
                .into_iter()
                .take(count)
                .map(|(name, value)| (String::from_utf8_lossy(name).into_owned(), value.to_vec()));
            let (key, value) = (key.map(Into::into), value.map(Into::into));
            let expected = RecordParts { offset: Some(offset), timestamp, key, value, headers: headers.collect() };
            let origin = Origin { offset, start: at as u32, end: frame.end as u32 };
            assert_eq!(chunk.record(origin), expected);
            at = frame.end;
        }
        assert_eq!(at, chunk.records().len());
    }
}
