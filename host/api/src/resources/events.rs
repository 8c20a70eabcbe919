//! What happens, as it happens: server-sent events out of the catalogue's table.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Extension;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use axum::response::sse::{Event as Message, KeepAlive, Sse};
use futures::stream;
use serde_json::json;
use tamis_catalog::events::Event;
use tamis_catalog::roles::Permission;
use tamis_catalog::tokens::Token;
use tokio::sync::{OwnedSemaphorePermit, watch};
use utoipa_axum::routes;

use crate::access::{Access, Caller, is_good};
use crate::app::{self, App};
use crate::problem::Problem;
use crate::routes::Routes;

/// Between two comments that tell a proxy that the stream lives.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Between two looks into the table: whoever changes rules wakes the stream at once, others do not.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// Between two looks at whether the token is worth anything still.
const TOKEN_INTERVAL: Duration = Duration::from_secs(15);
/// Events that are read at once.
const EVENTS_READ_MAX: u32 = 100;
/// How long a browser waits before it comes again.
const RETRY: Duration = Duration::from_secs(2);

pub(super) fn routes(routes: Routes) -> Routes {
    routes.add(Access::Read(Permission::Read), routes!(stream_events))
}

/// Says when the server ends: then event streams end too.
#[derive(Clone)]
pub(crate) struct Closing(pub watch::Receiver<bool>);

/// What happens from now on, or since the event `Last-Event-ID`: changes of rules and lists, builds of plugins, trips, runs, the state of
/// the stream. The name of an event is its `kind`, its data the whole event. When events were forgotten that the reader has not had,
/// the event `missed` says between which ids.
#[utoipa::path(
    get, path = "/events", tag = "events",
    params(("Last-Event-ID" = Option<i64>, Header, minimum = 0, description = "The id of the last event that the reader has had.")),
    responses((status = 200, description = "A stream without an end.", body = String, content_type = "text/event-stream",
               example = "id: 7\nevent: rule.activate\ndata: {\"id\":7,\"at\":\"2026-03-18T14:00:00.000Z\",\"kind\":\"rule.activate\",\"object\":\"card-testing\",\"data\":{}}\n\n")),
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
    let reader = Reader {
        app,
        token: caller.token,
        token_seen_at: Instant::now(),
        last,
        waiting: VecDeque::from([Message::default().comment("tamis").retry(RETRY)]),
        revisions,
        closing: closing.map(|Extension(Closing(closing))| closing),
        _permit: permit,
    };
    // An id that is not given yet is of another life of the host.
    let reader = if last > newest { reader.missed(newest) } else { reader };
    let messages = stream::unfold(reader, |mut reader| async move {
        let message = reader.next().await?;
        Some((Ok::<_, Infallible>(message), reader))
    });
    Ok(Sse::new(messages).keep_alive(KeepAlive::new().interval(HEARTBEAT)))
}

/// Somebody who looks on.
struct Reader {
    app: Arc<App>,
    token: Token,
    token_seen_at: Instant,
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
            if !self.may_go_on().await {
                return None;
            }
            match self.app.catalog().events_after(self.last, EVENTS_READ_MAX).await {
                Ok(events) if events.is_empty() => self.wait().await,
                Ok(events) => self.take(events),
                Err(error) => {
                    // Whoever looks on comes again, with the id of the last event.
                    tracing::warn!("an event stream ends: {}", error.chain());
                    return None;
                }
            }
        }
    }

    fn take(&mut self, events: Vec<Event>) {
        for event in events {
            if event.id > self.last + 1 {
                self.waiting.push_back(missed(self.last, event.id));
            }
            self.last = event.id;
            self.waiting.push_back(message(&event));
        }
    }

    /// Goes on behind the event `newest`, and says so.
    fn missed(mut self, newest: i64) -> Self {
        self.waiting.push_back(missed(self.last, newest + 1));
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

    /// Whether the server goes on, and the token is worth something still.
    async fn may_go_on(&mut self) -> bool {
        if self.closing.as_ref().is_some_and(|closing| *closing.borrow()) {
            return false;
        }
        if self.token_seen_at.elapsed() < TOKEN_INTERVAL {
            return true;
        }
        self.token_seen_at = Instant::now();
        let token = self.app.catalog().token(&self.token.id).await;
        token.is_ok_and(|token| token.is_some_and(|token| is_good(&self.app, &token)))
    }
}

fn message(event: &Event) -> Message {
    Message::default().id(event.id.to_string()).event(&event.kind).data(json!(event).to_string())
}

/// Events behind `after` and before `before` are forgotten.
fn missed(after: i64, before: i64) -> Message {
    Message::default().event("missed").data(json!({"after": after, "before": before}).to_string())
}
