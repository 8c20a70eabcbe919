//! Which state a change is based on: entity tags are the revisions of rules and lists.

use axum::Json;
use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::problem::{Problem, ProblemKind};

/// A resource with its entity tag.
pub(crate) struct Tagged<T> {
    pub revision: u64,
    pub body: T,
}

impl<T: Serialize> IntoResponse for Tagged<T> {
    fn into_response(self) -> Response {
        ([(header::ETAG, format!("\"{}\"", self.revision))], Json(self.body)).into_response()
    }
}

/// The states that a change may be based on, as every change of a rule or a list must say.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "described here, read as IfMatch")]
pub(crate) struct IfMatchHeader {
    /// The `ETag` that you saw; `*` for whatever is there.
    #[param(rename = "If-Match", pattern = r#"^(\*|(W/)?"[^",]*"(, ?(W/)?"[^",]*")*)$"#, example = "\"3\"")]
    if_match: String,
}

/// The states that a change may be based on, as a change may say.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "described here, read as IfMatch")]
pub(crate) struct MaybeIfMatchHeader {
    /// The `ETag` of the rule that you saw; whatever is there when absent.
    #[param(rename = "If-Match", pattern = r#"^(\*|(W/)?"[^",]*"(, ?(W/)?"[^",]*")*)$"#)]
    if_match: Option<String>,
}

/// What a resource is made or changed from: one of both.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "described here, read as Basis")]
pub(crate) struct BasisHeaders {
    /// The `ETag` that you saw; `*` for whatever is there.
    #[param(rename = "If-Match", pattern = r#"^(\*|(W/)?"[^",]*"(, ?(W/)?"[^",]*")*)$"#)]
    if_match: Option<String>,
    /// `*`: it is not there yet.
    #[param(rename = "If-None-Match", pattern = r"^\*$")]
    if_none_match: Option<String>,
}

/// The states that a change may be based on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum IfMatch {
    /// Whichever, as long as there is one.
    Any,
    /// One of these.
    Revisions(Vec<u64>),
}

impl IfMatch {
    /// The revision that what is at `current` must be at when it is changed; none = any.
    pub fn expected(&self, current: u64) -> Option<u64> {
        match self {
            Self::Any => None,
            // There is no revision 0: whoever has seen no revision of ours is refused with the one that is found.
            Self::Revisions(seen) => {
                Some(if seen.contains(&current) { current } else { seen.first().copied().unwrap_or(0) })
            }
        }
    }

    fn of(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let values: Vec<&HeaderValue> = headers.get_all(header::IF_MATCH).iter().collect();
        if values.is_empty() {
            return Ok(None);
        }
        let texts: Option<Vec<&str>> = values.iter().map(|value| value.to_str().ok()).collect();
        let tags = texts.map(|texts| texts.join(",")).unwrap_or_default();
        if tags.trim() == "*" {
            return Ok(Some(Self::Any));
        }
        let revisions = tags.split(',').filter_map(|tag| revision(tag.trim()).transpose()).collect::<Result<_, _>>()?;
        Ok(Some(Self::Revisions(revisions)))
    }
}

/// The revision of an entity tag; none when the tag is good and none of ours. A weak tag never fits.
fn revision(tag: &str) -> Result<Option<u64>, Problem> {
    let quoted = tag.strip_prefix("W/").unwrap_or(tag).strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
    match quoted {
        Some(_) if tag.starts_with("W/") => Ok(None),
        Some(text) => Ok(text.parse().ok()),
        None => Err(Problem::bad_request("If-Match has entity tags in quotes, as they stand in the header ETag")),
    }
}

/// What must be said.
impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Self::of(&parts.headers)?.ok_or_else(|| missing(&[header::IF_MATCH]))
    }
}

/// What may be said.
impl<S: Send + Sync> OptionalFromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Problem> {
        Self::of(&parts.headers)
    }
}

/// What a resource is made or changed from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Basis {
    /// It is not there yet.
    New,
    /// It is there.
    Old(IfMatch),
}

impl<S: Send + Sync> FromRequestParts<S> for Basis {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let none_match = parts.headers.get(header::IF_NONE_MATCH);
        match (IfMatch::of(&parts.headers)?, none_match) {
            (Some(_), Some(_)) => Err(Problem::bad_request("If-Match and If-None-Match contradict each other")),
            (Some(if_match), None) => Ok(Self::Old(if_match)),
            (None, Some(value)) if value == "*" => Ok(Self::New),
            (None, Some(_)) => Err(Problem::bad_request("If-None-Match can only be *")),
            (None, None) => Err(missing(&[header::IF_MATCH, header::IF_NONE_MATCH])),
        }
    }
}

fn missing(headers: &[HeaderName]) -> Problem {
    let names: Vec<_> = headers.iter().map(HeaderName::as_str).collect();
    let detail = format!("say what the change is based on: header {} with the ETag that you saw", names.join(" or "));
    Problem::new(ProblemKind::PreconditionMissing, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_revisions() {
        let check = |values: &[&'static str], expected: Result<Option<IfMatch>, ()>| {
            let headers = values.iter().map(|value| (header::IF_MATCH, HeaderValue::from_static(value))).collect();
            assert_eq!(IfMatch::of(&headers).map_err(drop), expected, "{values:?}");
        };
        let revisions = |revisions: &[u64]| Ok(Some(IfMatch::Revisions(revisions.to_vec())));
        check(&[], Ok(None));
        check(&["*"], Ok(Some(IfMatch::Any)));
        check(&["\"3\""], revisions(&[3]));
        check(&["\"3\", \"4\"", "\"5\""], revisions(&[3, 4, 5]));
        check(&["W/\"3\""], revisions(&[]));
        check(&["\"x\""], revisions(&[]));
        check(&["3"], Err(()));
        check(&["\"3"], Err(()));
    }

    #[test]
    fn a_change_expects_what_its_author_has_seen() {
        let check = |if_match: IfMatch, expected: Option<u64>| assert_eq!(if_match.expected(4), expected);
        check(IfMatch::Any, None);
        check(IfMatch::Revisions(vec![4]), Some(4));
        check(IfMatch::Revisions(vec![3, 4]), Some(4));
        check(IfMatch::Revisions(vec![3]), Some(3));
        check(IfMatch::Revisions(vec![]), Some(0));
    }
}
