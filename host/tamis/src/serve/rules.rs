//! From the catalogue to the stream: whatever is changed of the rules, the stream is told.

use std::time::Duration;

use tamis_api::StreamStatus;
use tamis_engine::{Command, Commands};
use tamis_model::{Error, Kind, Result};
use tamis_registry::Registry;
use tokio::sync::{oneshot, watch};

/// Between two tries, and between two looks for what another process may have changed: a run that sows, a person at the home.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Tells the stream of every change, until it has ended. A set that the stream refuses is not sent again; the one before it goes on, and
/// whoever asked finds the reason in the status.
pub(super) async fn follow(registry: Registry, status: watch::Sender<StreamStatus>, commands: Commands) {
    let mut revisions = registry.revisions();
    let mut last_refused = 0;
    let mut trouble = None;
    loop {
        let looked = registry.look().await.map(drop).map_err(Refusal::Registry);
        let wanted = *revisions.borrow_and_update();
        let runs = status.borrow().revision;
        let handed = match looked {
            Ok(()) if wanted != runs && wanted != last_refused => hand_over(&registry, &commands).await.map(Some),
            looked => looked.map(|()| None),
        };
        match handed {
            Ok(None) => trouble = None,
            Ok(Some(())) => {
                trouble = None;
                status.send_modify(|status| status.refused = None);
            }
            // It opens with what is current then.
            Err(Refusal::Stream(error)) if error.can_retry() => {}
            Err(Refusal::Registry(error)) if error.can_retry() => {
                // Once, not at every look.
                if trouble.as_ref() != Some(&error.chain()) {
                    tracing::warn!("the rules cannot be read, and are asked for again: {}", error.chain());
                    trouble = Some(error.chain());
                }
            }
            Err(Refusal::Stream(error) | Refusal::Registry(error)) if wanted != last_refused => {
                tracing::error!(revision = wanted, "the rules cannot be put to work: {}", error.chain());
                last_refused = wanted;
                status.send_modify(|status| status.refused = Some((wanted, error.chain())));
            }
            Err(_) => {}
        }
        // Nobody changes anything any more when the registry is gone.
        let changed = tokio::time::timeout(LOOK_EVERY, revisions.changed()).await;
        if matches!(changed, Ok(Err(_))) {
            return;
        }
    }
}

/// Who does not go along.
enum Refusal {
    /// The rules cannot be made of what is known.
    Registry(Error),
    /// The stream does not run, or cannot go on with them.
    Stream(Error),
}

async fn hand_over(registry: &Registry, commands: &Commands) -> Result<(), Refusal> {
    let rules = registry.rule_set().await.map_err(Refusal::Registry)?;
    let (reply, answer) = oneshot::channel();
    // Whoever asked may be gone.
    let reply = Box::new(move |result| drop(reply.send(result)));
    let gone = || Error::new(Kind::Outage, "tell", "the stream, which has ended");
    if !commands.send(Command::Rules(rules, reply)) {
        return Err(Refusal::Stream(gone()));
    }
    answer.await.unwrap_or_else(|_| Err(gone())).map_err(Refusal::Stream)
}

#[cfg(test)]
mod tests {
    use tamis_catalog::{Actor, Catalog, Change};
    use tamis_engine::RuleSet;

    use super::*;
    use crate::home::Home;
    use crate::host::Host;
    use crate::plan::Plan;

    #[tokio::test(flavor = "multi_thread")]
    async fn what_another_process_changes_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path());
        let metadata = home.metadata();
        let host = Host::open(Plan::new(home, Some(b"pepper")).unwrap()).await.unwrap();
        let (commands, received) = Commands::new(host.decisions.waker().clone());
        let status = watch::Sender::new(StreamStatus::starting(0));
        let follower = tokio::spawn(follow(host.registry.clone(), status.clone(), commands));
        let other = Catalog::open(&metadata).await.unwrap();
        let change = Change { actor: &Actor::local(), why: None, at: 1 };
        let told = tokio::task::spawn_blocking(move || {
            let Command::Rules(RuleSet { revision, .. }, reply) = received.recv().unwrap() else {
                panic!("rules come")
            };
            reply(Ok(()));
            revision
        });
        other.put_list("bins", &[], None, &change).await.unwrap();
        let told = tokio::time::timeout(Duration::from_secs(20), told).await.unwrap().unwrap();
        assert_eq!(told, other.rule_set_revision().await.unwrap());
        follower.abort();
    }
}
