//! What crosses the boundary between the engine and the code of a transform or a check.

use arrow_array::{ArrayRef, RecordBatch};

use crate::Result;
use crate::rule::FailureReason;

/// The code of a transform: raw rows in, trusted rows out.
///
/// Contract: never fails on account of rows; what the code fails on comes back in
/// [`Transformed::poisoned`]. Every input row is in exactly one of `kept`, `rejected`, `filtered` and `poisoned`.
pub trait Transform: Send {
    /// Takes a configuration, JSON by the manifest's schema.
    fn configure(&mut self, config: &str) -> Result<()>;
    /// Makes rows; `columns` are the declared input columns.
    fn apply(&mut self, rows: usize, columns: &[ArrayRef]) -> Result<Transformed>;
}

/// What a transform made of a batch.
#[derive(Clone, Debug)]
pub struct Transformed {
    /// The kept rows, in the declared output columns.
    pub rows: RecordBatch,
    /// For each output row the input row it was made from, ascending.
    pub kept: Vec<u32>,
    /// Rows without a key or that cannot be read, with the reason.
    pub rejected: Vec<(u32, String)>,
    /// Rows left out on purpose.
    pub filtered: Vec<u32>,
    /// For each output column, how many cells of kept rows could not be read.
    pub nullified: Vec<u64>,
    /// Rows that the code failed on: row, reason, message.
    pub poisoned: Vec<(u32, FailureReason, String)>,
}

/// The code of a check: observes a dataset batch by batch, then says whether it can be trusted.
pub trait Check: Send {
    /// Takes a configuration, JSON by the manifest's schema.
    fn configure(&mut self, config: &str) -> Result<()>;
    /// Sees some rows of the columns that its configuration names; the state is kept inside.
    fn observe(&mut self, rows: &RecordBatch) -> Result<()>;
    /// The results, and the state is empty again.
    fn finish(&mut self) -> Result<Vec<CheckResult>>;
}

/// One line of a quality report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckResult {
    /// The column that was checked; none = the whole dataset.
    pub column: Option<String>,
    /// Whether it is as expected.
    pub passed: bool,
    /// What was seen.
    pub observed: String,
    /// What should have been seen.
    pub expected: String,
}
