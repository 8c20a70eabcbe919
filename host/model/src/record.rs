//! A record on its way into a topic.

use crate::time::Millis;

/// A record on its way into a topic; the topic gives it an offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The topic.
    pub topic: String,
    /// Its partition; the one of its key when there is none.
    pub partition: Option<u32>,
    /// Its time.
    pub timestamp: Millis,
    /// Its key; records of one key go to one partition.
    pub key: Option<Vec<u8>>,
    /// Its value; none is a tombstone.
    pub value: Option<Vec<u8>>,
    /// Whether the value is known to be JSON, in one line and not `null`, so that no topic has to read it to find out.
    pub value_is_json: bool,
    /// Name and value of each header.
    pub headers: Vec<(String, Vec<u8>)>,
}
