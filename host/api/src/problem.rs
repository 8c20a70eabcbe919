//! Everything that goes wrong as whoever asked gets it: problem details (RFC 9457), of one table of kinds.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tamis_catalog::Conflict;
use tamis_catalog::roles::Permission;
use tamis_model::{Error, Kind};
use utoipa::ToSchema;

/// The media type of problem details.
pub(crate) const MEDIA_TYPE: &str = "application/problem+json";
/// After how many seconds it is worth trying again.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");
/// How one shows who one is.
const CHALLENGE: HeaderValue = HeaderValue::from_static("Bearer realm=\"tamis\"");

/// What kind of problem it is: as much as a program needs to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProblemKind {
    BadRequest,
    Unauthorized,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    Exists,
    OwnChange,
    State,
    Unchanged,
    Stale,
    TooLarge,
    MediaType,
    Invalid,
    Plugin,
    PreconditionMissing,
    Internal,
    Unavailable,
    Timeout,
    Undecided,
    Late,
}

impl ProblemKind {
    /// Status, slug and title.
    const fn row(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::BadRequest => (StatusCode::BAD_REQUEST, "bad-request", "The request cannot be read"),
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized", "A valid token is needed"),
            Self::Forbidden => (StatusCode::FORBIDDEN, "forbidden", "The token does not permit this"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not-found", "There is no such thing"),
            Self::MethodNotAllowed => {
                (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "The path does not know the method")
            }
            Self::Exists => (StatusCode::CONFLICT, "exists", "It is there already"),
            Self::OwnChange => (StatusCode::CONFLICT, "own-change", "Nobody approves their own change"),
            Self::State => (StatusCode::CONFLICT, "state", "It cannot be done as things stand"),
            Self::Unchanged => (StatusCode::CONFLICT, "unchanged", "Nothing would change"),
            Self::Stale => (StatusCode::PRECONDITION_FAILED, "stale", "It was changed in between"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The body is too large"),
            Self::MediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "media-type", "The body is of another type"),
            Self::Invalid => (StatusCode::UNPROCESSABLE_ENTITY, "invalid", "What is asked for makes no sense"),
            Self::Plugin => (StatusCode::UNPROCESSABLE_ENTITY, "plugin", "The plugin does not do as it must"),
            Self::PreconditionMissing => {
                (StatusCode::PRECONDITION_REQUIRED, "precondition-missing", "The change must say what it is based on")
            }
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "The host failed"),
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "The host cannot do it now"),
            Self::Timeout => (StatusCode::SERVICE_UNAVAILABLE, "timeout", "The host took too long"),
            Self::Undecided => (StatusCode::SERVICE_UNAVAILABLE, "undecided", "It may have been done"),
            Self::Late => (StatusCode::GATEWAY_TIMEOUT, "late", "The stream has not judged it in time"),
        }
    }

    /// The kind of an answer that is not ours: of the router, or of a layer.
    fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::NotFound,
            StatusCode::METHOD_NOT_ALLOWED => Self::MethodNotAllowed,
            StatusCode::PAYLOAD_TOO_LARGE => Self::TooLarge,
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Self::MediaType,
            StatusCode::SERVICE_UNAVAILABLE => Self::Timeout,
            status if status.is_client_error() => Self::BadRequest,
            _ => Self::Internal,
        }
    }
}

/// Something that went wrong.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    kind: ProblemKind,
    detail: String,
    place: Place,
    scope: Option<Permission>,
    decision: Option<Box<str>>,
    /// For the log alone.
    cause: Option<Box<str>>,
}

/// Where in a body something is wrong.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place {
    pub line: Option<usize>,
    pub column: Option<usize>,
    pub member: Option<String>,
}

/// A problem as it is sent (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProblemDetails {
    /// Its kind, stable: `/problems/<slug>`.
    #[serde(rename = "type")]
    #[schema(example = "/problems/stale")]
    kind: String,
    /// Its kind in words.
    #[schema(example = "It was changed in between")]
    title: &'static str,
    /// The status of the answer.
    #[schema(example = 412, minimum = 400, maximum = 599)]
    status: u16,
    /// What happened this time.
    #[schema(example = "cannot disable rule card-testing: it is at revision 4, not at 3")]
    detail: String,
    /// The request in the host's log, as in the header `x-request-id`.
    #[schema(example = "0b8f2f9e-5b5c-4d6f-9d0e-0c6d1f6f2a11")]
    request_id: String,
    /// Of status 403: the scope that the token lacks.
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<Permission>,
    /// Of status 504: the id of the request for a decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    decision: Option<String>,
    /// Of a body that cannot be read: the line, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    /// Of a body that cannot be read: the column, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
    /// Of a body that does not fit: the member.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "budget.rows_min")]
    member: Option<String>,
}

