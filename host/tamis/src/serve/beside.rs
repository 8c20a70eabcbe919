//! Work beside the stream under supervision, each on its own thread, so that it holds nobody up; it is begun again after an outage.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tamis_api::{BesideStreams, Part};
use tamis_catalog::operations::Trouble;
use tamis_connectors::ProcessLock;
use tamis_engine::{Clock, SystemClock};
use tamis_model::{Error, Result};
use tokio::runtime::Handle;

use crate::commands::{lock_archive, run_archive};
use crate::group;
use crate::host::Host;
use crate::streams::Until;

/// After an outage: at first, and at most.
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// What ran so long is not failing again and again.
const STEADY: Duration = Duration::from_secs(60);
/// Between two looks whether it is to end.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Work beside the stream.
#[derive(Clone, Copy)]
pub(super) enum Beside {
    /// Topics into the archive.
    Archive,
    /// What the hosts of a group raise, to lake and warehouse.
    Delivery,
}

impl Beside {
    /// What a host does.
    pub fn all(host: &Host) -> Vec<Self> {
        let archive = (!host.plan.config.archive.topics.is_empty()).then_some(Self::Archive);
        let delivery = host.plan.kafka.as_ref().is_some_and(|kafka| kafka.shared).then_some(Self::Delivery);
        archive.into_iter().chain(delivery).collect()
    }

    /// Starts it; it ends when `stop` is set, or when only people can help. The thread is none of `runtime`.
    pub fn start(self, host: &Host, runtime: &Handle, stop: &Arc<AtomicBool>) -> Working {
        let (host, runtime, stop, held) = (host.clone(), runtime.clone(), Arc::clone(stop), Arc::new(()));
        let while_held = Arc::downgrade(&held);
        let work = move || {
            // However it ends, when it panics too, this goes.
            let _held = held;
            self.supervise(&host, &runtime, &stop);
        };
        Working { work: self, held: while_held, thread: std::thread::spawn(work) }
    }

    const fn part(self) -> Part {
        match self {
            Self::Archive => Part::Archive,
            Self::Delivery => Part::Delivery,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Archive => "archive",
            Self::Delivery => "delivery",
        }
    }

    fn supervise(self, host: &Host, runtime: &Handle, stop: &AtomicBool) {
        let mut pause = PAUSE_MIN;
        while !stop.load(Ordering::Relaxed) {
            let began = Instant::now();
            let Err(error) = self.run(host, runtime, stop) else { continue };
            tracing::error!("the {} stopped: {}", self.name(), error.chain());
            if began.elapsed() > STEADY {
                pause = PAUSE_MIN;
            }
            if !error.can_retry() {
                return self.raise(host, runtime, &error);
            }
            let until = Instant::now() + pause;
            pause = (pause * 2).min(PAUSE_MAX);
            while Instant::now() < until && !stop.load(Ordering::Relaxed) {
                std::thread::sleep(LOOK_EVERY);
            }
        }
    }

    fn run(self, host: &Host, runtime: &Handle, stop: &AtomicBool) -> Result<()> {
        match (self, &host.plan.kafka) {
            (Self::Archive, _) => {
                let held: ProcessLock = lock_archive(&host.plan.home)?;
                run_archive(host, &held, runtime, Until::Stopped, stop).map(drop)
            }
            (Self::Delivery, Some(kafka)) => group::deliver(host, kafka, runtime, stop),
            (Self::Delivery, None) => unreachable!("only a group delivers"),
        }
    }

    fn raise(self, host: &Host, runtime: &Handle, error: &Error) {
        let message = match self {
            Self::Archive => "topics are not archived until the next start",
            Self::Delivery => "alerts and aggregates do not come to lake and warehouse until the next start",
        };
        let message = format!("{message}: {}", error.chain());
        let raised = host.catalog().raise_outside_runs(Trouble::RunFailed, self.name(), &message, SystemClock.now());
        if let Err(error) = runtime.block_on(raised) {
            tracing::error!("{}", error.chain());
        }
    }
}

/// Work at work.
pub(super) struct Working {
    work: Beside,
    /// By the thread, as long as it goes on.
    held: Weak<()>,
    thread: JoinHandle<()>,
}

impl Working {
    /// As those learn of it who ask whether the host is ready.
    pub fn shown(&self) -> BesideStreams {
        BesideStreams { part: self.work.part(), held: self.held.clone() }
    }

    /// Waits for work that was told to end; what it has not saved by then is done again at the next start.
    pub fn end(self, deadline: Instant) {
        while !self.thread.is_finished() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        if self.thread.is_finished() && self.thread.join().is_err() {
            tracing::error!("the {} panicked", self.work.name());
        }
    }
}
