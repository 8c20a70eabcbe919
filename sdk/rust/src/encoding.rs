//! How states are written: variable-length integers (LEB128, the signed ones zigzag) and bytes with their length.

/// Writes an unsigned integer.
#[inline]
pub fn unsigned(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Writes a signed integer; small ones of either sign are short.
#[inline]
pub fn signed(out: &mut Vec<u8>, value: i64) {
    unsigned(out, ((value << 1) ^ (value >> 63)) as u64);
}

/// Writes bytes with their length before them.
#[inline]
pub fn bytes(out: &mut Vec<u8>, value: &[u8]) {
    unsigned(out, value.len() as u64);
    append(out, value);
}

/// Appends bytes that are mostly few. The sandbox copies any number of them with one call into the host, which costs more
/// than copying 32 bytes in words does.
#[inline]
pub fn append(out: &mut Vec<u8>, value: &[u8]) {
    const FEW: usize = 32;
    let (start, len) = (out.len(), value.len());
    if len > FEW {
        out.extend_from_slice(value);
        return;
    }
    out.extend_from_slice(&[0; FEW]);
    let room = &mut out[start..start + len];
    // Where the first and the last words of a length overlap they write the same bytes.
    let done = words::<16>(room, value) || words::<8>(room, value) || words::<4>(room, value);
    if !done {
        for (to, from) in room.iter_mut().zip(value) {
            *to = *from;
        }
    }
    out.truncate(start + len);
}

/// Copies `from`, which is no longer than twice `N`, if it is no shorter than `N`.
#[inline]
fn words<const N: usize>(to: &mut [u8], from: &[u8]) -> bool {
    let (Some(first), Some(last)) = (from.first_chunk::<N>(), from.last_chunk::<N>()) else { return false };
    let end = to.len() - N;
    to[..N].copy_from_slice(first);
    to[end..].copy_from_slice(last);
    true
}

/// Reads what the functions of this module wrote. Nothing = the bytes are not theirs.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Reads from the beginning of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Whether everything was read.
    pub fn is_at_end(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// How many bytes were read.
    pub fn position(&self) -> usize {
        self.at
    }

    /// The next byte.
    #[inline]
    pub fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    /// An unsigned integer.
    #[inline]
    pub fn unsigned(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            // The tenth byte has room for one bit.
            if shift == 63 && byte > 1 {
                return None;
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    /// A signed integer.
    #[inline]
    pub fn signed(&mut self) -> Option<i64> {
        let value = self.unsigned()?;
        Some((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// Bytes with their length before them.
    #[inline]
    pub fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = usize::try_from(self.unsigned()?).ok()?;
        self.take(len)
    }

    /// The next `len` bytes.
    #[inline]
    pub fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let value = self.bytes.get(self.at..self.at.checked_add(len)?)?;
        self.at += len;
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_reads_back(number: i64, count: u64, text: Vec<u8>) {
            let mut out = Vec::new();
            signed(&mut out, number);
            unsigned(&mut out, count);
            bytes(&mut out, &text);
            let mut reader = Reader::new(&out);
            prop_assert_eq!((reader.signed(), reader.unsigned(), reader.bytes()), (Some(number), Some(count), Some(&text[..])));
            prop_assert!(reader.is_at_end());
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let mut reader = Reader::new(&bytes);
            while reader.bytes().is_some() && !reader.is_at_end() {}
            prop_assert!(reader.position() <= bytes.len());
        }
    }

    #[test]
    fn bytes_of_every_length_are_appended() {
        let all: Vec<u8> = (1..=100).collect();
        for len in 0..all.len() {
            let mut out = vec![0];
            append(&mut out, &all[..len]);
            append(&mut out, &all[len..]);
            assert_eq!((out[0], &out[1..]), (0, &all[..]), "{len}");
        }
    }

    #[test]
    fn integers_beyond_64_bits_are_refused() {
        assert_eq!(Reader::new(&[0xff; 11]).unsigned(), None);
        assert_eq!(Reader::new(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 2]).unsigned(), None);
    }
}
