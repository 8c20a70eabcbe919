//! Which keys are judged where: each key has one shard, which holds its state and sees its events in their order.

/// A share of the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shard {
    pub index: usize,
    /// How many there are.
    pub count: usize,
}

impl Shard {
    /// All keys.
    #[cfg(test)]
    pub const ONLY: Self = Self { index: 0, count: 1 };

    /// The index of the shard of a key with this hash. The bits are not those by which tables tell its keys apart.
    pub fn of(hash: u64, count: usize) -> usize {
        ((hash >> 24) as u32 as usize) % count
    }

    /// Whether a key with this hash is one of its own.
    pub fn has(self, hash: u64) -> bool {
        Self::of(hash, self.count) == self.index
    }
}
