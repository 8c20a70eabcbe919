//! What happens behind the stream: output that does not leave with its batch, and checkpoints.
//!
//! To make output durable and to save a checkpoint is to wait for disks and brokers. A stream whose alerts have somebody waiting for them
//! hands both over and goes on; here they are done in the order in which they came, so that a checkpoint stands for exactly the
//! output before it. One checkpoint is on its way at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{
    Receiver, RecvTimeoutError, Sender, SyncSender, TryRecvError, TrySendError, channel, sync_channel,
};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use std::{mem, panic, thread};

use tamis_model::position::Positions;
use tamis_model::record::Record;
use tamis_model::{Error, Kind, Result};

use crate::checkpoint::{Checkpoint, CheckpointStore};
use crate::sink::{Settle, Sink, Staging};
use crate::sinks::{Output, RECORDS, Sinks};
use crate::stream::Commits;

/// How much waits for the thread in its queue; what comes then is gathered until there is room.
const QUEUE_LEN: usize = 4;
/// When about so many bytes are gathered the stream waits.
const GATHERED_BYTES_MAX: usize = 8 << 20;
/// How long nothing comes until what is due settles.
const QUIET_MAX: Duration = Duration::from_millis(100);

/// Where a stream hands over output and checkpoints.
pub(crate) enum Committing {
    /// Everything is done before the stream goes on.
    InStep(Committer, Option<Saved>),
    /// It is done on a thread of its own.
    Beside(Beside),
}

/// A checkpoint as it was taken.
pub(crate) struct Taken {
    pub checkpoint: Checkpoint,
    /// Of the records that have left with their batches.
    pub records: Option<Staging>,
    pub at: Instant,
}

/// A checkpoint that is durable.
pub(crate) struct Saved {
    pub positions: Positions,
    /// When it was taken.
    pub taken_at: Instant,
}

impl Committing {
    /// Hands over what is there of `output`, or leaves it there until there is room.
    pub fn offer(&mut self, output: &mut Output) -> Result<()> {
        match self {
            _ if output.is_empty() => Ok(()),
            Self::InStep(committer, _) => committer.write(output),
            Self::Beside(beside) => beside.offer(output),
        }
    }

    /// Hands over a checkpoint behind all output. None is on its way.
    pub fn checkpoint(&mut self, output: &mut Output, taken: Taken) -> Result<()> {
        match self {
            Self::InStep(committer, saved) => {
                committer.write(output)?;
                *saved = Some(committer.save(taken)?);
                Ok(())
            }
            Self::Beside(beside) => {
                beside.send(Handed::Output(mem::take(output)))?;
                beside.send(Handed::Checkpoint(Box::new(taken)))
            }
        }
    }

    /// The checkpoint that has become durable since it was asked last.
    pub fn saved(&mut self) -> Result<Option<Saved>> {
        match self {
            Self::InStep(_, saved) => Ok(saved.take()),
            Self::Beside(beside) => match beside.saved.try_recv() {
                Err(TryRecvError::Empty) => Ok(None),
                Err(TryRecvError::Disconnected) => Err(beside.failure()),
                Ok(saved) => Ok(Some(saved)),
            },
        }
    }

    /// Waits for the checkpoint that is on its way.
    pub fn wait_saved(&mut self) -> Result<Saved> {
        match self {
            Self::InStep(_, saved) => Ok(saved.take().expect("it was saved when it was handed over")),
            Self::Beside(beside) => beside.saved.recv().map_err(|_| beside.failure()),
        }
    }

    /// Shows what is due of what was gathered, while nothing is written. A thread does so by itself.
    pub fn settle_due(&mut self) -> Result<()> {
        match self {
            Self::InStep(committer, _) => committer.sinks.settle(Settle::Due),
            Self::Beside(_) => Ok(()),
        }
    }

    /// Shows everything that was gathered. Nothing was written since the last checkpoint, and that is durable.
    pub fn settle_all(&mut self) -> Result<()> {
        match self {
            Self::InStep(committer, _) => committer.sinks.settle(Settle::All),
            Self::Beside(beside) => {
                let (done, settled) = channel();
                beside.send(Handed::SettleAll(done))?;
                settled.recv().map_err(|_| beside.failure())
            }
        }
    }
}

/// The sinks and the store of a stream.
pub(crate) struct Committer {
    pub sinks: Sinks,
    pub checkpoints: Box<dyn CheckpointStore>,
}

