//! The admin API: who may see and change what, over HTTP.
//!
//! [`router`] is all of it over an [`Api`]; [`serve`] puts it on a socket. Nothing here decides what may run: that is the
//! registry's and the catalogue's. Here it is found out who asks (`access`) and what they ask (`extract`), and answered
//! in one form: resources as JSON, problems by RFC 9457 (`problem`), all of it described by the document at
//! `/api/v1/openapi.json`.
//!
//! A route comes in by `routes::Routes` only, which wants to know what it asks of whoever uses it, and says so in the document.

mod access;
mod app;
mod decisions;
mod effect;
mod etag;
mod extract;
mod jobs;
mod metrics;
mod observe;
mod openapi;
mod problem;
mod readiness;
mod refusals;
mod resources;
mod routes;
mod server;
mod streams;
mod tokens;
mod trace;
mod worker;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn;
use tamis_connectors::topics::Topics;
use tamis_connectors::{Influx, SqliteWarehouse};
use tamis_engine::Clock;
use tamis_registry::Registry;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};

pub use decisions::{Desk, OpenTopics};
pub use jobs::{Asked, Jobs, RunRequest};
pub use metrics::router as metrics_router;
pub use readiness::{BesideStreams, Part};
pub use resources::letter_id;
pub use server::{TlsFiles, serve};
pub use streams::{StreamState, StreamStatus, Streams};
pub use tamis_jobs::backtest::{BacktestRequest, BacktestSource};
pub use tokens::{TokenRequest, issue_token};
pub use worker::router as worker_router;

use crate::app::App;
use crate::routes::Routes;

/// Where the API is.
pub const PREFIX: &str = "/api/v1";

/// What the API works on.
pub struct Api {
    /// Plugins, rules and lists; its catalogue has everything else.
    pub registry: Registry,
    /// The stream that runs the rules.
    pub streams: Streams,
    /// Where alerts are read.
    pub warehouse: Arc<SqliteWarehouse>,
    /// Where the topics are, the dead letters' among them.
    pub topics: Topics,
    /// Where aggregates go as a time series, if anywhere.
    pub influx: Option<Influx>,
    /// What it can start.
    pub jobs: Jobs,
    /// Where decisions are asked for.
    pub decisions: Desk,
    /// What else the host is there for.
    pub beside: Vec<BesideStreams>,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
}

/// All routes over `api`. It is used inside a runtime of tokio.
pub fn router(api: Arc<Api>) -> Router {
    let app = Arc::new(App::new(api));
    let routes = resources::all(Routes::new(Arc::clone(&app)));
    let beside = resources::beside(Routes::new(Arc::clone(&app)));
    let (router, document) = routes.nested(PREFIX, beside);
    app.set_document(&openapi::complete(document));
    // From the inside to the outside.
    router
        .layer(CatchPanicLayer::custom(observe::panicked))
        .layer(from_fn(observe::observe))
        .layer(PropagateRequestIdLayer::new(observe::REQUEST_ID))
        .layer(SetRequestIdLayer::new(observe::REQUEST_ID, MakeRequestUuid))
        .layer(from_fn(observe::check_request_id))
}
