//! A parcel: some records of a partition, in frames, and how far its time has come behind them.

use tamis_model::position::Partition;
use tamis_model::time::Millis;
use tamis_model::{Error, Kind, Result};

use crate::codec::{Reader, write_bytes, write_number, write_signed};
use crate::frame;

/// The first byte; changes when the encoding does.
const ENCODING: u64 = 1;

/// Some records of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parcel<'a> {
    pub partition: Partition,
    /// The highest time of the partition behind the records, of those with other keys too.
    pub highest: Option<Millis>,
    /// Whether the partition had nothing more then.
    pub caught_up: bool,
    /// The records.
    pub frames: &'a [u8],
}

impl<'a> Parcel<'a> {
    /// As bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.frames.len() + 64);
        write_number(&mut out, ENCODING);
        write_bytes(&mut out, self.partition.topic.as_bytes());
        write_number(&mut out, u64::from(self.partition.number));
        write_number(&mut out, u64::from(self.highest.is_some()) | u64::from(self.caught_up) << 1);
        write_signed(&mut out, self.highest.unwrap_or(0));
        out.extend_from_slice(self.frames);
        out
    }

    /// Reads what [`Parcel::encode`] wrote.
    pub fn decode(bytes: &'a [u8]) -> Result<Self> {
        Self::read(bytes).ok_or_else(|| {
            Error::new(Kind::Corrupt, "read", "a parcel of the exchange").because("no host of this version wrote it")
        })
    }

    fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        if reader.number()? != ENCODING {
            return None;
        }
        let topic = String::from_utf8(reader.bytes()?.to_vec()).ok()?;
        let partition = Partition { topic, number: u32::try_from(reader.number()?).ok()? };
        let flags = reader.number()?;
        let highest = reader.signed()?;
        let (highest, caught_up) = ((flags & 1 != 0).then_some(highest), flags & 2 != 0);
        if !frame::are_whole(reader.0) {
            return None;
        }
        Some(Self { partition, highest, caught_up, frames: reader.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Frames;

    #[test]
    fn what_was_packed_is_unpacked() {
        let partition = Partition { topic: "payments".to_owned(), number: 3 };
        let check = |highest, caught_up, frames: &[u8]| {
            let parcel = Parcel { partition: partition.clone(), highest, caught_up, frames };
            assert_eq!(Parcel::decode(&parcel.encode()).unwrap(), parcel);
        };
        let mut frames = Vec::new();
        Frames::new(&mut frames).push(7, Some(1), None, None, [(&b"a"[..], &b"b"[..])]);
        Frames::new(&mut frames).push(8, None, Some(b"k"), Some(b"{}"), []);
        check(None, false, &frames);
        check(Some(-1), true, b"");
        check(Some(Millis::MAX), false, &frames);
        let damaged = |frames: &[u8]| {
            let parcel = Parcel { partition: partition.clone(), highest: None, caught_up: false, frames };
            assert!(Parcel::decode(&parcel.encode()).is_err(), "{frames:?}");
        };
        damaged(b"frames");
        damaged(&[0; 64]);
        (1..frames.len()).filter(|end| !frame::are_whole(&frames[..*end])).for_each(|end| damaged(&frames[..end]));
        let whole = (1..frames.len()).filter(|end| frame::are_whole(&frames[..*end])).count();
        assert_eq!(whole, 1, "one frame is the first");
        assert!(Parcel::decode(b"").is_err());
        assert!(Parcel::decode(b"\x02\x01p\x00\x00\x00").is_err());
    }
}