impl Committer {
    /// Begins to commit, and gives back the sink of records when these leave at once.
    pub fn commit(mut self, commits: Commits) -> (Option<Box<dyn Sink<Record>>>, Committing) {
        match commits {
            Commits::InStep => (None, Committing::InStep(self, None)),
            Commits::Beside { records_at_once } => {
                let prompt = records_at_once.then(|| self.sinks.take_records());
                (prompt, Committing::Beside(Beside::start(self)))
            }
        }
    }

    fn write(&mut self, output: &mut Output) -> Result<()> {
        self.sinks.write(output)?;
        output.clear();
        Ok(())
    }

    /// Stage sinks → save checkpoint → commit sinks → settle what is due.
    fn save(&mut self, taken: Taken) -> Result<Saved> {
        let Taken { mut checkpoint, records, at: taken_at } = taken;
        if let Some(staging) = records {
            checkpoint.staged.insert(RECORDS.to_owned(), staging()?);
        }
        self.sinks.save(&mut *self.checkpoints, &mut checkpoint)?;
        self.sinks.settle(Settle::Due)?;
        Ok(Saved { positions: checkpoint.positions, taken_at })
    }
}

/// What a thread is handed.
enum Handed {
    Output(Output),
    Checkpoint(Box<Taken>),
    SettleAll(Sender<()>),
}

/// A committer on a thread of its own. What it has not begun when this is dropped is left undone, as in a crash.
pub(crate) struct Beside {
    /// None when it is being dropped.
    queue: Option<SyncSender<Handed>>,
    saved: Receiver<Saved>,
    abandoned: Arc<AtomicBool>,
    /// None when its end was told.
    thread: Option<JoinHandle<Result<()>>>,
}

impl Beside {
    /// Goes on with a committer beside the stream.
    fn start(committer: Committer) -> Self {
        let (queue, handed) = sync_channel(QUEUE_LEN);
        // There is room for the one checkpoint that is on its way.
        let (done, saved) = sync_channel(1);
        let abandoned = Arc::new(AtomicBool::new(false));
        let work = {
            let abandoned = Arc::clone(&abandoned);
            move || committer.work(&handed, &done, &abandoned)
        };
        let thread = thread::Builder::new().name("committer".to_owned()).spawn(work).expect("a thread can be started");
        Self { queue: Some(queue), saved, abandoned, thread: Some(thread) }
    }

    fn offer(&mut self, output: &mut Output) -> Result<()> {
        let handed = Handed::Output(mem::take(output));
        match self.queue().try_send(handed) {
            Err(TrySendError::Full(Handed::Output(full))) if full.bytes() < GATHERED_BYTES_MAX => {
                *output = full;
                Ok(())
            }
            Err(TrySendError::Full(handed)) => self.send(handed),
            Err(TrySendError::Disconnected(_)) => Err(self.failure()),
            Ok(()) => Ok(()),
        }
    }

    fn send(&mut self, handed: Handed) -> Result<()> {
        self.queue().send(handed).map_err(|_| self.failure())
    }

    fn queue(&self) -> &SyncSender<Handed> {
        self.queue.as_ref().expect("it is not being dropped")
    }

    /// Why the thread has ended.
    fn failure(&mut self) -> Error {
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(Err(error))) => error,
            Some(Err(panicked)) => panic::resume_unwind(panicked),
            Some(Ok(Ok(()))) | None => {
                Error::new(Kind::Outage, "commit", "the output of the stream").because("it has failed before")
            }
        }
    }
}

impl Drop for Beside {
    /// Waits for what it is doing: whoever opens the same sinks next is alone with them.
    fn drop(&mut self) {
        self.abandoned.store(true, Ordering::Relaxed);
        self.queue = None;
        if let Some(Ok(Err(error))) = self.thread.take().map(JoinHandle::join) {
            tracing::warn!("{}", error.chain());
        }
    }
}

impl Committer {
    fn work(mut self, handed: &Receiver<Handed>, done: &SyncSender<Saved>, abandoned: &AtomicBool) -> Result<()> {
        // Whether something was written since the last checkpoint.
        let mut has_news = false;
        while !abandoned.load(Ordering::Relaxed) {
            match handed.recv_timeout(QUIET_MAX) {
                Ok(Handed::Output(output)) => {
                    self.sinks.write(&output)?;
                    has_news |= !output.is_empty();
                }
                Ok(Handed::Checkpoint(taken)) => {
                    let saved = self.save(*taken)?;
                    has_news = false;
                    // The stream may be gone.
                    let _ = done.send(saved);
                }
                Ok(Handed::SettleAll(done)) => {
                    self.sinks.settle(Settle::All)?;
                    let _ = done.send(());
                }
                Err(RecvTimeoutError::Timeout) if !has_news => self.sinks.settle(Settle::Due)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        Ok(())
    }
}
