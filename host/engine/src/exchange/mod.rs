//! The exchange: where a stream is more than one host can judge, records meet those of their keys through a topic.
//!
//! A stream of the unkeyed part reads a topic's partitions, judges the rules without a key, and hands each record on to the exchange
//! partitions of its keys ([`router`]). A stream of the keyed part reads one partition of the exchange, and sees in it the partitions of the
//! topics again ([`Demux`]): with their own offsets, so that what is handed on twice is seen once, and with their own time, of which the
//! records of other keys are a part as well.

mod demux;
mod parcel;
pub(crate) mod router;

use arrow_array::ArrayRef;
use arrow_array::cast::AsArray;
use tamis_model::partitioner::partition_of;

use crate::plan::{ALL, Key};

pub use demux::Demux;
pub(crate) use router::Router;

/// Which of its rules a stream judges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Part {
    /// All of them.
    #[default]
    Whole,
    /// Those without a key. What the others need is handed on.
    Unkeyed(Exchange),
    /// Those with a key, of the keys that belong to a partition of the exchange.
    Keyed {
        /// Which.
        partition: u32,
        /// Of so many.
        partitions: u32,
    },
}

impl Part {
    /// For each row whether its key is another part's; none when no row's is. A record is handed on for one of its keys, and has others.
    pub(crate) fn foreign(&self, key: &Key, columns: &[ArrayRef], rows: usize) -> Option<Vec<bool>> {
        let Self::Keyed { partition, partitions } = *self else { return None };
        let is_foreign = |key: &[u8]| partition_of(key, partitions) != partition;
        match key {
            Key::All => is_foreign(ALL.as_bytes()).then(|| vec![true; rows]),
            Key::Column(column) => {
                let column = columns[*column].as_string::<i32>();
                Some((0..rows).map(|row| is_foreign(column.value(row).as_bytes())).collect())
            }
        }
    }
}

/// The topic by which records meet those of their keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// Its name.
    pub topic: String,
    /// How many partitions it has; with another number every key would move.
    pub partitions: u32,
}
