//! The rows of each key: a counting sort, so that every state is read and written once per batch.

use super::NOT_JUDGED;
use crate::bindings::types::Keyed;
use crate::row::BytesColumn;

/// The rows of each key in arrival order, and the states they belong to.
#[derive(Debug)]
pub struct ByKey<'a> {
    /// Where the rows of each key begin in `rows`, and where the last end.
    starts: Vec<u32>,
    rows: Vec<u32>,
    keys: BytesColumn<'a>,
    states: BytesColumn<'a>,
}

impl<'a> ByKey<'a> {
    /// Groups the rows of `keyed`, and checks that its parts have the lengths they must have.
    pub fn new(keyed: &'a Keyed) -> Result<Self, String> {
        let rows = keyed.batch.rows as usize;
        let groups = keyed.groups.as_ref().ok_or("the host sent no groups")?;
        let keys = groups.keys.offsets.len().saturating_sub(1);
        let states = BytesColumn::of(&groups.states, keys).ok_or("there are not as many states as keys")?;
        let names = BytesColumn::of(&groups.keys, keys).ok_or("the keys have no offsets")?;
        let members = &groups.members;
        if members.len() != rows || keyed.times.len() != rows {
            return Err(format!("{rows} rows have {} groups and {} times", members.len(), keyed.times.len()));
        }
        let mut starts = vec![0u32; keys + 2];
        for &group in members.iter().filter(|group| **group != NOT_JUDGED) {
            match starts.get_mut(2..).and_then(|counts| counts.get_mut(group as usize)) {
                Some(count) => *count += 1,
                None => return Err(format!("a row is in group {group}, and there are {keys}")),
            }
        }
        // starts[g + 1] is where the next row of group g goes; when all are placed, that is where group g + 1 begins.
        for group in 2..starts.len() {
            starts[group] += starts[group - 1];
        }
        let judged = starts.last().copied().unwrap_or(0);
        let mut order = vec![0u32; judged as usize];
        for (row, &group) in members.iter().enumerate() {
            if group != NOT_JUDGED {
                let next = &mut starts[group as usize + 1];
                order[*next as usize] = row as u32;
                *next += 1;
            }
        }
        Ok(Self { starts, rows: order, keys: names, states })
    }

    /// How many keys there are.
    pub fn keys(&self) -> usize {
        self.starts.len() - 2
    }

    /// A key.
    pub fn key(&self, group: usize) -> Result<&'a str, String> {
        std::str::from_utf8(self.keys.get(group)).map_err(|_| format!("key {group} is not UTF-8"))
    }

    /// The rows of a key, in arrival order.
    pub fn rows(&self, group: usize) -> &[u32] {
        &self.rows[self.starts[group] as usize..self.starts[group + 1] as usize]
    }

    /// The state of a key.
    pub fn state(&self, group: usize) -> &'a [u8] {
        self.states.get(group)
    }

    /// Bytes of all states.
    pub fn state_bytes(&self) -> usize {
        self.states.data().len()
    }
}
