//! Where records come from.

use tamis_model::Result;
use tamis_model::position::{Partition, Positions};
use tamis_model::time::Millis;

use crate::chunk::Chunk;
use crate::clock::Waker;

/// What a read found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// The chunk holds at least one whole record.
    Records,
    /// Nothing new now; more may come. A bounded source never says so.
    CaughtUp,
    /// There may be more, but nothing has arrived yet: the partition goes on holding back time.
    Waiting,
    /// No record, but the time of the partition has come so far: of records that are not seen here.
    Passed(Millis),
    /// Nothing more will ever come.
    Ended,
}

/// Where records come from.
///
/// Contract:
/// - `open` before the first `read`; reading goes on at the given positions (a partition that is not
///   named: at its beginning). It can be called again, also backwards as far as the last `release`.
/// - Records of a partition arrive in offset order, each once between two `open`s. A record that is not
///   wholly written yet is not there.
/// - A source remembers nothing across processes: positions live in checkpoints.
/// - Memory: a chunk is bounded (about `chunk_bytes`, or one record where that is longer).
pub trait Source: Send {
    /// From the next `open` on, wakes whoever waits for records when some arrive in a partition that had no more. A source that cannot tell is
    /// asked again and again.
    fn wake(&mut self, _waker: &Waker) {}
    /// Goes to `positions`.
    fn open(&mut self, positions: &Positions) -> Result<()>;
    /// The partitions there are now, in a stable order; new ones may appear at the end.
    fn partitions(&mut self) -> Result<Vec<Partition>>;
    /// Reads on in one partition. The chunk is only meaningful after [`Read::Records`].
    fn read(&mut self, partition: &Partition, chunk: &mut Chunk) -> Result<Read>;
    /// Gets ready what the next `read` of a partition may give, while other threads judge what was read before. Until then it counts as not
    /// read, whatever `note` and `lag` say, and an error is that `read`'s; another partition may come first, and `open` forgets it.
    fn read_ahead(&mut self, _partition: &Partition) {}
    /// Adds what `open` needs beside the positions of its partitions, to go on behind what was read from it and worked through.
    fn note(&self, _positions: &mut Positions) {}
    /// How many records there are behind the last one that was read, by partition: as far as is known without asking anybody, as
    /// the stream stands still meanwhile.
    fn lag(&self) -> Vec<(Partition, u64)> {
        Vec::new()
    }
    /// Everything before `positions` is durable elsewhere and will not be asked for again.
    fn release(&mut self, positions: &Positions) -> Result<()>;
}
