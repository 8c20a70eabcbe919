//! What a terminal or a service manager tells the process: to end.

use tamis_model::Result;
use tamis_model::error::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGTERM and interrupts, from when this is made: none of them kills the process any more.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Begins to listen. Must be called inside a runtime.
    pub fn listen() -> Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).outage("listen for", "SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).outage("listen for", "an interrupt")?,
        })
    }

    /// Waits for one of them; one that came before counts.
    pub async fn came(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
