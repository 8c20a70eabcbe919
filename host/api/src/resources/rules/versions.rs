//! The versions of rules, and their way through review.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde::Deserialize;
use tamis_catalog::roles::Permission;
use tamis_catalog::rule_versions::{RuleVersion, VersionStep};
use tamis_catalog::{Action, Page};
use utoipa_axum::routes;

use super::RulePath;
use super::draft::NewVersion;
use super::patch::MustSayWhy;
use crate::access::{Access, Caller};
use crate::app::{self, App, found};
use crate::etag::{IfMatch, MaybeIfMatchHeader};
use crate::extract::{Everything, Json as Body, Listing, OptionalJson, PageParams, Path, Reason};
use crate::openapi::{Conflicts, MaybeStale};
use crate::problem::Problem;
use crate::resources::location;
use crate::routes::Routes;

pub(super) fn routes(routes: Routes) -> Routes {
    let read = Access::Read(Permission::Read);
    let write = |action| Access::Write(Permission::RulesWrite, action);
    let review = |action| Access::Write(Permission::RulesReview, action);
    routes
        .add(read, routes!(list_rule_versions))
        .add(read, routes!(get_rule_version))
        .add(write(Action::VersionCreate), routes!(create_rule_version))
        .add(write(Action::VersionSubmit), routes!(submit_rule_version))
        .add(review(Action::VersionApprove), routes!(approve_rule_version))
        .add(review(Action::VersionReject), routes!(reject_rule_version))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Path)]
struct VersionPath {
    /// The rule's name.
    #[param(example = "card-testing")]
    name: String,
    /// The version's number.
    #[param(minimum = 1)]
    number: u32,
}

/// The versions of a rule, newest first.
#[utoipa::path(
    get, path = "/rules/{name}/versions", tag = "rules", params(RulePath, PageParams),
    responses((status = 200, description = "A page of versions.", body = Page<RuleVersion>)),
)]
async fn list_rule_versions(
    State(app): app::State,
    Path(RulePath { name }): Path<RulePath>,
    listing: Listing<Everything>,
) -> Result<Json<Page<RuleVersion>>, Problem> {
    app.rule(&name).await?;
    app.catalog().rule_versions(&name, &listing.page()).await.map(Json).map_err(Problem::of_query)
}

/// A version of a rule.
#[utoipa::path(
    get, path = "/rules/{name}/versions/{number}", tag = "rules", params(VersionPath),
    responses((status = 200, description = "The version.", body = RuleVersion)),
)]
async fn get_rule_version(
    State(app): app::State,
    Path(VersionPath { name, number }): Path<VersionPath>,
) -> Result<Json<RuleVersion>, Problem> {
    let version = app.catalog().rule_version(&name, number).await?;
    found(version, || format!("there is no version {number} of a rule {name:?}")).map(Json)
}

/// Makes another version of a rule, a draft.
#[utoipa::path(
    post, path = "/rules/{name}/versions", tag = "rules", params(RulePath), request_body = NewVersion,
    responses(
        (status = 201, description = "The version.", body = RuleVersion, headers(("Location" = String))),
        Conflicts,
    ),
)]
async fn create_rule_version(
    State(app): app::State,
    Path(RulePath { name }): Path<RulePath>,
    caller: Caller,
    Body(request): Body<NewVersion>,
) -> Result<impl IntoResponse, Problem> {
    app.rule(&name).await?;
    let (draft, why) = request.into_draft();
    let change = caller.change(&app, why.as_ref().map(AsRef::as_ref));
    let version = app.registry().create_version(&name, &draft, &change).await.map_err(Problem::of_body)?;
    let location = location(format_args!("/rules/{name}/versions/{}", version.number));
    Ok((StatusCode::CREATED, location, Json(version)))
}

/// Asks for a review of a draft.
#[utoipa::path(
    post, path = "/rules/{name}/versions/{number}/submit", tag = "rules",
    params(VersionPath, MaybeIfMatchHeader),
    request_body = Option<Reason>,
    responses((status = 200, description = "The version as it is now.", body = RuleVersion), Conflicts, MaybeStale),
)]
async fn submit_rule_version(
    State(app): app::State,
    Path(path): Path<VersionPath>,
    caller: Caller,
    if_match: Option<IfMatch>,
    OptionalJson(reason): OptionalJson<Reason>,
) -> Result<Json<RuleVersion>, Problem> {
    do_step(&app, &path, VersionStep::Submit, &caller, reason.why(), if_match).await
}

/// Lets a version be put to work that somebody else wrote.
///
/// Neither its author may, nor who uploaded its plugin, nor whoever has a token that its author made.
#[utoipa::path(
    post, path = "/rules/{name}/versions/{number}/approve", tag = "rules",
    params(VersionPath, MaybeIfMatchHeader),
    request_body = Option<Reason>,
    responses((status = 200, description = "The version as it is now.", body = RuleVersion), Conflicts, MaybeStale),
)]
async fn approve_rule_version(
    State(app): app::State,
    Path(path): Path<VersionPath>,
    caller: Caller,
    if_match: Option<IfMatch>,
    OptionalJson(reason): OptionalJson<Reason>,
) -> Result<Json<RuleVersion>, Problem> {
    do_step(&app, &path, VersionStep::Approve, &caller, reason.why(), if_match).await
}

/// Sends a version back to its author, a draft again.
#[utoipa::path(
    post, path = "/rules/{name}/versions/{number}/reject", tag = "rules",
    params(VersionPath, MaybeIfMatchHeader),
    request_body = MustSayWhy,
    responses((status = 200, description = "The version as it is now.", body = RuleVersion), Conflicts, MaybeStale),
)]
async fn reject_rule_version(
    State(app): app::State,
    Path(path): Path<VersionPath>,
    caller: Caller,
    if_match: Option<IfMatch>,
    Body(MustSayWhy { why }): Body<MustSayWhy>,
) -> Result<Json<RuleVersion>, Problem> {
    do_step(&app, &path, VersionStep::Reject, &caller, Some(why.as_ref()), if_match).await
}

async fn do_step(
    app: &App,
    VersionPath { name, number }: &VersionPath,
    step: VersionStep,
    caller: &Caller,
    why: Option<&str>,
    if_match: Option<IfMatch>,
) -> Result<Json<RuleVersion>, Problem> {
    let expected = match if_match {
        Some(if_match) => if_match.expected(app.rule(name).await?.revision),
        None => None,
    };
    let change = caller.change(app, why);
    Ok(Json(app.catalog().change_version(name, *number, step, expected, &change).await?))
}
