//! Lists: values that rules look up and people keep up to date.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use tamis_catalog::lists::{List, ListRevision, ListSummary};
use tamis_catalog::roles::Permission;
use tamis_catalog::{Action, Page};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::location;
use crate::access::{Access, Caller};
use crate::app::{self, App, found};
use crate::effect::{Effect, effect};
use crate::etag::{Basis, BasisHeaders, Tagged};
use crate::extract::{Everything, Json as Body, Listing, PageParams, Path, Why};
use crate::openapi::Preconditions;
use crate::problem::{Problem, ProblemKind};
use crate::routes::Routes;

pub(super) fn routes(routes: Routes) -> Routes {
    let read = Access::Read(Permission::Read);
    routes
        .add(read, routes!(list_lists))
        .add(read, routes!(get_list))
        .add(read, routes!(list_list_history))
        .add(Access::Write(Permission::ListsWrite, Action::ListPut), routes!(put_list))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Path)]
struct ListPath {
    /// The list's name.
    #[param(example = "fraud_bins")]
    name: String,
}

/// What a list is to have.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewValues {
    /// All of its values, none twice.
    #[schema(example = json!(["411111", "520082"]))]
    values: Vec<String>,
    /// Why, in your words.
    why: Option<Why>,
}

/// A list that was changed.
#[derive(Serialize, ToSchema)]
struct ChangedList {
    #[serde(flatten)]
    list: List,
    #[serde(flatten)]
    effect: Effect,
}

/// The lists by name, without their values.
#[utoipa::path(
    get, path = "/lists", tag = "lists", params(PageParams),
    responses((status = 200, description = "A page of lists.", body = Page<ListSummary>)),
)]
async fn list_lists(State(app): app::State, listing: Listing<Everything>) -> Result<Json<Page<ListSummary>>, Problem> {
    app.catalog().lists(&listing.page()).await.map(Json).map_err(Problem::of_query)
}

/// A list with its values.
#[utoipa::path(
    get, path = "/lists/{name}", tag = "lists", params(ListPath),
    responses((status = 200, description = "The list.", body = List, headers(("ETag" = String)))),
)]
async fn get_list(State(app): app::State, Path(ListPath { name }): Path<ListPath>) -> Result<Tagged<List>, Problem> {
    let list = existing(&app, &name).await?;
    Ok(Tagged { revision: list.revision, body: list })
}

/// The revisions of a list, newest first: who made it, when, why, and what came and went.
#[utoipa::path(
    get, path = "/lists/{name}/history", tag = "lists", params(ListPath, PageParams),
    responses((status = 200, description = "A page of revisions.", body = Page<ListRevision>)),
)]
async fn list_list_history(
    State(app): app::State,
    Path(ListPath { name }): Path<ListPath>,
    listing: Listing<Everything>,
) -> Result<Json<Page<ListRevision>>, Problem> {
    existing(&app, &name).await?;
    app.catalog().list_history(&name, &listing.page()).await.map(Json).map_err(Problem::of_query)
}

/// Gives a list other values, or makes it.
///
/// Waits up to a second for the stream, and says whether it works by them.
#[utoipa::path(
    put, path = "/lists/{name}", tag = "lists",
    params(ListPath, BasisHeaders),
    request_body = NewValues,
    responses(
        (status = 200, description = "The list as it is now.", body = ChangedList, headers(("ETag" = String))),
        (status = 201, description = "The list, which was not there.", body = ChangedList,
         headers(("ETag" = String), ("Location" = String))),
        Preconditions,
    ),
)]
async fn put_list(
    State(app): app::State,
    Path(ListPath { name }): Path<ListPath>,
    caller: Caller,
    basis: Basis,
    Body(NewValues { values, why }): Body<NewValues>,
) -> Result<Response, Problem> {
    let expected = match &basis {
        Basis::New => Some(0),
        Basis::Old(if_match) => match app.catalog().list(&name).await? {
            Some(list) => if_match.expected(list.revision),
            None => return Err(Problem::new(ProblemKind::Stale, format!("there is no list {name:?} (any more)"))),
        },
    };
    let change = caller.change(&app, why.as_ref().map(AsRef::as_ref));
    let list = app.registry().put_list(&name, &values, expected, &change).await?;
    let changed = Tagged { revision: list.revision, body: ChangedList { list, effect: effect(&app).await } };
    Ok(match basis {
        Basis::New => (StatusCode::CREATED, location(format_args!("/lists/{name}")), changed).into_response(),
        Basis::Old(_) => changed.into_response(),
    })
}

async fn existing(app: &App, name: &str) -> Result<List, Problem> {
    found(app.catalog().list(name).await?, || format!("there is no list {name:?}"))
}
