//! What happens, as it happens: server-sent events out of the catalogue's table.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use axum::response::sse::{Event as Message, KeepAlive, Sse};
use futures::stream;
use serde_json::json;
use tamis_catalog::events::Event;
use tamis_catalog::roles::Permission;
use tamis_model::Result;
use tokio::sync::{OwnedSemaphorePermit, watch};
use utoipa_axum::routes;

use crate::access::{Access, Caller};
use crate::app::{self, App};
use crate::problem::Problem;
use crate::routes::Routes;

/// Between two comments that tell a proxy that the stream lives.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Between two looks into the table: whoever changes rules wakes the stream at once, others do not.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// Events that are read at once.
const EVENTS_READ_MAX: u32 = 100;
/// How long a browser waits before it comes again.
const RETRY: Duration = Duration::from_secs(2);

pub(super) fn routes(routes: Routes) -> Routes {
    routes.add(Access::Read(Permission::Read), routes!(stream_events))
}

/// Where a reader goes on.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "described here, read by name")]
struct LastEventId {
    /// The id of the last event that the reader has had; only what comes when absent.
    #[param(rename = "Last-Event-ID", minimum = 0)]
    last_event_id: Option<i64>,
}

/// Says when the server ends: then event streams end too.
#[derive(Clone)]
pub(crate) struct Closing(pub watch::Receiver<bool>);

