//! The thread that writes: requests in the order in which they came, and one sync for all that wait.

use std::iter;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use tamis_connectors::ProcessLock;
use tamis_engine::{Sink, Waker};
use tamis_model::record::Record;
use tamis_model::{Error, Kind};
use tokio::sync::watch;

use super::{OpenTopics, Progress, Written};
use crate::problem::{Problem, ProblemKind};

/// Requests that share a sync, at most.
const GROUP_MAX: usize = 256;

/// A request to be written.
pub(super) struct Job {
    pub records: Vec<Record>,
    pub progress: Arc<watch::Sender<Progress>>,
}

/// Writes until nobody asks any more.
pub(super) fn run(jobs: &Receiver<Job>, open: OpenTopics, waker: &Waker) {
    let mut topics = Topics { open, sink: None };
    while let Ok(first) = jobs.recv() {
        let group = iter::once(first).chain(jobs.try_iter().take(GROUP_MAX - 1));
        let mut written: Vec<Job> = Vec::new();
        for job in group {
            match topics.write(&job.records) {
                // Who tails the topic sees it already.
                Ok(()) => written.push(job),
                Err(why) => job.is(why),
            }
        }
        waker.wake();
        let synced = match topics.sync() {
            Ok(()) => Written::Done,
            Err(_) => Written::Unknown,
        };
        // Where records are seen only when they are acknowledged.
        waker.wake();
        written.iter().for_each(|job| job.is(synced.clone()));
    }
}

impl Job {
    pub fn is(&self, written: Written) {
        self.progress.send_modify(|progress| progress.written = written);
    }
}

/// Nothing was written.
fn refused(error: &Error) -> Written {
    Written::Refused(match error.kind() {
        Kind::Invalid | Kind::Missing => Problem::new(ProblemKind::State, error.chain()),
        _ => Problem::unavailable(error.chain()),
    })
}

/// What a failed write means: whatever lies outside of us may have taken some of it.
fn failed(error: &Error) -> Written {
    let is_before = matches!(error.kind(), Kind::Invalid | Kind::Missing) || ProcessLock::is_taken(error);
    if is_before { refused(error) } else { Written::Unknown }
}

/// The topics, as long as they can be written to.
struct Topics {
    open: OpenTopics,
    sink: Option<Box<dyn Sink<Record>>>,
}

impl Topics {
    /// Writes records, or says what became of them.
    fn write(&mut self, records: &[Record]) -> Result<(), Written> {
        let mut sink = match self.sink.take() {
            Some(sink) => sink,
            None => (self.open)().map_err(|error| refused(&error))?,
        };
        let written = sink.write(records).map_err(|error| {
            tracing::error!("{}", error.chain());
            failed(&error)
        });
        // What has failed half way is opened anew, which finds out where it ends.
        if !matches!(written, Err(Written::Unknown)) {
            self.sink = Some(sink);
        }
        written
    }

    /// Makes durable what was written.
    fn sync(&mut self) -> Result<(), Error> {
        let Some(sink) = &mut self.sink else { return Ok(()) };
        let synced = sink.stage().map(drop).inspect_err(|error| tracing::error!("{}", error.chain()));
        if synced.is_err() {
            self.sink = None;
        }
        synced
    }
}
