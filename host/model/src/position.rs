//! Where a source has been read to.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// One partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Partition {
    /// The topic's name.
    pub topic: String,
    /// The partition's number, from 0.
    pub number: u32,
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.number)
    }
}

/// The next offset to read of each partition. A partition that is not named is read from its beginning.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<(Partition, i64)>", into = "Vec<(Partition, i64)>")]
pub struct Positions(pub BTreeMap<Partition, i64>);

impl From<Vec<(Partition, i64)>> for Positions {
    fn from(pairs: Vec<(Partition, i64)>) -> Self {
        Self(pairs.into_iter().collect())
    }
}

impl From<Positions> for Vec<(Partition, i64)> {
    fn from(positions: Positions) -> Self {
        positions.0.into_iter().collect()
    }
}

impl Positions {
    /// The next offset to read of `partition`, 0 when nothing was read yet.
    pub fn next(&self, partition: &Partition) -> i64 {
        self.0.get(partition).copied().unwrap_or(0)
    }

    /// Records that everything of `partition` before `offset` was read.
    pub fn set(&mut self, partition: &Partition, offset: i64) {
        match self.0.get_mut(partition) {
            Some(next) => *next = offset,
            None => drop(self.0.insert(partition.clone(), offset)),
        }
    }
}
