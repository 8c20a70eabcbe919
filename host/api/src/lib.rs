//! The admin API: who may see and change what, over HTTP.
//!
//! [`router`] is all of it over an [`Api`]; [`serve`] puts it on a socket. Nothing here decides what may run: that is the
//! registry's and the catalogue's; here it is said who asks, and answered in one form.

mod jobs;
mod server;
mod streams;
mod tokens;

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use tamis_connectors::SqliteWarehouse;
use tamis_engine::Clock;
use tamis_registry::Registry;

pub use jobs::{Asked, BacktestRequest, BacktestSource, Jobs, RunRequest};
pub use server::{TlsFiles, serve};
pub use streams::{StreamState, StreamStatus, Streams};
pub use tokens::{TokenRequest, issue_token};

/// What the API works on.
pub struct Api {
    /// Plugins, rules and lists; its catalogue has everything else.
    pub registry: Registry,
    /// The stream that runs the rules.
    pub streams: Streams,
    /// Where alerts are read.
    pub warehouse: Arc<SqliteWarehouse>,
    /// The folder of the topics, the dead letters' among them.
    pub topics: PathBuf,
    /// What it can start.
    pub jobs: Jobs,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
}

/// All routes over `api`.
pub fn router(_api: Arc<Api>) -> Router {
    Router::new()
}
