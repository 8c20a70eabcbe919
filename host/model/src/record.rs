//! A record on its way into a topic.

use crate::time::Millis;

/// A record on its way into a topic; the topic gives it a partition and an offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The topic.
    pub topic: String,
    /// Its time.
    pub timestamp: Millis,
    /// Its key; records of one key go to one partition.
    pub key: Option<Vec<u8>>,
    /// Its value; none is a tombstone.
    pub value: Option<Vec<u8>>,
    /// Name and value of each header.
    pub headers: Vec<(String, Vec<u8>)>,
}
