//! Rows grouped by key: once for each batch and way of grouping, whatever the number of rules.

use std::hash::BuildHasher;

use arrow_array::{Array, StringArray};
use hashbrown::{DefaultHashBuilder, HashTable};
use tamis_model::rule::NOT_JUDGED;
use tamis_model::strings::StringsBuf;

use crate::plan::ALL;

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
    /// Groups rows by a column; null keys and the rows in `left_out` are not judged.
    pub fn by_column(&mut self, column: &StringArray, left_out: Option<&[bool]>, hasher: &DefaultHashBuilder) {
        self.clear();
        self.groups.reserve(column.len());
        for row in 0..column.len() {
            let judged = column.is_valid(row) && !left_out.is_some_and(|left_out| left_out[row]);
            let group = if judged { self.group(column.value(row).as_bytes(), hasher) } else { NOT_JUDGED };
            self.groups.push(group);
        }
    }

    /// Puts all rows but those in `left_out` under one key.
    pub fn all(&mut self, rows: usize, left_out: Option<&[bool]>, hasher: &DefaultHashBuilder) {
        self.clear();
        let group = |row: usize| if left_out.is_some_and(|left_out| left_out[row]) { NOT_JUDGED } else { 0 };
        self.groups.extend((0..rows).map(group));
        if self.groups.contains(&0) {
            self.group(ALL.as_bytes(), hasher);
        }
    }

    fn clear(&mut self) {
        self.groups.clear();
        self.keys.clear();
        self.hashes.clear();
        self.index.clear();
    }

    /// The index of a key, which exists from now on.
    fn group(&mut self, key: &[u8], hasher: &DefaultHashBuilder) -> u32 {
        let Self { keys, hashes, index, .. } = self;
        let hash = hasher.hash_one(key);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(keys: &[Option<&str>], left_out: Option<&[bool]>, groups: &[u32], names: &[&str]) {
        let hasher = DefaultHashBuilder::default();
        let mut grouped = Groups::default();
        for _ in 0..2 {
            grouped.by_column(&StringArray::from(keys.to_vec()), left_out, &hasher);
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
        grouped.all(2, Some(&[true, true]), &DefaultHashBuilder::default());
        assert_eq!((grouped.groups, grouped.keys), (vec![NOT_JUDGED; 2], StringsBuf::default()));
    }
}
