//! The clock of all deadlines: advances the engine's epoch while the sandbox lives.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use tamis_model::Result;
use tamis_model::error::Context;
use wasmtime::Engine;

/// How often the epoch advances; deadlines are as coarse as this.
const TICK_MS: u64 = 10;

/// A thread that ends when this value is dropped.
#[derive(Debug)]
pub(crate) struct Ticker {
    alive: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    pub fn start(engine: &Engine) -> Result<Self> {
        let engine = engine.clone();
        let tick = Duration::from_millis(TICK_MS);
        let (alive, dropped) = mpsc::channel::<()>();
        let thread = std::thread::Builder::new()
            .name("tamis-epoch".to_owned())
            .spawn(move || {
                while dropped.recv_timeout(tick) == Err(RecvTimeoutError::Timeout) {
                    engine.increment_epoch();
                }
            })
            .outage("start", "the thread that watches deadlines")?;
        Ok(Self { alive: Some(alive), thread: Some(thread) })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        drop(self.alive.take());
        if let Some(thread) = self.thread.take() {
            // It does nothing that panics; if it had, there would be nothing left to stop.
            let _ = thread.join();
        }
    }
}

/// Epochs until `deadline_ms` have surely passed: the one that is running counts for nothing.
pub(crate) fn ticks(deadline_ms: u32) -> u64 {
    u64::from(deadline_ms).div_ceil(TICK_MS) + 1
}
