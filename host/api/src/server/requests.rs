//! Whether anybody asks for anything on a connection: without that, it has no right to its place.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::response::Response;
use hyper::body::{Frame, SizeHint};
use tokio::sync::watch;
use tokio::time::timeout;

/// The requests of a connection that are at work.
#[derive(Clone, Default)]
pub(super) struct Requests(Arc<watch::Sender<usize>>);

/// A request at work, until its answer is sent or nobody wants it any more.
pub(super) struct Open(Requests);

impl Requests {
    pub fn begin(&self) -> Open {
        self.0.send_modify(|open| *open += 1);
        Open(self.clone())
    }

    /// Until nothing was asked for so long, and nothing is at work.
    pub async fn idle(&self, idle_max: Duration) {
        let mut open = self.0.subscribe();
        loop {
            drop(open.wait_for(|open| *open == 0).await);
            if timeout(idle_max, open.changed()).await.is_err() {
                return;
            }
        }
    }
}

impl Open {
    /// The answer, which takes the request along.
    pub fn answered(self, response: Response) -> Response {
        response.map(|body| Body::new(Sent { body, _open: self }))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.0.send_modify(|open| *open -= 1);
    }
}

/// The body of an answer.
struct Sent {
    body: Body,
    _open: Open,
}

impl HttpBody for Sent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
