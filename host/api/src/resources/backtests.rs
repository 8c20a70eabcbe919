//! Backtests: what a version would have raised on the records that were.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tamis_catalog::backtests::{Backtest, BacktestState};
use tamis_catalog::roles::Permission;
use tamis_catalog::{Action, Page};
use tamis_jobs::backtest::{BacktestReport, BacktestRequest};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::location;
use crate::access::{Access, Caller};
use crate::app::{self, found};
use crate::extract::{Everything, Json as Body, Listing, PageParams, Path};
use crate::jobs::Asked;
use crate::openapi::Conflicts;
use crate::problem::Problem;
use crate::routes::Routes;

pub(super) fn routes(routes: Routes) -> Routes {
    let read = Access::Read(Permission::Read);
    let write = |action| Access::Write(Permission::BacktestsWrite, action);
    routes
        .add(read, routes!(list_backtests))
        .add(read, routes!(get_backtest))
        .add(write(Action::BacktestCreate), routes!(start_backtest))
        .add(write(Action::BacktestCancel), routes!(cancel_backtest))
}

/// A backtest without its report.
#[derive(Serialize, ToSchema)]
struct BacktestSummary {
    /// Its id.
    id: String,
    /// How it stands.
    state: BacktestState,
    /// What was asked for.
    #[schema(value_type = BacktestRequest)]
    request: Value,
    /// Who asked for it.
    author: String,
    /// RFC 3339.
    created_at: String,
    /// RFC 3339; null while it waits.
    started_at: Option<String>,
    /// RFC 3339; null until it is over.
    finished_at: Option<String>,
    /// Rows that it has replayed.
    rows_done: u64,
    /// Rows that there are; null as long as nobody has counted them.
    rows_total: Option<u64>,
    /// Whether it is to stop.
    cancel_requested: bool,
    /// The whole chain of causes of its failure.
    error: Option<String>,
}

/// A backtest.
#[derive(Serialize, ToSchema)]
struct BacktestDetails {
    #[serde(flatten)]
    backtest: BacktestSummary,
    /// What it found; null until it has succeeded.
    #[schema(value_type = Option<BacktestReport>)]
    report: Option<Value>,
}

impl From<Backtest> for BacktestDetails {
    fn from(backtest: Backtest) -> Self {
        let summary = BacktestSummary {
            id: backtest.id,
            state: backtest.state,
            request: backtest.request,
            author: backtest.author,
            created_at: backtest.created_at,
            started_at: backtest.started_at,
            finished_at: backtest.finished_at,
            rows_done: backtest.rows_done,
            rows_total: backtest.rows_total,
            cancel_requested: backtest.cancel_requested,
            error: backtest.error,
        };
        Self { backtest: summary, report: backtest.report }
    }
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Path)]
struct BacktestPath {
    /// The backtest's id.
    id: String,
}

/// The backtests, newest first, without their reports.
#[utoipa::path(
    get, path = "/backtests", tag = "backtests", params(PageParams),
    responses((status = 200, description = "A page of backtests.", body = Page<BacktestSummary>)),
)]
async fn list_backtests(
    State(app): app::State,
    listing: Listing<Everything>,
) -> Result<Json<Page<BacktestSummary>>, Problem> {
    let page = app.catalog().backtests(&listing.page()).await.map_err(Problem::of_query)?;
    let items = page.items.into_iter().map(|backtest| BacktestDetails::from(backtest).backtest).collect();
    Ok(Json(Page { items, next_cursor: page.next_cursor }))
}

/// A backtest, with its report once there is one.
#[utoipa::path(
    get, path = "/backtests/{id}", tag = "backtests", params(BacktestPath),
    responses((status = 200, description = "The backtest.", body = BacktestDetails)),
)]
async fn get_backtest(
    State(app): app::State,
    Path(BacktestPath { id }): Path<BacktestPath>,
) -> Result<Json<BacktestDetails>, Problem> {
    let backtest = found(app.catalog().backtest(&id).await?, || format!("there is no backtest {id:?}"))?;
    Ok(Json(backtest.into()))
}

/// Starts a backtest: the same component, byte for byte, over the records that were.
#[utoipa::path(
    post, path = "/backtests", tag = "backtests",
    request_body(content = BacktestRequest, examples(
        ("version" = (value = json!({
            "rule": "card-testing", "version": 1, "from": "2026-03-18T00:00:00Z", "to": "2026-03-19T00:00:00Z",
        }))),
        ("plugin" = (value = json!({
            "plugin": "card-testing", "config": {"attempts_max": 5}, "from": "2026-03-18T00:00:00Z",
            "to": "2026-03-19T00:00:00Z", "compare_with": "card-testing@1.0.0",
        }))),
    )),
    responses(
        (status = 202, description = "It waits for its turn.", body = BacktestDetails, headers(("Location" = String))),
        Conflicts,
    ),
)]
async fn start_backtest(
    State(app): app::State,
    caller: Caller,
    Body(request): Body<BacktestRequest>,
) -> Result<impl IntoResponse, Problem> {
    let asked = Asked { actor: caller.actor().clone(), why: None, at: app.now() };
    let backtest = app.api.jobs.start_backtest(request, asked).await.map_err(Problem::of_body)?;
    let location = location(format_args!("/backtests/{}", backtest.id));
    Ok((StatusCode::ACCEPTED, location, Json(BacktestDetails::from(backtest))))
}

/// Stops a backtest: one that waits at once, one at work soon.
#[utoipa::path(
    delete, path = "/backtests/{id}", tag = "backtests", params(BacktestPath),
    responses((status = 200, description = "The backtest as it is now.", body = BacktestDetails), Conflicts),
)]
async fn cancel_backtest(
    State(app): app::State,
    Path(BacktestPath { id }): Path<BacktestPath>,
    caller: Caller,
) -> Result<Json<BacktestDetails>, Problem> {
    let backtest = app.catalog().cancel_backtest(&id, &caller.change(&app, None)).await?;
    Ok(Json(backtest.into()))
}
