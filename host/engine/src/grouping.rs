//! Rows grouped by key: once for each batch and way of grouping, whatever the number of rules.

use std::hash::BuildHasher;

use arrow_array::{Array, StringArray};
use hashbrown::{DefaultHashBuilder, HashTable};
use tamis_model::rule::NOT_JUDGED;
use tamis_model::strings::StringsBuf;

use crate::plan::ALL;
use crate::shard::Shard;

/// The groups of a batch. Its buffers are used again for the next batch.
#[derive(Default)]
pub(crate) struct Groups {
    /// For each row the index of its key, or [`NOT_JUDGED`].
    pub groups: Vec<u32>,
    /// The keys, in the order in which the batch names them first.
    pub keys: StringsBuf,
    /// For each key its hash.
    pub hashes: Vec<u64>,
    index: HashTable<u32>,
}

impl Groups {
    /// Groups rows by a column, of which `hashes` has the hash of each value. Null keys, the rows in `left_out` and the keys of other
    /// shards are not judged.
    pub fn by_column(&mut self, column: &StringArray, hashes: &[u64], left_out: Option<&[bool]>, shard: Shard) {
        self.clear();
        self.groups.reserve(column.len());
        for (row, hash) in hashes.iter().enumerate() {
            let judged = shard.has(*hash) && column.is_valid(row) && !left_out.is_some_and(|left_out| left_out[row]);
            let group = if judged { self.group(column.value(row).as_bytes(), *hash) } else { NOT_JUDGED };
            self.groups.push(group);
        }
    }

    /// Puts all rows but those in `left_out` under one key, whose hash is `hash`.
    pub fn all(&mut self, rows: usize, left_out: Option<&[bool]>, hash: u64, shard: Shard) {
        self.clear();
        let judged = |row: usize| shard.has(hash) && !left_out.is_some_and(|left_out| left_out[row]);
        self.groups.extend((0..rows).map(|row| if judged(row) { 0 } else { NOT_JUDGED }));
        if self.groups.contains(&0) {
            self.group(ALL.as_bytes(), hash);
        }
    }

    fn clear(&mut self) {
        self.groups.clear();
        self.keys.clear();
        self.hashes.clear();
        self.index.clear();
    }

    /// The index of a key, which exists from now on.
    fn group(&mut self, key: &[u8], hash: u64) -> u32 {
        let Self { keys, hashes, index, .. } = self;
        let same = |group: &u32| hashes[*group as usize] == hash && keys.as_strings().get(*group as usize) == key;
        if let Some(group) = index.find(hash, same) {
            return *group;
        }
        let group = hashes.len() as u32;
        keys.push(key);
        hashes.push(hash);
        index.insert_unique(hash, group, |group| hashes[*group as usize]);
        group
    }
}

/// The hash of each value of a key column.
pub(crate) fn hash_all(column: &StringArray, hasher: &DefaultHashBuilder) -> Vec<u64> {
    (0..column.len()).map(|row| hasher.hash_one(column.value(row).as_bytes())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(keys: &[Option<&str>], left_out: Option<&[bool]>, groups: &[u32], names: &[&str]) {
        let hasher = DefaultHashBuilder::default();
        let keys = StringArray::from(keys.to_vec());
        let hashes = hash_all(&keys, &hasher);
        let mut grouped = Groups::default();
        for _ in 0..2 {
            grouped.by_column(&keys, &hashes, left_out, Shard::ONLY);
            assert_eq!(grouped.groups, groups);
            assert_eq!(grouped.keys, names.iter().map(|name| name.as_bytes()).collect());
        }
    }

    #[test]
    fn keys_count_in_the_order_of_their_first_row() {
        check(&[Some("b"), Some("a"), Some("b"), None, Some("")], None, &[0, 1, 0, NOT_JUDGED, 2], &["b", "a", ""]);
    }

    #[test]
    fn a_key_of_which_all_rows_are_left_out_is_not_there() {
        check(&[Some("a"), Some("b"), Some("b")], Some(&[true, false, true]), &[NOT_JUDGED, 0, NOT_JUDGED], &["b"]);
        let mut grouped = Groups::default();
        grouped.all(2, Some(&[true, true]), 7, Shard::ONLY);
        assert_eq!((grouped.groups, grouped.keys), (vec![NOT_JUDGED; 2], StringsBuf::default()));
    }

    #[test]
    fn each_key_has_one_shard() {
        let hasher = DefaultHashBuilder::default();
        let names: Vec<String> = (0..100).map(|n| format!("k{n}")).collect();
        let keys = StringArray::from_iter_values(&names);
        let hashes = hash_all(&keys, &hasher);
        let mut found = Vec::new();
        for index in 0..3 {
            let mut grouped = Groups::default();
            grouped.by_column(&keys, &hashes, None, Shard { index, count: 3 });
            assert!((1..100).contains(&grouped.hashes.len()), "a share of the keys");
            found.extend((0..grouped.hashes.len()).map(|i| grouped.keys.as_strings().get(i).to_vec()));
        }
        found.sort_unstable();
        let mut expected: Vec<Vec<u8>> = names.into_iter().map(String::into_bytes).collect();
        expected.sort_unstable();
        assert_eq!(found, expected);
    }
}
