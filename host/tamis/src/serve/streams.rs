//! The stream under supervision: it is opened again after an outage, and waits for people when a retry cannot help.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tamis_api::{StreamState, StreamStatus, Streams};
use tamis_connectors::ProcessLock;
use tamis_engine::report::Progress;
use tamis_engine::{Clock, Command, Commands, Restoring, Sink, SystemClock};
use tamis_model::alert::Alert;
use tamis_model::{Error, Kind, Result};
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::announce::Announcer;
use crate::commands::run_streams;
use crate::group::{self, Seen};
use crate::host::Host;
use crate::kafka::KafkaPlan;
use crate::streams::{Onlookers, Until};

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
    commands: Commands,
    thread: JoinHandle<()>,
}

impl Supervised {
    /// Starts it. The thread is none of `runtime`: sinks block on that.
    pub fn start(host: &Host, held: ProcessLock, runtime: &Handle, also: Also) -> Self {
        let status = watch::Sender::new(StreamStatus::starting(SystemClock.now()));
        let (commands, received) = Commands::new(host.decisions.waker().clone());
        let supervisor = Supervisor {
            host: host.clone(),
            held,
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

    /// Tells it to end: when the batch at work has, with a checkpoint.
    pub fn stop(&self) {
        // One that has ended needs not be told.
        let _ = self.commands.send(Command::Stop);
    }

    /// Waits until one that was told to end has.
    pub fn end(self, deadline: Instant) -> Result<()> {
        while !self.thread.is_finished() {
            if Instant::now() > deadline {
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
    /// No other process runs the streams of the home, between two runs neither.
    held: ProcessLock,
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
            let opens_with = *self.host.registry.revisions().borrow();
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
            let failed_with = opens_with.max(self.status.borrow().revision);
            if self.wait(wait, failed_with) == Next::End {
                return self.is(StreamState::Stopped, None);
            }
            self.is(StreamState::Starting, None);
        }
    }

    fn run(&self) -> Result<()> {
        match &self.host.plan.kafka {
            Some(kafka) if kafka.shared => self.run_share(kafka),
            _ => self.run_all(),
        }
    }

    /// Runs the streams of the home.
    fn run_all(&self) -> Result<()> {
        let mut seen = Instant::now();
        let observer = &mut |progress: &Progress<'_>| {
            let status = self.status.borrow();
            let is_new = status.state != StreamState::Running || status.revision != progress.report.revision;
            drop(status);
            if is_new || seen.elapsed() > STATUS_EVERY {
                seen = Instant::now();
                self.look(progress.into());
            }
        };
        let status = self.status.clone();
        let onlookers = Onlookers {
            alerts: (self.also)(),
            restoring: Box::new(move |restoring| status.send_modify(|status| status.restoring = restoring)),
        };
        run_streams(&self.host, &self.held, &self.runtime, Until::Stopped, onlookers, &self.commands, observer)
            .map(drop)
    }

    /// Runs this host's share of the group's streams.
    fn run_share(&self, kafka: &KafkaPlan) -> Result<()> {
        let registry = &self.host.registry;
        let observer = &mut |seen: Seen| {
            let tried = seen.rules.iter().filter(|gauge| gauge.trial && gauge.tripped.is_none());
            registry.set_tried(tried.map(|gauge| (gauge.rule.clone(), gauge.version)));
            self.look(seen);
        };
        let ended = group::serve(&self.host, kafka, &self.runtime, &self.commands, observer);
        registry.set_tried([]);
        ended
    }

    fn look(&self, seen: Seen) {
        let now = SystemClock.now();
        let (state, error) = (seen.doing.state(), seen.doing.error());
        self.status.send_modify(|status| seen.write(status, now));
        self.announcer.say(state, error.as_ref(), now);
    }

    fn is(&self, state: StreamState, error: Option<&Error>) {
        let now = SystemClock.now();
        self.status.send_modify(|status| {
            (status.state, status.since, status.error, status.updated_at) = (state, now, error.map(Error::chain), now);
            if state == StreamState::Starting {
                status.restoring = Restoring::default();
            }
        });
        self.announcer.say(state, error, now);
    }

    /// Answers commands while nothing runs: for `pause`, or until there are other rules than those of revision `failed_with`.
    fn wait(&self, pause: Option<Duration>, failed_with: u64) -> Next {
        let until = pause.map(|pause| Instant::now() + pause);
        loop {
            let left = until.map_or(Duration::MAX, |until| until.saturating_duration_since(Instant::now()));
            let stopped = || Error::new(Kind::Outage, "tell", "the stream, which does not run");
            match self.commands.recv_timeout(left.min(PAUSE_MAX)) {
                Ok(Command::Stop) | Err(RecvTimeoutError::Disconnected) => return Next::End,
                Ok(Command::Redrive(_, reply)) => reply(Err(stopped())),
                Ok(Command::Rules(rules, reply)) => {
                    // It opens with what the catalogue has then.
                    reply(Err(stopped()));
                    if rules.revision != failed_with {
                        return Next::Again;
                    }
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

/// Whoever asks how the stream is learns it when its thread panicked, too.
impl Drop for Supervisor {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let reason = "its thread panicked; the log says where";
            self.is(StreamState::Failed, Some(&Error::new(Kind::Corrupt, "go on with", "the stream").because(reason)));
        }
    }
}

#[cfg(test)]
mod tests {
    use tamis_engine::RuleSet;

    use super::*;
    use crate::commands::{lock_streams, runtime};
    use crate::home::Home;
    use crate::plan::Plan;

    #[test]
    fn a_stream_whose_thread_panics_has_failed() {
        let (folder, runtime) = (tempfile::tempdir().unwrap(), runtime().unwrap());
        let plan = Plan::new(Home::new(folder.path()), Some(b"pepper")).unwrap();
        let host = runtime.block_on(Host::open(plan)).unwrap();
        let stream = Supervised::start(
            &host,
            lock_streams(&host.plan.home).unwrap(),
            runtime.handle(),
            Box::new(|| panic!("as the test wants it")),
        );
        let mut status = stream.status.subscribe();
        let failed = status.wait_for(|status| status.state == StreamState::Failed);
        let failed = runtime.block_on(async { tokio::time::timeout(Duration::from_secs(60), failed).await.unwrap() });
        assert!(failed.unwrap().error.as_ref().is_some_and(|error| error.contains("panicked")));
        stream.stop();
        let error = stream.end(Instant::now() + Duration::from_secs(60)).unwrap_err();
        assert!(error.chain().contains("panicked"), "{}", error.chain());
    }

    #[test]
    fn only_other_rules_end_the_pause_of_a_stream_that_failed() {
        let (folder, runtime) = (tempfile::tempdir().unwrap(), runtime().unwrap());
        let plan = Plan::new(Home::new(folder.path()), Some(b"pepper")).unwrap();
        let host = runtime.block_on(Host::open(plan)).unwrap();
        let (commands, received) = Commands::new(host.decisions.waker().clone());
        let status = watch::Sender::new(StreamStatus::starting(0));
        let runtime = runtime.handle().clone();
        let announcer = Announcer::new(host.catalog().clone(), runtime.clone());
        let held = lock_streams(&host.plan.home).unwrap();
        let supervisor =
            Supervisor { host, held, runtime, status, commands: received, announcer, also: Box::new(Vec::new) };
        let (pause, long) = (Duration::from_millis(300), Duration::from_secs(60));
        let check = |revisions: &[u64], pause: Option<Duration>, waits: bool| {
            for revision in revisions {
                let rules = RuleSet { revision: *revision, rules: Vec::new() };
                assert!(commands.send(Command::Rules(rules, Box::new(|reply| assert!(reply.is_err())))));
            }
            let began = Instant::now();
            assert!(supervisor.wait(pause, 7) == Next::Again);
            let waited = began.elapsed();
            assert!(if waits { waited >= pause.unwrap() } else { waited < long / 2 }, "{revisions:?}: {waited:?}");
        };
        check(&[], Some(pause), true);
        check(&[7, 7], Some(pause), true);
        check(&[7, 8], Some(long), false);
        check(&[7, 8], None, false);
        assert!(commands.send(Command::Stop));
        assert!(supervisor.wait(None, 7) == Next::End);
    }
}
