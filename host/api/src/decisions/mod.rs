//! Decisions: an event is written to its topic, and whoever sent it is told what the stream made of it.
//!
//! Nothing is judged here. A request is registered with the stream, its records are written by a thread of their own (`writer`), and what
//! the stream says of them is the answer. A request with a key is remembered for a while (`book`): the same one again gets the same answer,
//! and writes nothing.

mod book;
mod writer;

use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tamis_engine::decisions::{self, Decision, Ticket};
use tamis_engine::meters::{Durations, Latencies};
use tamis_engine::{Decisions, Sink};
use tamis_model::record::Record;
use tamis_model::time::Millis;
use tamis_model::{Error, Kind, Result};
use tokio::sync::watch;

use self::book::Book;
pub(crate) use self::book::Key;
use self::writer::Job;
use crate::problem::{Problem, ProblemKind};

/// Requests that wait to be written, at most.
const JOBS_MAX: usize = 1_024;
/// Bounds for the time until an answer.
const SECONDS: &[f64] = &[0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// How long it waits between two looks whether the stream has caught up.
const LOOK: Duration = Duration::from_millis(5);
/// What is said of a key that named another request.
const USED: &str = "the key was used for another request: every event has its own";

/// Opens the topics to be written to.
pub type OpenTopics = Box<dyn FnMut() -> Result<Box<dyn Sink<Record>>> + Send>;

/// Where decisions are asked for.
pub struct Desk {
    decisions: Decisions,
    jobs: SyncSender<Job>,
    book: Mutex<Book>,
    meters: Mutex<Meters>,
}

/// What is asked.
pub(crate) struct Question {
    /// Under which it is remembered.
    pub key: Option<Key>,
    /// Tells it from others under the same key.
    pub fingerprint: [u8; 32],
    /// All of one topic.
    pub records: Vec<Record>,
}

/// A request that was written, or soon will be.
#[derive(Clone)]
pub(crate) struct Asked {
    /// Its id.
    pub id: u128,
    /// Whether it was asked before.
    pub repeated: bool,
    progress: watch::Receiver<Progress>,
}

/// How far a request is.
#[derive(Clone, Debug, Default)]
struct Progress {
    written: Written,
    /// What the stream made of its records, once it has judged them all.
    decided: Option<Arc<[Decision]>>,
}

/// Whether the records of a request are in their topic.
#[derive(Clone, Debug, Default)]
enum Written {
    /// Not yet.
    #[default]
    Waiting,
    /// They are, and stay.
    Done,
    /// Writing failed on the way: they may be.
    Unknown,
    /// They are not, and never will be.
    Refused(Problem),
}

/// What became of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It was answered.
    Answered,
    /// It was answered, and had been asked before.
    Repeated,
    /// The stream had not judged it in time.
    TimedOut,
    /// It was not taken.
    Unavailable,
}

impl Fate {
    pub const ALL: [Self; 4] = [Self::Answered, Self::Repeated, Self::TimedOut, Self::Unavailable];

    /// Its stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Repeated => "repeated",
            Self::TimedOut => "timed_out",
            Self::Unavailable => "unavailable",
        }
    }
}

#[derive(Default)]
struct Meters {
    /// By [`Fate`].
    counts: [u64; Fate::ALL.len()],
    answered: Durations,
}

impl Desk {
    /// Writes to what `open` opens, on a thread of its own, and waits for what the stream of `decisions` makes of it.
    pub fn start(decisions: Decisions, open: OpenTopics) -> Self {
        let (jobs, received) = sync_channel(JOBS_MAX);
        let waker = decisions.waker().clone();
        std::thread::spawn(move || writer::run(&received, open, &waker));
        Self { decisions, jobs, book: Mutex::default(), meters: Mutex::default() }
    }

    /// Writes records about which nobody asks, behind those that wait.
    pub fn write(&self, records: Vec<Record>) -> Result<()> {
        let sent = self.jobs.send(Job { records, progress: Arc::default() });
        sent.map_err(|_| Error::new(Kind::Stopped, "write records to", "topics"))
    }

