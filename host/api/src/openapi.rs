//! The document: what all operations share. What is one's own stands at its handler.

use std::collections::BTreeMap;

use utoipa::openapi::info::{InfoBuilder, LicenseBuilder};
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Components, Content, Header, OpenApi, Ref, RefOr};
use utoipa::{IntoResponses, PartialSchema, ToSchema};

use crate::problem::{MEDIA_TYPE, ProblemDetails};

/// The name of the security scheme.
pub(crate) const SECURITY_SCHEME: &str = "token";

/// The problems that operations can answer with.
const PROBLEMS: [(u16, &str); 13] = [
    (400, "The request cannot be read."),
    (401, "There is no token, or one that is worth nothing: unknown, expired or revoked."),
    (403, "The token lacks the scope that is named."),
    (404, "It is not there."),
    (409, "It cannot be done as things stand."),
    (412, "It was changed in between: look again, and decide again."),
    (413, "The body is too large."),
    (415, "The body is of another media type."),
    (422, "What is asked for makes no sense, or a plugin refuses it."),
    (428, "The change does not say what it is based on."),
    (500, "The host failed; the log says more under the request id."),
    (
        503,
        "The host cannot do it now; it may after the seconds in `Retry-After`. Without that header it may have been \
         done, or still be: look before you try again.",
    ),
    (504, "The stream has not judged the events in time; `decision` names the request."),
];

/// The name of the response with a status.
pub(crate) fn problem_response(status: u16) -> String {
    format!("Problem{status}")
}

fn problems(statuses: &[u16]) -> BTreeMap<String, RefOr<Response>> {
    let reference = |status: &u16| RefOr::Ref(Ref::from_response_name(problem_response(*status)));
    statuses.iter().map(|status| (status.to_string(), reference(status))).collect()
}

/// What can conflict with how things stand.
pub(crate) struct Conflicts;

impl IntoResponses for Conflicts {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&[409])
    }
}

/// What may be based on a state that is no longer.
pub(crate) struct MaybeStale;

impl IntoResponses for MaybeStale {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&[412])
    }
}

/// What must say what it is based on.
pub(crate) struct Preconditions;

impl IntoResponses for Preconditions {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&[412, 428])
    }
}

/// What may not be known in time.
pub(crate) struct Late;

impl IntoResponses for Late {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&[504])
    }
}

/// The headers that a problem has besides those of every answer.
fn headers_of(status: u16) -> &'static [&'static str] {
    match status {
        401 => &["WWW-Authenticate"],
        _ => &[],
    }
}

/// The document of these paths.
pub(crate) fn complete(mut document: OpenApi) -> OpenApi {
    document.info = InfoBuilder::new()
        .title("Tamis")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Plugins, rules and what they do. Lists come in pages: follow `next_cursor`. What can be changed has an \
             `ETag`, which the change sends back as `If-Match`. Every problem has the form of RFC 9457 and the id of its \
             request, which the header `x-request-id` has too.",
        ))
        .license(Some(LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build()))
        .build();
    let components = document.components.get_or_insert_with(Components::new);
    let scheme = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("tamis_<id>_<secret>")
        .description(Some("A token of this host. An operation names the scopes of which one is needed."))
        .build();
    components.add_security_scheme(SECURITY_SCHEME, SecurityScheme::Http(scheme));
    let mut schemas = vec![(ProblemDetails::name().into_owned(), ProblemDetails::schema())];
    ProblemDetails::schemas(&mut schemas);
    components.schemas.extend(schemas);
    for (status, description) in PROBLEMS {
        let schema = Ref::from_schema_name(ProblemDetails::name());
        let content = Content::new(Some(schema));
        let mut response = ResponseBuilder::new().description(description).content(MEDIA_TYPE, content);
        for name in headers_of(status) {
            response = response.header(*name, Header::default());
        }
        components.responses.insert(problem_response(status), response.build().into());
    }
    document
}
