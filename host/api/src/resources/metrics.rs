//! The metrics, for whatever watches the host and has a token.

use axum::extract::State;
use axum::response::IntoResponse;
use tamis_catalog::roles::Permission;
use utoipa_axum::routes;

use crate::access::Access;
use crate::app;
use crate::metrics;
use crate::routes::Routes;

pub(super) fn routes(routes: Routes) -> Routes {
    routes.add(Access::Read(Permission::Read), routes!(get_metrics))
}

/// How the stream and its rules are doing, in the text format of Prometheus.
#[utoipa::path(
    get, path = "/metrics", tag = "health",
    responses((status = 200, description = "As of the last look at the stream, at most a second ago.", body = String,
        content_type = "text/plain")),
)]
async fn get_metrics(State(app): app::State) -> impl IntoResponse {
    metrics::answer(&app.api)
}
