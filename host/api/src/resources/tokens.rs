//! Tokens: who may come in.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use chrono::DateTime;
use serde::{Deserialize, Serialize};
use tamis_catalog::roles::{Permission, Role};
use tamis_catalog::tokens::Token;
use tamis_catalog::{Action, Page};
use utoipa::ToSchema;
use utoipa_axum::routes;

use crate::access::{Access, Caller, refused};
use crate::app;
use crate::extract::{Everything, Json as Body, Listing, PageParams, Path, Why};
use crate::openapi::Conflicts;
use crate::problem::Problem;
use crate::routes::Routes;
use crate::tokens::{TokenRequest, issue_token};

/// Characters of a name or a subject at most.
const NAME_CHARS_MAX: usize = 64;

pub(super) fn routes(routes: Routes) -> Routes {
    let write = |action| Access::Write(Permission::TokensWrite, action);
    routes
        .add(Access::Read(Permission::TokensWrite), routes!(list_tokens))
        .add(write(Action::TokenCreate), routes!(create_token))
        .add(write(Action::TokenRevoke), routes!(revoke_token))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Path)]
struct TokenPath {
    /// The token's id.
    #[param(example = "0123abcd")]
    id: String,
}

/// A token to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewToken {
    /// What it is called.
    #[schema(min_length = 1, max_length = 64, example = "notebook")]
    name: String,
    /// Whose it is.
    #[schema(min_length = 1, max_length = 64, example = "alice")]
    subject: String,
    /// What its bearer does here.
    role: Role,
    /// Less than all that the role may; all when absent.
    scopes: Option<Vec<Permission>>,
    /// When it ends, RFC 3339, at most 366 days ahead.
    #[schema(format = DateTime, example = "2027-01-31T00:00:00Z")]
    expires_at: String,
    /// Why, in your words.
    why: Option<Why>,
}

/// A token that was made.
#[derive(Serialize, ToSchema)]
struct MadeToken {
    #[serde(flatten)]
    token: Token,
    /// Its text, which is shown this once.
    #[schema(example = "tamis_0123abcd_kR3q9Zb1Yw5mV8tL2xN7cJ4hG6fD0sAaPpOoIiUuYyT")]
    text: String,
}

/// The tokens, newest first; their secrets are known to their bearers alone.
#[utoipa::path(
    get, path = "/tokens", tag = "tokens", params(PageParams),
    responses((status = 200, description = "A page of tokens.", body = Page<Token>)),
)]
async fn list_tokens(State(app): app::State, listing: Listing<Everything>) -> Result<Json<Page<Token>>, Problem> {
    app.catalog().tokens(&listing.page()).await.map(Json).map_err(Problem::of_query)
}

/// Makes a token.
///
/// It may do no more than the one that makes it.
#[utoipa::path(
    post, path = "/tokens", tag = "tokens", request_body = NewToken,
    responses((status = 201, description = "The token, and its text.", body = MadeToken), Conflicts),
)]
async fn create_token(
    State(app): app::State,
    caller: Caller,
    Body(request): Body<NewToken>,
) -> Result<impl IntoResponse, Problem> {
    let NewToken { name, subject, role, scopes, expires_at, why } = request;
    for (member, text) in [("name", &name), ("subject", &subject)] {
        if !(1..=NAME_CHARS_MAX).contains(&text.chars().count()) {
            return Err(Problem::invalid(format!("{member} has 1 to {NAME_CHARS_MAX} characters")));
        }
    }
    let expires_at = DateTime::parse_from_rfc3339(&expires_at);
    let expires_at = expires_at.map_err(|_| Problem::invalid("expires_at is no RFC 3339 time"))?.timestamp_millis();
    let wanted = scopes.as_deref().unwrap_or(role.permissions());
    if let Some(beyond) = wanted.iter().find(|scope| !caller.token.may(**scope)) {
        let reason = format!("the token that makes it does not have the scope {beyond}");
        refused(&app, &caller, Action::TokenCreate, &name, &reason).await?;
        return Err(Problem::forbidden(*beyond));
    }
    let request = TokenRequest { name, subject, role, scopes, expires_at };
    let change = caller.change(&app, why.as_ref().map(AsRef::as_ref));
    let (token, text) = issue_token(app.catalog(), request, &change).await?;
    Ok((StatusCode::CREATED, Json(MadeToken { token, text })))
}

/// From now on a token is worth nothing.
#[utoipa::path(
    delete, path = "/tokens/{id}", tag = "tokens", params(TokenPath),
    responses((status = 200, description = "The token.", body = Token)),
)]
async fn revoke_token(
    State(app): app::State,
    Path(TokenPath { id }): Path<TokenPath>,
    caller: Caller,
) -> Result<Json<Token>, Problem> {
    Ok(Json(app.catalog().revoke_token(&id, &caller.change(&app, None)).await?))
}