impl Problem {
    pub fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), place: Place::default(), scope: None, decision: None, cause: None }
    }

    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(ProblemKind::NotFound, detail)
    }

    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(ProblemKind::BadRequest, detail)
    }

    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::new(ProblemKind::Invalid, detail)
    }

    /// The token lacks a scope.
    pub fn forbidden(scope: Permission) -> Self {
        let detail = format!("the token does not have the scope {scope}");
        Self { scope: Some(scope), ..Self::new(ProblemKind::Forbidden, detail) }
    }

    /// The host's own fault; what it is stands in the log alone.
    pub fn internal(cause: impl Into<String>) -> Self {
        let detail = "the operator finds the cause in the host's log, under this request id";
        let cause: String = cause.into();
        Self { cause: Some(cause.into()), ..Self::new(ProblemKind::Internal, detail) }
    }

    /// It may be possible later.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(ProblemKind::Unavailable, detail)
    }

    /// A change that was begun and goes on: whoever tries it again does it twice.
    pub fn undecided(detail: impl Into<String>) -> Self {
        Self::new(ProblemKind::Undecided, detail)
    }

    /// It is about a request for a decision.
    pub fn of_decision(self, id: String) -> Self {
        Self { decision: Some(id.into()), ..self }
    }

    /// Whether the stream did not judge in time.
    pub fn is_late(&self) -> bool {
        self.kind == ProblemKind::Late
    }

    /// Something is wrong at a place of the body.
    pub fn at(self, place: Place) -> Self {
        Self { place, ..self }
    }

    /// What an error of a list is: its query is all that can be wrong.
    pub fn of_query(error: Error) -> Self {
        match error.kind() {
            Kind::Invalid => Self::bad_request(error.chain()),
            _ => error.into(),
        }
    }

    /// What an error of a change is whose path names something that is there: what is missing is named by the body.
    pub fn of_body(error: Error) -> Self {
        match error.kind() {
            Kind::Missing => Self::new(ProblemKind::Invalid, error.chain()),
            _ => error.into(),
        }
    }

    /// The problem of an answer; none when it is a good one.
    pub fn of(response: &mut Response) -> Option<Self> {
        let status = response.status();
        let kept = response.extensions_mut().remove();
        // The router and the layers answer without a body.
        let is_bare = !response.headers().contains_key(header::CONTENT_TYPE);
        kept.or_else(|| {
            let kind = ProblemKind::of_status(status);
            let is_bad = status.is_client_error() || status.is_server_error();
            (is_bad && is_bare).then(|| Self::new(kind, kind.row().2))
        })
    }

    /// What the log says of it; none when it is whoever asked who must mend it.
    pub fn logged(&self) -> Option<&str> {
        self.kind.row().0.is_server_error().then(|| self.cause.as_deref().unwrap_or(&self.detail))
    }

    #[cfg(test)]
    pub fn kind(&self) -> ProblemKind {
        self.kind
    }

    /// The headers of its answer.
    pub fn headers(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let of_kind = match self.kind {
            ProblemKind::Unauthorized => Some((header::WWW_AUTHENTICATE, CHALLENGE)),
            ProblemKind::Unavailable | ProblemKind::Timeout => Some((header::RETRY_AFTER, RETRY_AFTER)),
            _ => None,
        };
        [(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE))].into_iter().chain(of_kind)
    }

    /// As it is sent.
    pub fn details(self, request_id: &str) -> ProblemDetails {
        let (status, slug, title) = self.kind.row();
        let Place { line, column, member } = self.place;
        ProblemDetails {
            kind: format!("/problems/{slug}"),
            title,
            status: status.as_u16(),
            detail: self.detail,
            request_id: request_id.to_owned(),
            scope: self.scope,
            decision: self.decision.map(Into::into),
            line,
            column,
            member,
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let kind = match (error.kind(), Conflict::of(&error)) {
            (Kind::Conflict, Some(Conflict::Revision { .. })) => ProblemKind::Stale,
            (Kind::Conflict, Some(Conflict::Exists)) => ProblemKind::Exists,
            (Kind::Conflict, Some(Conflict::OwnChange { .. })) => ProblemKind::OwnChange,
            (Kind::Conflict, Some(Conflict::Unchanged)) => ProblemKind::Unchanged,
            (Kind::Conflict, _) => ProblemKind::State,
            (Kind::Invalid, _) => ProblemKind::Invalid,
            (Kind::Missing, _) => ProblemKind::NotFound,
            (Kind::Plugin, _) => ProblemKind::Plugin,
            (Kind::Corrupt, _) => return Self::internal(error.chain()),
            (Kind::Outage | Kind::Stopped, _) => {
                let detail = "something that the host needs does not answer, or has no room; it may later";
                return Self { cause: Some(error.chain().into()), ..Self::unavailable(detail) };
            }
        };
        Self::new(kind, error.chain())
    }
}

/// An answer that is not written yet: the id of its request is known outside only, see [`crate::observe`].
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.kind.row().0.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_have_changed_something_is_not_told_to_try_again() {
        let check = |problem: Problem, retry_after: Option<&str>| {
            let (status, slug, _) = problem.kind.row();
            let found = problem.headers().find(|(name, _)| name == header::RETRY_AFTER);
            let found = found.as_ref().map(|(_, value)| value.to_str().unwrap());
            assert_eq!((status, found), (StatusCode::SERVICE_UNAVAILABLE, retry_after), "{slug}");
        };
        check(Problem::unavailable("busy"), Some("1"));
        check(Problem::new(ProblemKind::Timeout, "slow"), Some("1"));
        check(Problem::undecided("slow"), None);
    }
}
