//! The stream under supervision: it is opened again after an outage, and waits for people when a retry cannot help.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tamis_api::{StreamState, StreamStatus, Streams};
use tamis_engine::report::Progress;
use tamis_engine::{Clock, Command, Sink, SystemClock};
use tamis_model::alert::Alert;
use tamis_model::{Error, Kind, Result};
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::announce::Announcer;
use super::tell;
use crate::commands::run_streams;
use crate::host::Host;
use crate::streams::Until;

/// Between two looks at how the stream is.
const STATUS_EVERY: Duration = Duration::from_secs(1);
/// After an outage: at first, and at most.
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// A stream that ran so long is not failing again and again.
const STEADY: Duration = Duration::from_secs(60);

/// Makes the sinks that see every alert besides topic, lake and warehouse, for each time that the stream is opened.
pub(crate) type Also = Box<dyn Fn() -> Vec<(String, Box<dyn Sink<Alert>>)> + Send>;

/// The stream on its own thread.
pub(crate) struct Supervised {
    pub status: watch::Sender<StreamStatus>,
    commands: Sender<Command>,
    thread: JoinHandle<()>,
}

impl Supervised {
    /// Starts it. The thread is none of `runtime`: sinks block on that.
    pub fn start(host: &Host, runtime: &Handle, also: Also) -> Self {
        let status = watch::Sender::new(StreamStatus::starting(SystemClock.now()));
        let (commands, received) = channel();
        let supervisor = Supervisor {
            host: host.clone(),
            runtime: runtime.clone(),
            status: status.clone(),
            commands: received,
            announcer: Announcer::new(host.catalog().clone(), runtime.clone()),
            also,
        };
        let thread = std::thread::spawn(move || supervisor.supervise());
        Self { status, commands, thread }
    }

    /// The stream as others see it.
    pub fn streams(&self) -> Streams {
        Streams { status: self.status.subscribe(), commands: self.commands.clone() }
    }

    /// Lets the batch at work end, takes a checkpoint, and waits for that.
    pub fn end(self, wait_max: Duration) -> Result<()> {
        tell(&self.commands, Command::Stop);
        let began = Instant::now();
        while !self.thread.is_finished() {
            if began.elapsed() > wait_max {
                let reason = "it goes on at its last checkpoint at the next start";
                return Err(Error::new(Kind::Outage, "end within its time", "the stream").because(reason));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.thread.join().map_err(|_| Error::new(Kind::Corrupt, "end", "the stream, which panicked"))
    }
}

struct Supervisor {
    host: Host,
    runtime: Handle,
    status: watch::Sender<StreamStatus>,
    commands: Receiver<Command>,
    announcer: Announcer,
    also: Also,
}

impl Supervisor {
    fn supervise(self) {
        let mut pause = PAUSE_MIN;
        loop {
            let began = Instant::now();
            let result = self.run();
            let Err(error) = result else {
                return self.is(StreamState::Stopped, None);
            };
            tracing::error!("the stream stopped: {}", error.chain());
            if began.elapsed() > STEADY {
                pause = PAUSE_MIN;
            }
            let state = if error.kind() == Kind::Plugin { StreamState::Halted } else { StreamState::Failed };
            self.is(state, Some(&error));
            let wait = error.can_retry().then_some(pause);
            pause = (pause * 2).min(PAUSE_MAX);
            if self.wait(wait) == Next::End {
                return self.is(StreamState::Stopped, None);
            }
            self.is(StreamState::Starting, None);
        }
    }

    fn run(&self) -> Result<()> {
        let mut seen = Instant::now();
        let observer = &mut |progress: &Progress<'_>| {
            let status = self.status.borrow();
            let is_new = status.state != StreamState::Running || status.revision != progress.report.revision;
            drop(status);
            if is_new || seen.elapsed() > STATUS_EVERY {
                seen = Instant::now();
                self.look(progress);
            }
        };
        run_streams(&self.host, &self.runtime, Until::Stopped, (self.also)(), &self.commands, observer).map(drop)
    }

    fn look(&self, progress: &Progress<'_>) {
        let now = SystemClock.now();
        self.status.send_modify(|status| {
            if status.state != StreamState::Running {
                (status.state, status.since, status.error) = (StreamState::Running, now, None);
            }
            status.revision = progress.report.revision;
            status.report = Arc::new(progress.report.clone());
            status.rules = Arc::new(progress.rules());
            status.updated_at = now;
        });
        self.announcer.say(StreamState::Running, None, now);
    }

    fn is(&self, state: StreamState, error: Option<&Error>) {
        let now = SystemClock.now();
        self.status.send_modify(|status| {
            (status.state, status.since, status.error, status.updated_at) = (state, now, error.map(Error::chain), now);
        });
        self.announcer.say(state, error, now);
    }

    /// Answers commands while nothing runs: for `pause`, or until the rules are changed.
    fn wait(&self, pause: Option<Duration>) -> Next {
        let until = pause.map(|pause| Instant::now() + pause);
        loop {
            let left = until.map_or(Duration::MAX, |until| until.saturating_duration_since(Instant::now()));
            let stopped = || Error::new(Kind::Outage, "tell", "the stream, which does not run");
            match self.commands.recv_timeout(left.min(PAUSE_MAX)) {
                Ok(Command::Stop) | Err(RecvTimeoutError::Disconnected) => return Next::End,
                Ok(Command::Redrive(_, reply)) => reply(Err(stopped())),
                Ok(Command::Rules(_, reply)) => {
                    // It opens with what the catalogue has then.
                    reply(Err(stopped()));
                    return Next::Again;
                }
                Err(RecvTimeoutError::Timeout) if left.is_zero() => return Next::Again,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Again,
    End,
}
