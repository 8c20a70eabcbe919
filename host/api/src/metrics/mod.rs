//! `/metrics`: what the stream counts and measures, for Prometheus. docs/metrics.md says what each of them means.
//!
//! Nothing is counted here. The report and the measures of the last look at the stream are written down as they are, so no figure is
//! held twice and the stream does not know who watches it. What the report counts goes back to the first checkpoint and outlives
//! restarts; what the process measures (histograms, batches, points) begins anew with each, which rates bear.
//!
//! On the API's own address it asks for a token that may read, as rule names and volumes of fraud are not for everybody; Prometheus sends
//! one from a file. Where that is too much, [`router`] answers without one on an address of its own, which the configuration names. A host
//! without API has that address alone (`worker`).

mod families;
mod text;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use tamis_model::time::Millis;

use self::text::Exposition;
use crate::Api;
use crate::streams::StreamStatus;

/// The version of the format.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// `/metrics` and nothing else, for whoever reaches it.
pub fn router(api: Arc<Api>) -> Router {
    let metrics = async |State(api): State<Arc<Api>>| answer(&api);
    Router::new().route("/metrics", get(metrics)).with_state(api)
}

/// The metrics of now.
pub(crate) fn answer(api: &Api) -> impl IntoResponse + use<> {
    let status = api.streams.status.borrow().clone();
    let influx = api.influx.as_ref().map(tamis_connectors::Influx::counts);
    page(families::exposition(&status, &api.decisions, influx, api.clock.now()))
}

/// Those of a host that has nothing but streams.
pub(crate) fn of_streams(status: &StreamStatus, now: Millis) -> impl IntoResponse + use<> {
    page(families::streams(status, now))
}

fn page(exposition: Exposition) -> impl IntoResponse + use<> {
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], exposition.into_text())
}
