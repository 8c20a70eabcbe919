//! Runs of jobs: what each did with which file, and starting one.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use tamis_catalog::operations::OperationalAlert;
use tamis_catalog::roles::Permission;
use tamis_catalog::run_details::{RunColumn, RunEvent, RunFile, RunTable};
use tamis_catalog::runs::Run;
use tamis_catalog::{Action, Page};
use tamis_model::Kind;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::location;
use crate::RunRequest;
use crate::access::{Access, Caller, refused};
use crate::app::{self, found};
use crate::extract::{Everything, Json as Body, Listing, PageParams, Path};
use crate::jobs::Asked;
use crate::openapi::Conflicts;
use crate::problem::Problem;
use crate::routes::Routes;

pub(super) fn routes(routes: Routes) -> Routes {
    let read = Access::Read(Permission::Read);
    routes
        .add(read, routes!(list_runs))
        .add(read, routes!(get_run))
        .add(Access::Write(Permission::RunsWrite, Action::RunStart), routes!(start_run))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Path)]
struct RunPath {
    /// The run's id.
    id: String,
}

/// A run with all that it did.
#[derive(Serialize, ToSchema)]
struct RunDetails {
    #[serde(flatten)]
    run: Run,
    /// What became of each file.
    files: Vec<FileCounts>,
    /// The columns of which cells became null.
    columns: Vec<RunColumn>,
    /// The tables that it wrote.
    tables: Vec<RunTable>,
    /// What happened, in order.
    events: Vec<RunEvent>,
    /// What people must look at.
    alerts: Vec<OperationalAlert>,
}

/// What became of the rows of a file.
#[derive(Serialize, ToSchema)]
struct FileCounts {
    /// The source.
    source: String,
    /// Its path below `drop/<source>/`.
    original_path: String,
    /// The version that was read.
    sha256: String,
    /// Rows read; all counts are 0 when the file was quarantined.
    rows_in: u64,
    /// Rows trusted.
    rows_out: u64,
    /// Rows that were there before.
    duplicates: u64,
    /// Rows that were not wanted.
    filtered: u64,
    /// Rows that were refused.
    rejected: u64,
    /// Why it was unreadable as a whole.
    quarantined: Option<String>,
}

impl From<RunFile> for FileCounts {
    fn from(file: RunFile) -> Self {
        let RunFile { source, original_path, sha256, counts, quarantined } = file;
        Self {
            source,
            original_path,
            sha256,
            rows_in: counts.rows_in,
            rows_out: counts.rows_out,
            duplicates: counts.duplicates,
            filtered: counts.filtered,
            rejected: counts.rejected,
            quarantined,
        }
    }
}

/// A run that was started.
#[derive(Serialize, ToSchema)]
struct StartedRun {
    /// Its id.
    id: String,
}

/// The runs, newest first.
#[utoipa::path(
    get, path = "/runs", tag = "runs", params(PageParams),
    responses((status = 200, description = "A page of runs.", body = Page<Run>)),
)]
async fn list_runs(State(app): app::State, listing: Listing<Everything>) -> Result<Json<Page<Run>>, Problem> {
    app.catalog().runs_page(&listing.page()).await.map(Json).map_err(Problem::of_query)
}

/// A run with all that it did.
#[utoipa::path(
    get, path = "/runs/{id}", tag = "runs", params(RunPath),
    responses((status = 200, description = "The run.", body = RunDetails)),
)]
async fn get_run(State(app): app::State, Path(RunPath { id }): Path<RunPath>) -> Result<Json<RunDetails>, Problem> {
    let catalog = app.catalog();
    let run = found(catalog.run_by_id(&id).await?, || format!("there is no run {id:?}"))?;
    Ok(Json(RunDetails {
        files: catalog.run_files(&id).await?.into_iter().map(FileCounts::from).collect(),
        columns: catalog.run_columns(&id).await?,
        tables: catalog.run_tables(&id).await?,
        events: catalog.run_events(&id).await?,
        alerts: catalog.operational_alerts(&id).await?,
        run,
    }))
}

/// Starts a run.
#[utoipa::path(
    post, path = "/runs", tag = "runs", request_body = RunRequest,
    responses(
        (status = 202, description = "It is at work.", body = StartedRun, headers(("Location" = String))),
        Conflicts,
    ),
)]
async fn start_run(
    State(app): app::State,
    caller: Caller,
    Body(request): Body<RunRequest>,
) -> Result<impl IntoResponse, Problem> {
    let job = request.job.clone();
    let asked = Asked { actor: caller.actor().clone(), why: None, at: app.now() };
    let id = match app.api.jobs.start_run(request, asked).await {
        Ok(id) => id,
        Err(error) if error.kind() == Kind::Conflict => {
            refused(&app, &caller, Action::RunStart, &job, &error.chain()).await?;
            return Err(error.into());
        }
        Err(error) => return Err(Problem::of_body(error)),
    };
    Ok((StatusCode::ACCEPTED, location(format_args!("/runs/{id}")), Json(StartedRun { id })))
}
