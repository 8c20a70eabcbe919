//! Around every request: its id and its trace, one line of log, a panic caught, problems written, and the headers that all answers have.

use std::any::Any;
use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tower_http::request_id::RequestId;
use tracing::{Instrument, Span};

use crate::problem::Problem;
use crate::trace::{TRACERESPONSE, Trace};

/// The header that carries the id of a request, there and back.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Characters of an id that somebody else gave.
const REQUEST_ID_CHARS_MAX: usize = 64;

/// Forgets an id that would do no good in a log: then the request gets one here.
pub(crate) async fn check_request_id(mut request: Request, next: Next) -> Response {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let is_good =
        |id: &HeaderValue| (1..=REQUEST_ID_CHARS_MAX).contains(&id.len()) && id.as_bytes().iter().all(is_plain);
    if request.headers().get(REQUEST_ID).is_some_and(|id| !is_good(id)) {
        request.headers_mut().remove(REQUEST_ID);
    }
    next.run(request).await
}

/// Writes the log and the problem of a request.
pub(crate) async fn observe(request: Request, next: Next) -> Response {
    let id = request.extensions().get::<RequestId>().and_then(|id| id.header_value().to_str().ok());
    let id = id.unwrap_or_default().to_owned();
    let method = request.method().clone();
    // The pattern, not the path: a log must not grow a word for each name that somebody tries.
    let path = request.extensions().get::<MatchedPath>().map_or("-", MatchedPath::as_str).to_owned();
    let trace = Trace::of(request.headers());
    let span = tracing::info_span!("request", trace_id = %trace, request_id = %id, subject = tracing::field::Empty);
    let began = Instant::now();
    let mut response = next.run(request).instrument(span.clone()).await;
    let _entered = span.enter();
    let (status, elapsed) = (response.status().as_u16(), began.elapsed());
    if let Some(problem) = Problem::of(&mut response) {
        match problem.logged() {
            Some(cause) => tracing::error!(%method, path, status, ?elapsed, "{cause}"),
            None => tracing::debug!(%method, path, status, ?elapsed, "refused"),
        }
        response = write(problem, response, &id);
    } else {
        tracing::debug!(%method, path, status, ?elapsed, "answered");
    }
    let headers = response.headers_mut();
    headers.extend(trace.response().map(|value| (TRACERESPONSE, value)));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Says in the log of a request who it is from.
pub(crate) fn record_subject(subject: &str) {
    Span::current().record("subject", subject);
}

/// The answer to a request whose handler panicked.
pub(crate) fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    Problem::internal(format!("a handler panicked: {text}")).into_response()
}

/// The body of a problem in the place of whatever the answer has.
fn write(problem: Problem, response: Response, request_id: &str) -> Response {
    let (mut parts, _) = response.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.extend(problem.headers());
    let body = serde_json::to_vec(&problem.details(request_id)).unwrap_or_default();
    Response::from_parts(parts, body.into())
}
