//! From the catalogue to the stream: whatever is changed of the rules, the stream is told.

use std::sync::mpsc::Sender;
use std::time::Duration;

use tamis_api::StreamStatus;
use tamis_engine::Command;
use tamis_model::{Error, Kind, Result};
use tamis_registry::Registry;
use tokio::sync::{oneshot, watch};

use super::tell;

/// Between two tries, and between two looks for what another process may have changed.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Tells the stream of every change, until it has ended. A set that the stream refuses is not sent again; the one before it goes on, and
/// whoever asked finds the reason in the status.
pub(super) async fn follow(registry: Registry, status: watch::Sender<StreamStatus>, commands: Sender<Command>) {
    let mut revisions = registry.revisions();
    let mut last_refused = 0;
    loop {
        let wanted = *revisions.borrow_and_update();
        let runs = status.borrow().revision;
        if wanted != runs && wanted != last_refused {
            match hand_over(&registry, &commands).await {
                Ok(()) => status.send_modify(|status| status.refused = None),
                // The stream does not run now: it opens with what is current then.
                Err(error) if error.can_retry() => {}
                Err(error) => {
                    tracing::error!(revision = wanted, "the rules cannot be put to work: {}", error.chain());
                    last_refused = wanted;
                    status.send_modify(|status| status.refused = Some((wanted, error.chain())));
                }
            }
        }
        // Nobody changes anything any more when the registry is gone.
        let changed = tokio::time::timeout(LOOK_EVERY, revisions.changed()).await;
        if matches!(changed, Ok(Err(_))) {
            return;
        }
    }
}

async fn hand_over(registry: &Registry, commands: &Sender<Command>) -> Result<()> {
    let rules = registry.rule_set().await?;
    let (reply, answer) = oneshot::channel();
    // Whoever asked may be gone.
    let reply = Box::new(move |result| drop(reply.send(result)));
    let gone = || Error::new(Kind::Outage, "tell", "the stream, which has ended");
    if !tell(commands, Command::Rules(rules, reply)) {
        return Err(gone());
    }
    answer.await.unwrap_or_else(|_| Err(gone()))
}
