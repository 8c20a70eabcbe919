//! What the stream comes to: told to those who look on, and kept for those who must look.

use std::cell::RefCell;
use std::time::Duration;

use serde_json::json;
use tamis_api::StreamState;
use tamis_catalog::Catalog;
use tamis_catalog::operations::Trouble;
use tamis_model::time::Millis;
use tamis_model::{Error, Kind, Result};
use tokio::runtime::Handle;

/// The streams, as events and alerts call them.
const OBJECT: &str = "streams";
/// How long the stream waits for the word of it.
const SAY_MAX: Duration = Duration::from_secs(2);

/// Says what becomes of a stream. It blocks its thread, which is none of the runtime.
pub(super) struct Announcer {
    catalog: Catalog,
    runtime: Handle,
    said: RefCell<Option<(StreamState, Option<String>)>>,
}

impl Announcer {
    pub fn new(catalog: Catalog, runtime: Handle) -> Self {
        Self { catalog, runtime, said: RefCell::default() }
    }

    /// Says what the stream does now, unless that was said last: a stream that is started and fails again and again has
    /// one thing to say. When no retry can help, people must look.
    pub fn say(&self, state: StreamState, error: Option<&Error>, now: Millis) {
        let news = (state, error.map(Error::chain));
        if state == StreamState::Starting || self.said.borrow().as_ref() == Some(&news) {
            return;
        }
        let must_look = error.is_some_and(|error| !error.can_retry());
        let keep = async { tokio::time::timeout(SAY_MAX, self.keep(state, news.1.as_deref(), must_look, now)).await };
        let kept = match self.runtime.block_on(keep) {
            Ok(kept) => kept,
            Err(_) => Err(Error::new(Kind::Outage, "keep in time the state of", OBJECT)),
        };
        if let Err(error) = &kept {
            tracing::error!("the stream is {}: {}", state.name(), error.chain());
        }
        // What runs does not wait for it again.
        if kept.is_ok() || !must_look {
            self.said.replace(Some(news));
        }
    }

    async fn keep(&self, state: StreamState, error: Option<&str>, must_look: bool, now: Millis) -> Result<()> {
        if must_look {
            self.catalog.raise_outside_runs(Trouble::StreamHalted, OBJECT, error.unwrap_or_default(), now).await?;
        }
        self.catalog.append_event(&format!("stream.{}", state.name()), OBJECT, &json!({"error": error}), now).await
    }
}

#[cfg(test)]
mod tests {
    use tamis_catalog::PageQuery;

    use super::*;

    #[test]
    fn what_becomes_of_the_stream_is_said_once_and_what_stands_still_is_an_alert() {
        let runtime = crate::commands::runtime().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let catalog = runtime.block_on(Catalog::open(&folder.path().join("tamis.db"))).unwrap();
        let announcer = Announcer::new(catalog.clone(), runtime.handle().clone());
        let outage = Error::new(Kind::Outage, "read", "topics");
        let halt = Error::new(Kind::Plugin, "judge", "payments/0");
        for (state, error) in [
            (StreamState::Running, None),
            (StreamState::Failed, Some(&outage)),
            (StreamState::Starting, None),
            (StreamState::Failed, Some(&outage)),
            (StreamState::Running, None),
            (StreamState::Halted, Some(&halt)),
            (StreamState::Starting, None),
            (StreamState::Halted, Some(&halt)),
        ] {
            announcer.say(state, error, 7);
        }
        let (events, alerts) = runtime.block_on(async {
            let first = PageQuery { cursor: None, limit: 10 };
            (catalog.events_after(0, 10).await.unwrap(), catalog.all_operational_alerts(&first).await.unwrap().items)
        });
        let kinds: Vec<_> = events.iter().map(|event| event.kind.as_str()).collect();
        assert_eq!(kinds, ["stream.running", "stream.failed", "stream.running", "stream.halted"]);
        let alerts: Vec<_> = alerts.iter().map(|alert| (&*alert.alert.kind, &*alert.alert.message)).collect();
        assert_eq!(alerts, [("stream_halted", "cannot judge payments/0")]);
    }
}
