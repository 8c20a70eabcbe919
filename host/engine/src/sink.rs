//! Where output goes.

use tamis_model::Result;

/// Where output of one kind goes: records to topics, alerts to the lake and the warehouse, rows to datasets.
///
/// Contract:
/// - `write` takes output in order. It may be visible at once or only after a commit, as the implementation says.
/// - `stage` makes everything written so far durable and describes it in a few bytes of JSON, which the
///   engine saves in its checkpoint. Nothing is written between `stage` and the `commit` that follows. `null` says that
///   there is nothing to commit: a stream may go on without such a sink.
/// - `commit` makes exactly what was staged visible: nothing of it is lost, and whatever was written after
///   that stage is gone. It is idempotent and works in a new process: after a crash the engine commits
///   the staged output of its last checkpoint again and then writes what came after it anew.
pub trait Sink<T>: Send {
    /// Takes output.
    fn write(&mut self, output: &[T]) -> Result<()>;
    /// Makes it durable.
    fn stage(&mut self) -> Result<serde_json::Value>;
    /// Makes it visible.
    fn commit(&mut self, staged: &serde_json::Value) -> Result<()>;
}
