//! What a run leaves in the catalogue while it is at work.

use chrono::NaiveDate;
use tamis_catalog::operations::Trouble;
use tamis_catalog::runs::{RunEnd, RunState};
use tamis_connectors::ProcessLock;
use tamis_model::Result;
use tamis_model::error::Context;

use super::{JobContext, JobEvent, Observer, Run, run_id};

/// Does some work as a run of the catalogue, while no other run is at work.
pub(super) async fn recorded<T>(
    context: &JobContext,
    job: &str,
    as_of: NaiveDate,
    observer: Observer,
    work: impl AsyncFnOnce(&Run<'_>) -> Result<T>,
    end: impl Fn(&T) -> (RunState, Option<f64>),
) -> Result<T> {
    if let Some(folder) = context.lock.parent() {
        std::fs::create_dir_all(folder).outage("create folder", folder.display())?;
    }
    let _lock = ProcessLock::acquire(&context.lock, "another run is at work")?;
    let run_id = run_id(context.clock.as_ref());
    context.catalog.start_run(&run_id, job, &as_of.to_string(), context.clock.now()).await?;
    observer(&JobEvent::Started { run_id: run_id.clone() });
    let run = Run { context, as_of, recorder: Recorder::new(context, run_id.clone()), observer };
    let (result, end) = match work(&run).await {
        Ok(done) => {
            let (state, quality_score) = end(&done);
            (Ok(done), RunEnd { state, quality_score, error: None })
        }
        Err(error) => {
            let end = RunEnd { state: RunState::Failed, quality_score: None, error: Some(error.chain()) };
            run.recorder.raise_quietly(Trouble::RunFailed, job, &error.chain()).await;
            (Err(error), end)
        }
    };
    let closed = context.catalog.finish_run(&run_id, &end, context.clock.now()).await;
    match (result, closed) {
        (Err(error), _) | (Ok(_), Err(error)) => Err(error),
        (Ok(report), Ok(())) => Ok(report),
    }
}

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
