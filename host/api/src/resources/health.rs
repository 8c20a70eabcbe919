//! Whether the host lives and is ready, and what the API is: all that can be asked without a token.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use crate::access::Access;
use crate::app;
use crate::problem::Problem;
use crate::readiness::{ReadinessReport, readiness};
use crate::routes::Routes;

pub(super) fn routes(routes: Routes) -> Routes {
    routes.add(Access::Open, routes!(healthz)).add(Access::Open, routes!(readyz))
}

pub(super) fn document_routes(routes: Routes) -> Routes {
    routes.add(Access::Open, routes!(get_document))
}

/// That the process answers.
#[derive(Serialize, ToSchema)]
pub(crate) struct Alive {
    /// That it does.
    alive: bool,
}

impl IntoResponse for ReadinessReport {
    fn into_response(self) -> Response {
        let status = if self.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        (status, Json(self)).into_response()
    }
}

/// Whether the process answers.
#[utoipa::path(get, path = "/healthz", tag = "health", responses((status = 200, description = "It does.", body = Alive)))]
pub(crate) async fn healthz() -> Json<Alive> {
    Json(Alive { alive: true })
}

/// Whether the stream runs by the newest rules, the catalogue answers, the disk can be written, and what else the host is there for goes on.
#[utoipa::path(
    get, path = "/readyz", tag = "health",
    responses(
        (status = 200, description = "All is ready.", body = ReadinessReport),
        (status = 503, description = "Something is not.", content(
            (ReadinessReport = "application/json"), (crate::problem::ProblemDetails = "application/problem+json"),
        )),
    ),
)]
async fn readyz(State(app): app::State) -> impl IntoResponse {
    readiness(&app).await
}

/// This document.
#[utoipa::path(
    get, path = "/openapi.json", tag = "health",
    responses((status = 200, description = "OpenAPI 3.1.", body = Object, content_type = "application/json")),
)]
async fn get_document(State(app): app::State) -> Result<impl IntoResponse, Problem> {
    let document = app.document.get().cloned().ok_or_else(|| Problem::internal("the document is not written"))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], document))
}