    /// Waits, so long at most, until it can be said of a request with a key whether it came before: a stream that has just started reads
    /// what is there first.
    pub(crate) async fn catch_up(&self, patience: Duration) {
        let began = Instant::now();
        while self.decisions.is_behind() && began.elapsed() < patience {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Has the records of a request written, unless that was done before, or `may_write` knows better.
    pub(crate) fn ask(
        &self,
        question: Question,
        now: Millis,
        may_write: impl FnOnce() -> Result<(), Problem>,
    ) -> Result<Asked, Problem> {
        let mut book = lock(&self.book);
        book.forget_old(now, |id| self.decisions.forget(id));
        let Question { key, fingerprint, mut records } = question;
        if let Some(known) = key.as_ref().and_then(|key| book.find(key)) {
            return if known.fingerprint == fingerprint { Ok(known.asked()) } else { Err(Problem::invalid(USED)) };
        }
        may_write()?;
        let id = key.as_ref().map_or_else(random_id, |key| Ok(key.id()))?;
        let body = key.as_ref().map(|_| u128_of(&fingerprint));
        let progress = Arc::new(watch::Sender::new(Progress::default()));
        let told = Arc::clone(&progress);
        let reply = move |decided: Vec<Decision>| told.send_modify(|told| told.decided = Some(decided.into()));
        let count = records.len();
        let missing = match self.decisions.ask(id, body, count as u32, reply) {
            decisions::Asked::Waits { missing } => missing,
            decisions::Asked::TooMany => return Err(Problem::unavailable("too many events wait for the stream")),
            decisions::Asked::Behind => {
                let detail = "the stream has not read yet what was there when it started: the request may be among it";
                return Err(Problem::unavailable(detail));
            }
            decisions::Asked::Another => return Err(Problem::invalid(USED)),
        };
        let asked = Asked { id, repeated: missing.is_empty(), progress: progress.subscribe() };
        for (record, number) in records.iter_mut().zip(0..) {
            record.headers.push(Ticket { request: id, record: number, body }.header());
        }
        let mut number = 0..;
        records.retain(|_| number.next().is_some_and(|number| missing.binary_search(&number).is_ok()));
        self.submit(Job { records, progress }, id)?;
        if let Some(key) = key {
            book.add(key, fingerprint, asked.clone(), count, now);
        }
        Ok(asked)
    }

    /// Has the records of a request written, if there are any.
    fn submit(&self, job: Job, id: u128) -> Result<(), Problem> {
        if job.records.is_empty() {
            job.is(Written::Done);
            return Ok(());
        }
        self.jobs.try_send(job).map_err(|error| {
            self.decisions.forget(id);
            Problem::unavailable(match error {
                TrySendError::Full(_) => "too many events wait to be written",
                TrySendError::Disconnected(_) => "nothing can be written any more",
            })
        })
    }

    /// Waits for the answer to a request, which `key` names again.
    pub(crate) async fn answer(
        &self,
        asked: Asked,
        key: Option<&Key>,
        timeout: Duration,
    ) -> Result<Arc<[Decision]>, Problem> {
        let Asked { id, mut progress, .. } = asked;
        let over = |progress: &Progress| match progress.written {
            Written::Refused(_) => true,
            Written::Waiting => false,
            Written::Done | Written::Unknown => progress.decided.is_some(),
        };
        // That nobody is left who could say more is no different from that nothing comes in time.
        let waited = tokio::time::timeout(timeout, progress.wait_for(over)).await;
        let waited = waited.ok().and_then(Result::ok).map(|progress| progress.clone());
        if let Some(Progress { written: Written::Refused(problem), .. }) = waited {
            self.forget(id, key);
            return Err(problem);
        }
        if let Some(Progress { decided: Some(decided), .. }) = waited {
            return Ok(decided);
        }
        if key.is_none() {
            // Nobody can ask for it again.
            self.decisions.forget(id);
        }
        let event = match progress.borrow().written {
            Written::Done => "the event is in its topic, and the stream will judge it",
            _ => "the event may be in its topic",
        };
        let again = match key {
            Some(_) => "ask again with the same key: it is not written again",
            None => "whoever sends it again sends another event",
        };
        let detail = format!("no decision within {} ms: {event}; {again}", timeout.as_millis());
        Err(Problem::new(ProblemKind::Late, detail).of_decision(text_of(id)))
    }

    /// Takes note of what became of a request, and how long that took.
    pub(crate) fn note(&self, fate: Fate, took: Duration) {
        let mut meters = lock(&self.meters);
        meters.counts[fate as usize] += 1;
        if fate == Fate::Answered {
            meters.answered.record_ns(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
        }
    }

    /// What became of requests, and how long those that were answered took.
    pub(crate) fn measures(&self) -> ([(Fate, u64); Fate::ALL.len()], Latencies) {
        let meters = lock(&self.meters);
        (Fate::ALL.map(|fate| (fate, meters.counts[fate as usize])), meters.answered.within(SECONDS))
    }

    /// A request was never written: it may be asked again.
    fn forget(&self, id: u128, key: Option<&Key>) {
        self.decisions.forget(id);
        if let Some(key) = key {
            lock(&self.book).forget(key, id);
        }
    }
}

/// An id as people see it.
pub(crate) fn text_of(id: u128) -> String {
    format!("{id:032x}")
}

fn random_id() -> Result<u128, Problem> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| Problem::internal(error.to_string()))?;
    Ok(u128::from_le_bytes(bytes))
}

/// The first half of a SHA-256.
fn u128_of(hash: &[u8; 32]) -> u128 {
    u128::from_be_bytes(*hash.first_chunk().expect("it is longer"))
}

fn lock<T>(content: &Mutex<T>) -> MutexGuard<'_, T> {
    content.lock().unwrap_or_else(PoisonError::into_inner)
}
