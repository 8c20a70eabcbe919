//! Keys and their values as bytes: what checkpoints hold of keyed state, in blocks of bounded size.
//!
//! A block can be read alone. The last entry of a key stands.

use tamis_model::{Error, Kind, Result};

use crate::codec::{Reader, write_bytes, write_number};

/// A block that has come to this is full.
const BLOCK_BYTES: usize = 256 << 10;

/// Entries in the order in which they were put.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entries(Vec<Block>);

/// Some entries, as bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Block {
    /// How many there are.
    pub count: u64,
    /// Of each the length of its key and its key, then the length of its value and its value. No value is empty: a length of 0 says
    /// that the key is gone.
    pub bytes: Vec<u8>,
}

/// A key, and its value or that it is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The key.
    pub key: &'a [u8],
    /// Its value; none = it is gone.
    pub value: Option<&'a [u8]>,
}

impl Entries {
    /// Adds a key whose value is these parts, one behind the other. They may not all be empty.
    pub fn put(&mut self, key: &[u8], value: &[&[u8]]) {
        let length: usize = value.iter().map(|part| part.len()).sum();
        debug_assert!(length > 0, "a value is never empty");
        let out = self.room(key, length);
        write_number(out, length as u64);
        value.iter().for_each(|part| out.extend_from_slice(part));
    }

    /// Says that a key is gone.
    pub fn put_gone(&mut self, key: &[u8]) {
        write_number(self.room(key, 0), 0);
    }

    /// Adds others behind these.
    pub fn append(&mut self, mut others: Self) {
        self.0.append(&mut others.0);
    }

    /// How many there are.
    pub fn len(&self) -> u64 {
        self.0.iter().map(|block| block.count).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The blocks, none of them empty.
    pub fn blocks(&self) -> &[Block] {
        &self.0
    }

    /// Where the value of `key`, which comes to so many bytes, is written.
    fn room(&mut self, key: &[u8], value_bytes: usize) -> &mut Vec<u8> {
        if self.0.last().is_none_or(|block| block.bytes.len() >= BLOCK_BYTES) {
            // Where one is full more follow, so they get their room at once.
            let bytes = if self.0.is_empty() { 0 } else { BLOCK_BYTES + key.len() + value_bytes };
            self.0.push(Block { count: 0, bytes: Vec::with_capacity(bytes) });
        }
        let block = self.0.last_mut().expect("one was just pushed");
        block.count += 1;
        write_bytes(&mut block.bytes, key);
        &mut block.bytes
    }
}

/// Reads a block, which is part of `owner`.
pub fn read<'a>(owner: &str, block: &'a [u8]) -> impl Iterator<Item = Result<Entry<'a>>> {
    let mut reader = Reader(block);
    std::iter::from_fn(move || {
        if reader.0.is_empty() {
            return None;
        }
        let entry = reader.bytes().and_then(|key| {
            let value = Some(reader.bytes()?).filter(|value| !value.is_empty());
            Some(Entry { key, value })
        });
        if entry.is_none() {
            reader = Reader(&[]);
        }
        Some(entry.ok_or_else(|| Error::new(Kind::Corrupt, "read an entry of", owner)))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_put_reads_back(wanted in prop::collection::vec((any::<Vec<u8>>(), prop::option::of(1..9_usize)), 0..20)) {
            let mut entries = Entries::default();
            for (key, value) in &wanted {
                match value {
                    Some(length) => entries.put(key, &[&[1], &vec![7; length - 1]]),
                    None => entries.put_gone(key),
                }
            }
            let blocks = entries.blocks().iter();
            let found: Vec<_> = blocks.flat_map(|block| read("test", &block.bytes)).map(Result::unwrap).collect();
            prop_assert_eq!(found.len(), wanted.len());
            for (found, (key, length)) in found.iter().zip(&wanted) {
                prop_assert_eq!(found.key, &key[..]);
                prop_assert_eq!(found.value.map(<[u8]>::len), *length);
            }
        }
    }

    #[test]
    fn blocks_are_bounded_and_can_be_read_alone() {
        let mut entries = Entries::default();
        for n in 0..100_000_u32 {
            entries.put(&n.to_be_bytes(), &[&[0; 10]]);
        }
        assert!(entries.blocks().len() > 5);
        assert_eq!(entries.len(), 100_000);
        for block in entries.blocks() {
            assert!(block.bytes.len() < BLOCK_BYTES + 20);
            assert_eq!(read("test", &block.bytes).filter(Result::is_ok).count() as u64, block.count);
        }
    }

    #[test]
    fn foreign_bytes_are_an_error() {
        let check = |bytes: &[u8], read_before: usize| {
            let found: Vec<_> = read("test", bytes).collect();
            assert_eq!(found.len(), read_before + 1);
            assert_eq!(found.last().unwrap().as_ref().unwrap_err().kind(), Kind::Corrupt);
        };
        check(&[1], 0);
        check(&[1, b'k'], 0);
        check(&[1, b'k', 0, 1, b'k', 2, 0], 1);
    }
}
