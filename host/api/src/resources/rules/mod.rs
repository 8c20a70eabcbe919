//! Rules: what they are, what of them runs, and who changed that.

mod draft;
mod patch;
mod stats;
mod versions;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use tamis_catalog::roles::Permission;
use tamis_catalog::rule_history::RuleRevision;
use tamis_catalog::rules::{Rule, RuleMode};
use tamis_catalog::{Action, Page};
use utoipa::ToSchema;
use utoipa_axum::routes;

use self::draft::NewRule;
use super::location;
use crate::access::{Access, Caller};
use crate::app;
use crate::etag::Tagged;
use crate::extract::{Everything, Json as Body, Listing, PageParams, Path};
use crate::openapi::Conflicts;
use crate::problem::Problem;
use crate::routes::Routes;

pub(super) fn routes(routes: Routes) -> Routes {
    let read = Access::Read(Permission::Read);
    let routes = routes
        .add(read, routes!(list_rules))
        .add(read, routes!(get_rule))
        .add(read, routes!(list_rule_history))
        .add(Access::Write(Permission::RulesWrite, Action::RuleCreate), routes!(create_rule));
    stats::routes(versions::routes(patch::routes(routes)))
}

/// A rule.
#[derive(Serialize, ToSchema)]
struct RuleView {
    #[serde(flatten)]
    rule: Rule,
    /// What it does as a whole.
    mode: RuleMode,
}

impl From<Rule> for RuleView {
    fn from(rule: Rule) -> Self {
        Self { mode: rule.pointers.mode(), rule }
    }
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Path)]
struct RulePath {
    /// The rule's name.
    #[param(example = "card-testing")]
    name: String,
}

/// The rules by name.
#[utoipa::path(
    get, path = "/rules", tag = "rules", params(PageParams),
    responses((status = 200, description = "A page of rules.", body = Page<RuleView>)),
)]
async fn list_rules(State(app): app::State, listing: Listing<Everything>) -> Result<Json<Page<RuleView>>, Problem> {
    let page = app.catalog().rules(&listing.page()).await.map_err(Problem::of_query)?;
    let items = page.items.into_iter().map(RuleView::from).collect();
    Ok(Json(Page { items, next_cursor: page.next_cursor }))
}

/// A rule, and what of it runs.
#[utoipa::path(
    get, path = "/rules/{name}", tag = "rules", params(RulePath),
    responses((status = 200, description = "The rule.", body = RuleView, headers(("ETag" = String)))),
)]
async fn get_rule(
    State(app): app::State,
    Path(RulePath { name }): Path<RulePath>,
) -> Result<Tagged<RuleView>, Problem> {
    let rule = app.rule(&name).await?;
    Ok(Tagged { revision: rule.revision, body: rule.into() })
}

/// Every revision of a rule, newest first: who made it, when, why, and what it changed.
#[utoipa::path(
    get, path = "/rules/{name}/history", tag = "rules", params(RulePath, PageParams),
    responses((status = 200, description = "A page of revisions.", body = Page<RuleRevision>)),
)]
async fn list_rule_history(
    State(app): app::State,
    Path(RulePath { name }): Path<RulePath>,
    listing: Listing<Everything>,
) -> Result<Json<Page<RuleRevision>>, Problem> {
    app.rule(&name).await?;
    app.catalog().rule_history(&name, &listing.page()).await.map(Json).map_err(Problem::of_query)
}

/// Makes a rule; its first version is a draft, and nothing of it runs.
#[utoipa::path(
    post, path = "/rules", tag = "rules", request_body = NewRule,
    responses(
        (status = 201, description = "The rule.", body = RuleView, headers(("ETag" = String), ("Location" = String))),
        Conflicts,
    ),
)]
async fn create_rule(
    State(app): app::State,
    caller: Caller,
    Body(request): Body<NewRule>,
) -> Result<impl IntoResponse, Problem> {
    let (name, draft, why) = request.into_draft();
    let change = caller.change(&app, why.as_ref().map(AsRef::as_ref));
    let rule = app.registry().create_rule(&name, &draft, &change).await.map_err(Problem::of_body)?;
    let location = location(format_args!("/rules/{name}"));
    Ok((StatusCode::CREATED, location, Tagged { revision: rule.revision, body: RuleView::from(rule) }))
}