/// What happens from now on, or since the event `Last-Event-ID`: changes of rules and lists, builds of plugins, trips,
/// runs, the state of the stream.
///
/// The name of an event is its `kind`, its data the whole event. When events were forgotten that the reader has not had,
/// the event `missed` says between which ids.
#[utoipa::path(
    get, path = "/events", tag = "events", params(LastEventId),
    responses((
        status = 200, description = "A stream without an end.", body = String, content_type = "text/event-stream",
        example = "id: 7\nevent: rule.activate\ndata: {\"id\":7,\"kind\":\"rule.activate\",\"object\":\"card-testing\"}\n\n",
    )),
)]
async fn stream_events(
    State(app): app::State,
    caller: Caller,
    closing: Option<Extension<Closing>>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Problem> {
    let busy = |_| Problem::unavailable("as many event streams are open as there may be");
    let permit = Arc::clone(&app.event_streams).try_acquire_owned().map_err(busy)?;
    let newest = app.catalog().last_event_id().await?;
    let last = match headers.get("last-event-id") {
        None => newest,
        Some(id) => {
            let id = id.to_str().ok().and_then(|id| id.parse().ok()).filter(|id: &i64| *id >= 0);
            id.ok_or_else(|| Problem::bad_request("Last-Event-ID is the id of an event"))?
        }
    };
    let revisions = app.registry().revisions();
    // Whoever breaks off before the first event has an id to come again with all the same.
    let hello = Message::default().comment("tamis").retry(RETRY).id(last.min(newest).to_string());
    let reader = Reader {
        app,
        token_id: caller.token.id,
        last,
        waiting: VecDeque::from([hello]),
        revisions,
        closing: closing.map(|Extension(Closing(closing))| closing),
        _permit: permit,
    };
    // An id that is not given yet is of another life of the host.
    let reader = if last > newest { reader.skip_to(newest) } else { reader };
    let messages = stream::unfold(reader, |mut reader| async move {
        let message = reader.next().await?;
        Some((Ok::<_, Infallible>(message), reader))
    });
    Ok(Sse::new(messages).keep_alive(KeepAlive::new().interval(HEARTBEAT)))
}

/// Somebody who looks on.
struct Reader {
    app: Arc<App>,
    token_id: String,
    /// The event that was read last.
    last: i64,
    waiting: VecDeque<Message>,
    revisions: watch::Receiver<u64>,
    closing: Option<watch::Receiver<bool>>,
    /// One of those that may look on at once.
    _permit: OwnedSemaphorePermit,
}

impl Reader {
    /// The next message; none when the stream is to end.
    async fn next(&mut self) -> Option<Message> {
        loop {
            if let Some(message) = self.waiting.pop_front() {
                return Some(message);
            }
            match self.look().await {
                Ok(Some(events)) if events.is_empty() => self.wait().await,
                Ok(Some(events)) => {
                    let told = told(&mut self.last, events);
                    self.waiting.extend(told.iter().map(Told::message));
                }
                Ok(None) => return None,
                Err(error) => {
                    // Whoever looks on comes again, with the id of the last event.
                    tracing::warn!("an event stream ends: {}", error.chain());
                    return None;
                }
            }
        }
    }

    /// What happened since; none when the server ends, or the token is worth nothing any more.
    async fn look(&self) -> Result<Option<Vec<Event>>> {
        let catalog = self.app.catalog();
        let is_closing = self.closing.as_ref().is_some_and(|closing| *closing.borrow());
        if is_closing || catalog.token(&self.token_id).await?.is_none_or(|token| !token.is_good(self.app.now())) {
            return Ok(None);
        }
        catalog.events_after(self.last, EVENTS_READ_MAX).await.map(Some)
    }

    /// Goes on behind the event `newest`, and says so.
    fn skip_to(mut self, newest: i64) -> Self {
        self.waiting.push_back(Told::Missed { after: self.last, before: newest + 1 }.message());
        self.last = newest;
        self
    }

    /// Until something may have happened.
    async fn wait(&mut self) {
        let Self { revisions, closing, .. } = self;
        let closed = async {
            match closing {
                // A server that is gone has nothing more to say either.
                Some(closing) => drop(closing.wait_for(|closing| *closing).await),
                None => std::future::pending().await,
            }
        };
        let changed = async {
            if revisions.changed().await.is_err() {
                std::future::pending().await
            }
        };
        tokio::select! {
            () = closed => {}
            () = changed => {}
            () = tokio::time::sleep(LOOK_INTERVAL) => {}
        }
    }
}

/// What a reader is told.
#[derive(Debug, PartialEq)]
enum Told {
    Event(Event),
    /// What happened in between is forgotten.
    Missed {
        after: i64,
        before: i64,
    },
}

impl Told {
    fn message(&self) -> Message {
        match self {
            Self::Event(event) => {
                Message::default().id(event.id.to_string()).event(&event.kind).data(json!(event).to_string())
            }
            Self::Missed { after, before } => {
                let data = json!({"after": after, "before": before});
                Message::default().id((before - 1).to_string()).event("missed").data(data.to_string())
            }
        }
    }
}

/// What whoever has had the event `last` is told of the events behind it.
fn told(last: &mut i64, events: Vec<Event>) -> Vec<Told> {
    let mut told = Vec::with_capacity(events.len());
    for event in events {
        if event.id > *last + 1 {
            told.push(Told::Missed { after: *last, before: event.id });
        }
        *last = event.id;
        told.push(Told::Event(event));
    }
    told
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn event(id: i64) -> Event {
        Event { id, at: String::new(), kind: "run.finish".to_owned(), object: String::new(), data: Value::Null }
    }

    #[test]
    fn whoever_misses_events_is_told_so() {
        let check = |last: i64, events: &[i64], expected: &[Told]| {
            let mut now = last;
            let events: Vec<_> = events.iter().copied().map(event).collect();
            let newest = events.last().map_or(last, |event| event.id);
            assert_eq!(told(&mut now, events), expected);
            assert_eq!(now, newest);
        };
        let happened = |id| Told::Event(event(id));
        let missed = |after, before| Told::Missed { after, before };
        check(4, &[], &[]);
        check(4, &[5, 6], &[happened(5), happened(6)]);
        check(0, &[1], &[happened(1)]);
        check(4, &[9, 10], &[missed(4, 9), happened(9), happened(10)]);
    }
}
