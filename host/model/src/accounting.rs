//! The row accounting of a run: nothing disappears.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

/// `rows_in = rows_out + duplicates + filtered + rejected`, for every file and every run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowCounts {
    /// Rows read.
    pub rows_in: u64,
    /// Rows written.
    pub rows_out: u64,
    /// Rows that lost against another of the same key.
    pub duplicates: u64,
    /// Rows left out on purpose, bots for example.
    pub filtered: u64,
    /// Rows in quarantine or dead letters, each with its reason.
    pub rejected: u64,
}

impl RowCounts {
    /// Whether every row that came in is accounted for.
    pub fn balanced(&self) -> bool {
        self.rows_in == self.rows_out + self.duplicates + self.filtered + self.rejected
    }
}

impl AddAssign for RowCounts {
    fn add_assign(&mut self, other: Self) {
        self.rows_in += other.rows_in;
        self.rows_out += other.rows_out;
        self.duplicates += other.duplicates;
        self.filtered += other.filtered;
        self.rejected += other.rejected;
    }
}
