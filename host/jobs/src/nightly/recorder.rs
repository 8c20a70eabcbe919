//! What a run leaves in the catalogue while it is at work.

use tamis_catalog::operations::Trouble;
use tamis_model::Result;

use super::JobContext;

/// Writes the record of one run.
pub(super) struct Recorder<'a> {
    context: &'a JobContext,
    run_id: String,
}

impl<'a> Recorder<'a> {
    pub fn new(context: &'a JobContext, run_id: String) -> Self {
        Self { context, run_id }
    }

    pub fn run_id(&self) -> &str {
        &self.run_id
    }

    pub async fn event(&self, event: &str, subject: &str, message: &str) -> Result<()> {
        let now = self.context.clock.now();
        self.context.catalog.record_event(&self.run_id, event, subject, message, now).await
    }

    pub async fn table(&self, dataset: &str, rows: u64) -> Result<()> {
        self.context.catalog.record_table(&self.run_id, dataset, rows).await
    }

    pub async fn raise(&self, trouble: Trouble, subject: &str, message: &str) -> Result<()> {
        let now = self.context.clock.now();
        self.context.catalog.raise(&self.run_id, trouble, subject, message, now).await.map(drop)
    }

    /// Raises an alert about a failure that is on its way up already: that this one fails as well is only logged.
    pub async fn raise_quietly(&self, trouble: Trouble, subject: &str, message: &str) {
        if let Err(error) = self.raise(trouble, subject, message).await {
            tracing::error!(error = error.chain(), "an operational alert is lost");
        }
    }
}
