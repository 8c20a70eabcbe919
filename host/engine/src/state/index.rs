//! Slots by key: a hash table in many tables, so that no step waits until all of it has grown.
//!
//! A table grows at once, and with 10^7 keys in one table that takes most of a second. So there are many, and the shares of the keys that
//! they have grow from one to the next up to twice the first's: they double one after the other, never together.

use std::hint::black_box;

use hashbrown::HashTable;

const TABLES: usize = 256;
/// Parts of the keys that are dealt out to tables.
const PARTS: usize = 1 << 12;
/// Where a hash says which part it is of: bits that the tables themselves do not look at.
const PART_AT: u32 = 40;
/// Where its tag begins: most of that are bits that neither the tables look at nor the choice among them.
const TAG_AT: u32 = 8;
/// 2^(1/256) in units of 2^-32: what the share of a table is to that of the one before it.
const STEP: u64 = 4_306_612_134;
/// The table of each part.
const TABLE_OF: [u8; PARTS] = tables();

/// Finds slots by hash and key.
#[derive(Clone)]
pub(super) struct Index {
    tables: Vec<HashTable<Entry>>,
}

/// A slot, and bits of its key's hash, so that hardly ever a slot is looked at that has another key.
#[derive(Clone, Copy)]
struct Entry {
    tag: u32,
    slot: u32,
}

impl Default for Index {
    fn default() -> Self {
        Self { tables: vec![HashTable::new(); TABLES] }
    }
}

impl Index {
    /// The slot of the key with this hash.
    pub fn find(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let tag = tag(hash);
        let entry = self.tables[table(hash)].find(hash, |entry| entry.tag == tag && is_it(entry.slot));
        entry.map(|entry| entry.slot)
    }

    /// Brings what it has of some hashes into the cache, side by side.
    pub fn fetch(&self, hashes: impl Iterator<Item = u64>) {
        black_box(hashes.filter_map(|hash| self.find(hash, |_| true)).fold(0, u32::wrapping_add));
    }

    /// Adds a slot whose key is not there; `hash_of` gives the hash of a slot.
    pub fn insert(&mut self, hash: u64, slot: u32, hash_of: impl Fn(u32) -> u64) {
        let entry = Entry { tag: tag(hash), slot };
        self.tables[table(hash)].insert_unique(hash, entry, |entry| hash_of(entry.slot));
    }

    /// Takes a slot out.
    pub fn remove(&mut self, hash: u64, slot: u32) {
        if let Ok(found) = self.tables[table(hash)].find_entry(hash, |entry| entry.slot == slot) {
            found.remove();
        }
    }
}

fn tag(hash: u64) -> u32 {
    (hash >> TAG_AT) as u32
}

fn table(hash: u64) -> usize {
    usize::from(TABLE_OF[(hash >> PART_AT) as usize % PARTS])
}

/// Table `i` ends with part `PARTS` × (2^((i + 1) / 256) − 1).
const fn tables() -> [u8; PARTS] {
    let mut tables = [0; PARTS];
    let (mut part, mut table, mut end) = (0, 0, STEP);
    while part < PARTS {
        // The middle of the part decides.
        let middle = (1 << 32) + ((2 * part as u64 + 1) << 32) / (2 * PARTS as u64);
        while table < TABLES - 1 && middle >= end {
            table += 1;
            end = ((end as u128 * STEP as u128) >> 32) as u64;
        }
        tables[part] = table as u8;
        part += 1;
    }
    tables
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_grow_from_one_to_two() {
        let mut parts = [0; TABLES];
        TABLE_OF.iter().for_each(|table| parts[usize::from(*table)] += 1);
        assert!(TABLE_OF.is_sorted());
        let quarter = |from: usize| parts[from..from + TABLES / 4].iter().sum::<usize>();
        assert_eq!([0, 64, 128, 192].map(quarter), [775, 922, 1096, 1303], "each 2^(1/4) of the one before");
        assert!(parts.iter().all(|parts| (11..=22).contains(parts)), "{parts:?}");
    }
}
