//! What requests carry, read strictly: what is not understood is refused with its place, never passed over.

use std::collections::HashSet;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use http_body_util::LengthLimitError;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use serde_json::{Map, Value};
use tamis_catalog::PageQuery;
use tamis_catalog::page::PAGE_ITEMS_MAX;
use tokio::time::{Instant, timeout_at};
use utoipa::ToSchema;

use crate::problem::{Place, Problem, ProblemKind};

/// Bytes of a JSON body at most.
pub(crate) const JSON_BYTES_MAX: usize = 1 << 20;
/// Items of a page when nobody says how many.
const PAGE_ITEMS_DEFAULT: u32 = 50;
/// Bytes of a cursor at most; ours are shorter.
const CURSOR_BYTES_MAX: usize = 512;
/// Characters of a reason at most.
const WHY_CHARS_MAX: usize = 2_000;

/// The parameters of the path. What does not fit names nothing.
pub(crate) struct Path<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = axum::extract::Path::from_request_parts(parts, state).await;
        path.map(|axum::extract::Path(path)| Self(path)).map_err(|rejection| Problem::not_found(rejection.body_text()))
    }
}

/// Which page of a list is wanted.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "read by name, see Listing")]
pub(crate) struct PageParams {
    /// Items at most.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    #[param(max_length = 512)]
    cursor: Option<String>,
}

/// The query of a list: which page, and what its items must be like.
pub(crate) struct Listing<F> {
    pub filter: F,
    pub limit: u32,
    pub cursor: Option<String>,
}

/// The filter of a list that has none.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Everything {}

impl<F> Listing<F> {
    pub fn page(&self) -> PageQuery<'_> {
        PageQuery { cursor: self.cursor.as_deref(), limit: self.limit }
    }
}

impl<S: Send + Sync, F: DeserializeOwned> FromRequestParts<S> for Listing<F> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut members = query(parts)?;
        let limit = members.remove("limit").map(|limit| text(limit).parse());
        let limit = match limit {
            None => PAGE_ITEMS_DEFAULT,
            Some(Ok(limit @ 1..=PAGE_ITEMS_MAX)) => limit,
            Some(_) => return Err(Problem::bad_request(format!("limit is a number from 1 to {PAGE_ITEMS_MAX}"))),
        };
        let cursor = members.remove("cursor").map(text);
        if cursor.as_ref().is_some_and(|cursor| cursor.len() > CURSOR_BYTES_MAX) {
            return Err(Problem::bad_request("the cursor is none of ours"));
        }
        Ok(Self { filter: fitting(members)?, limit, cursor })
    }
}

/// The query of a request that is no list.
pub(crate) struct Options<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Options<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        query(parts).and_then(fitting).map(Self)
    }
}

/// The members of the query, each once, as text.
fn query(parts: &Parts) -> Result<Map<String, Value>, Problem> {
    let query = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri);
    let Query(pairs) = query.map_err(|rejection| Problem::bad_request(rejection.body_text()))?;
    let mut names = HashSet::new();
    if let Some((name, _)) = pairs.iter().find(|(name, _)| !names.insert(name)) {
        return Err(Problem::bad_request(format!("the parameter {name:?} is there twice")));
    }
    Ok(pairs.into_iter().map(|(name, value)| (name, Value::String(value))).collect())
}

fn fitting<T: DeserializeOwned>(members: Map<String, Value>) -> Result<T, Problem> {
    serde_json::from_value(Value::Object(members)).map_err(|error| Problem::bad_request(format!("query: {error}")))
}

fn text(value: Value) -> String {
    if let Value::String(text) = value { text } else { String::new() }
}

/// A JSON body.
pub(crate) struct Json<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        expect_media_type(request.headers(), "application/json")?;
        let bytes = read_body(request, JSON_BYTES_MAX).await?;
        parse(&bytes).map(Self)
    }
}

