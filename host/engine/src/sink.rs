//! Where output goes.

use tamis_model::{Error, Result};

/// Where output of one kind goes: records to topics, alerts to the lake and the warehouse, rows to datasets.
///
/// Contract:
/// - `write` takes output in order. It may be visible at once or only after a commit, as the implementation says.
/// - `stage` makes everything written so far durable and describes it in a few bytes of JSON, which the
///   engine saves in its checkpoint. Nothing is written between `stage` and the `commit` that follows. `null` says that
///   there is nothing to commit: a stream may go on without such a sink. A sink of records that leave at once is written to after
///   a stage as before it, and commits what was staged in a new process alone.
/// - `commit` makes exactly what was staged visible: nothing of it is lost, and whatever was written after
///   that stage is gone. It is idempotent and works in a new process: after a crash the engine commits
///   the staged output of its last checkpoint again and then writes what came after it anew.
/// - A sink may gather what is committed, so that many small outputs become few large ones. Then it is `settle` that
///   makes it visible. It is called with nothing written since the last commit, often while output flows, and with
///   [`Settle::All`] when nothing more comes. A commit that follows in a new process may be older than what was settled.
pub trait Sink<T>: Send {
    /// Takes output.
    fn write(&mut self, output: &[T]) -> Result<()>;
    /// Makes it durable.
    fn stage(&mut self) -> Result<serde_json::Value>;
    /// Begins to make what was written so far durable, of a sink whose output leaves at once: what is returned waits for that and describes
    /// it, wherever it is called, while more is written. A sink with no way of its own stages before it returns.
    fn begin_stage(&mut self) -> Result<Staging> {
        let staged = self.stage()?;
        Ok(Box::new(|| Ok(staged)))
    }
    /// Makes it visible.
    fn commit(&mut self, staged: &serde_json::Value) -> Result<()>;
    /// Makes gathered output visible.
    fn settle(&mut self, _what: Settle) -> Result<()> {
        Ok(())
    }
}

/// Waits until what a sink has begun to stage is durable, and describes it.
pub type Staging = Box<dyn FnOnce() -> Result<serde_json::Value> + Send>;

/// A sink that only looks at output as it comes: there is nothing to commit.
pub struct Unstaged<F>(pub F);

impl<T, F: FnMut(&[T]) -> Result<()> + Send> Sink<T> for Unstaged<F> {
    fn write(&mut self, output: &[T]) -> Result<()> {
        (self.0)(output)
    }

    fn stage(&mut self) -> Result<serde_json::Value> {
        Ok(serde_json::Value::Null)
    }

    fn commit(&mut self, _staged: &serde_json::Value) -> Result<()> {
        Ok(())
    }
}

/// A sink with another one beside it, which gets the same output and has nothing to commit: a watcher.
pub struct Watched<T> {
    /// The one whose stage is committed.
    pub sink: Box<dyn Sink<T>>,
    /// The one that only looks at output as it comes.
    pub watcher: Box<dyn Sink<T>>,
}

impl<T> Sink<T> for Watched<T> {
    fn write(&mut self, output: &[T]) -> Result<()> {
        self.sink.write(output)?;
        self.watcher.write(output)
    }

    fn stage(&mut self) -> Result<serde_json::Value> {
        self.stage_watcher()?;
        self.sink.stage()
    }

    fn begin_stage(&mut self) -> Result<Staging> {
        self.stage_watcher()?;
        self.sink.begin_stage()
    }

    fn commit(&mut self, staged: &serde_json::Value) -> Result<()> {
        self.sink.commit(staged)
    }

    fn settle(&mut self, what: Settle) -> Result<()> {
        self.sink.settle(what)?;
        self.watcher.settle(what)
    }
}

impl<T> Watched<T> {
    fn stage_watcher(&mut self) -> Result<()> {
        match self.watcher.stage()? {
            serde_json::Value::Null => Ok(()),
            _ => Err(Error::invalid("watch", "a sink", "the watcher has something to commit")),
        }
    }
}

/// Which of its gathered output a sink makes visible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settle {
    /// What has waited long enough, or has become large enough.
    Due,
    /// All of it.
    All,
}
