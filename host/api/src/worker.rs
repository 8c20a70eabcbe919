//! What a host shows of itself that has streams and nothing else: no catalogue, hence no tokens, and nothing that could be changed.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use tamis_engine::Clock;
use tokio::sync::watch;

use crate::resources::healthz;
use crate::streams::StreamStatus;
use crate::{metrics, readiness};

/// `/metrics`, `/healthz` and `/readyz` for whoever reaches them: how its streams are, as `status` has it.
pub fn router(status: watch::Receiver<StreamStatus>, clock: Arc<dyn Clock>) -> Router {
    let state = Arc::new((status, clock));
    let metrics = async |State(seen): State<Arc<Seen>>| metrics::of_streams(&seen.0.borrow(), seen.1.now());
    let readyz = async |State(seen): State<Arc<Seen>>| readiness::of_streams(&seen.0.borrow(), seen.1.now());
    Router::new()
        .route("/metrics", get(metrics))
        .route("/readyz", get(readyz))
        .route("/healthz", get(healthz))
        .with_state(state)
}

type Seen = (watch::Receiver<StreamStatus>, Arc<dyn Clock>);