/// A JSON body that need not be there.
pub(crate) struct OptionalJson<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for OptionalJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let media_type = expect_media_type(request.headers(), "application/json");
        let bytes = read_body(request, JSON_BYTES_MAX).await?;
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        media_type?;
        parse::<Option<T>>(&bytes).map(|body| Self(body.unwrap_or_default()))
    }
}

/// Why somebody changes something, in their words.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, serde::Serialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String, min_length = 1, max_length = 2000, pattern = r"\S", example = "three chargebacks since Monday")]
pub(crate) struct Why(String);

impl TryFrom<String> for Why {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Err("a reason says something".to_owned());
        }
        if text.chars().count() > WHY_CHARS_MAX {
            return Err(format!("a reason has at most {WHY_CHARS_MAX} characters"));
        }
        Ok(Self(text))
    }
}

impl AsRef<str> for Why {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// The body of a request that says nothing but why.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reason {
    /// Why, in your words.
    pub why: Option<Why>,
}

impl Reason {
    pub fn why(&self) -> Option<&str> {
        self.why.as_ref().map(Why::as_ref)
    }
}

/// Refuses a body of another type.
pub(crate) fn expect_media_type(headers: &HeaderMap, expected: &str) -> Result<(), Problem> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case(expected) {
        return Ok(());
    }
    let found = if essence.is_empty() { "is not said" } else { essence };
    Err(Problem::new(ProblemKind::MediaType, format!("the body must be {expected}; its type {found}")))
}

/// Until when the body of a request may come: a change outlives the wait for its answer, and must not for its body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(pub Instant);

/// The whole body, if it is not too large and comes in time.
pub(crate) async fn read_body(request: Request, bytes_max: usize) -> Result<Bytes, Problem> {
    let too_large = || Problem::new(ProblemKind::TooLarge, format!("a body has at most {bytes_max} bytes here"));
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: u64| length > bytes_max as u64) {
        return Err(too_large());
    }
    let deadline = request.extensions().get().map(|Deadline(deadline)| *deadline);
    let body: Body = request.into_body();
    let read = axum::body::to_bytes(body, bytes_max);
    let read = match deadline {
        Some(deadline) => timeout_at(deadline, read)
            .await
            .map_err(|_| Problem::new(ProblemKind::Timeout, "the body did not come in time; nothing was done"))?,
        None => read.await,
    };
    read.map_err(|error| {
        let is_too_large = std::error::Error::source(&error).is_some_and(|source| source.is::<LengthLimitError>());
        if is_too_large { too_large() } else { Problem::bad_request("the body broke off") }
    })
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let read = serde_path_to_error::deserialize(&mut deserializer);
    let read = read.map_err(|error| (Some(error.path().to_string()), error.into_inner()));
    let read = read.and_then(|value| deserializer.end().map(|()| value).map_err(|error| (None, error)));
    read.map_err(|(member, error)| {
        let kind = match error.classify() {
            Category::Data => ProblemKind::Invalid,
            Category::Syntax | Category::Eof | Category::Io => ProblemKind::BadRequest,
        };
        let member = member.filter(|member| kind == ProblemKind::Invalid && member != ".");
        // What a type of ours refuses as a whole has no place.
        let of = |number: usize| (number > 0).then_some(number);
        let place = Place { line: of(error.line()), column: of(error.column()), member };
        Problem::new(kind, error.to_string()).at(place)
    })
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::time::Duration;

    use futures::{StreamExt, stream};

    use super::*;

    #[tokio::test]
    async fn a_body_that_trickles_is_not_waited_for() {
        let trickles = stream::repeat(Bytes::from_static(b"x")).then(async |byte| {
            tokio::time::sleep(Duration::from_millis(5)).await;
            Ok::<_, Infallible>(byte)
        });
        let mut request = Request::new(Body::from_stream(Box::pin(trickles)));
        request.extensions_mut().insert(Deadline(Instant::now() + Duration::from_millis(50)));
        let read = tokio::time::timeout(Duration::from_secs(10), read_body(request, 1 << 30)).await.unwrap();
        assert_eq!(read.unwrap_err().kind(), ProblemKind::Timeout);
    }
}
