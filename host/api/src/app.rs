//! What all handlers share: the parts of the API, and the bounds of what may be at work at once.

use std::sync::{Arc, OnceLock};

use axum::body::Bytes;
use tamis_catalog::Catalog;
use tamis_catalog::rules::Rule;
use tamis_model::time::Millis;
use tamis_registry::Registry;
use tokio::sync::Semaphore;
use utoipa::openapi::OpenApi;

use crate::Api;
use crate::problem::Problem;
use crate::readiness::Readiness;
use crate::refusals::Refusals;

/// Event streams that are open at once.
const EVENT_STREAMS_MAX: usize = 64;
/// Components that are taken in at once: each may be 64 MiB, and a compiler runs for it.
const UPLOADS_MAX: usize = 4;
/// Requests that read files at once.
const FILE_READS_MAX: usize = 8;

/// The state of the router.
pub(crate) struct App {
    pub api: Arc<Api>,
    pub event_streams: Arc<Semaphore>,
    pub uploads: Arc<Semaphore>,
    file_reads: Arc<Semaphore>,
    pub readiness: Readiness,
    pub refusals: Refusals,
    /// The OpenAPI document, once all routes are known.
    pub document: OnceLock<Bytes>,
}

/// As handlers take it.
pub(crate) type State = axum::extract::State<Arc<App>>;

impl App {
    pub fn new(api: Arc<Api>) -> Self {
        let bound = |count| Arc::new(Semaphore::new(count));
        Self {
            api,
            event_streams: bound(EVENT_STREAMS_MAX),
            uploads: bound(UPLOADS_MAX),
            file_reads: bound(FILE_READS_MAX),
            readiness: Readiness::default(),
            refusals: Refusals::default(),
            document: OnceLock::new(),
        }
    }

    /// Keeps the document of the routes, the first time.
    pub fn set_document(&self, document: &OpenApi) {
        let text = serde_json::to_vec(document).unwrap_or_default();
        // It is made once.
        let _ = self.document.set(text.into());
    }

    pub fn registry(&self) -> &Registry {
        &self.api.registry
    }

    pub fn catalog(&self) -> &Catalog {
        self.api.registry.catalog()
    }

    pub fn now(&self) -> Millis {
        self.api.clock.now()
    }

    /// The rule of this name.
    pub async fn rule(&self, name: &str) -> Result<Rule, Problem> {
        found(self.catalog().rule(name).await?, || format!("there is no rule {name:?}"))
    }

    /// Does what blocks, beside everything else; waits while many others do.
    pub async fn read_files<T: Send + 'static>(
        &self,
        read: impl FnOnce() -> tamis_model::Result<T> + Send + 'static,
    ) -> Result<T, Problem> {
        let permit = Arc::clone(&self.file_reads).acquire_owned().await;
        let permit = permit.map_err(|_| Problem::internal("nobody closes the semaphore"))?;
        let work = move || {
            let _permit = permit;
            read()
        };
        let done = tokio::task::spawn_blocking(work).await;
        Ok(done.map_err(|error| Problem::internal(error.to_string()))??)
    }
}

/// What was looked for, or that it is not there.
pub(crate) fn found<T>(value: Option<T>, missing: impl FnOnce() -> String) -> Result<T, Problem> {
    value.ok_or_else(|| Problem::not_found(missing()))
}
