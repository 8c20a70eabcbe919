//! Table `runs`: one execution of a job.

use serde_json::json;
use sqlx::FromRow;
use tamis_model::time::{Millis, rfc3339_millis};
use tamis_model::{Error, Result};

use crate::named::named;
use crate::page::{Page, PageQuery};
use crate::{Catalog, Stored, events};

/// The events of a run: it was begun, and it is over.
const STARTED: &str = "run.started";
const FINISHED: &str = "run.finished";
/// Of a run whose process is gone.
const DIED: &str = "its process ended before it did";

named! {
    /// How a run stands.
    pub enum RunState: "state of a run" {
        /// It is at work, or its process died and nobody has noticed yet.
        Running = "running",
        /// It did all that it was to do.
        Succeeded = "succeeded",
        /// It published, but some file was left out and is listed.
        Partial = "partial",
        /// The quality gate refused its tables: what was published before stays.
        Gated = "gated",
        /// It stopped on an error.
        Failed = "failed",
    }
}

/// One execution of a job.
#[derive(Clone, Debug, PartialEq, FromRow, serde::Serialize, utoipa::ToSchema)]
pub struct Run {
    /// UUID version 7: sorts by start.
    pub id: String,
    /// `nightly`.
    pub job: String,
    /// The logical date, `YYYY-MM-DD`.
    pub as_of: String,
    /// How it stands.
    pub state: RunState,
    /// RFC 3339.
    pub started_at: String,
    /// RFC 3339; none while it runs.
    pub finished_at: Option<String>,
    /// Percent of the checks that passed; none when none ran.
    pub quality_score: Option<f64>,
    /// The whole chain of causes of its failure.
    pub error: Option<String>,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub struct RunEnd {
    /// How it stands now.
    pub state: RunState,
    /// Percent of the checks that passed.
    pub quality_score: Option<f64>,
    /// The whole chain of causes of its failure.
    pub error: Option<String>,
}

impl Catalog {
    /// Opens the record of a run. The caller holds the lock of the job, so that a run of it that is still
    /// recorded as running has died: it is closed as failed.
    pub async fn start_run(&self, id: &str, job: &str, as_of: &str, now: Millis) -> Result<()> {
        let at = rfc3339_millis(now);
        let mut transaction = self.write("start run", id).await?;
        let dead: Vec<String> = sqlx::query_scalar(
            "UPDATE runs SET state = 'failed', finished_at = ?, error = ? WHERE job = ? AND state = 'running' RETURNING id",
        )
        .bind(&at)
        .bind(DIED)
        .bind(job)
        .fetch_all(&mut *transaction)
        .await
        .stored("close dead runs of", job)?;
        for dead in dead {
            let data = json!({"run": dead, "state": RunState::Failed, "error": DIED});
            events::append(&mut transaction, FINISHED, job, &data, now).await?;
        }
        sqlx::query("INSERT INTO runs (id, job, as_of, state, started_at) VALUES (?, ?, ?, 'running', ?)")
            .bind(id)
            .bind(job)
            .bind(as_of)
            .bind(&at)
            .execute(&mut *transaction)
            .await
            .stored("start run", id)?;
        events::append(&mut transaction, STARTED, job, &json!({"run": id, "as_of": as_of}), now).await?;
        transaction.commit().await.stored("start run", id)
    }

    /// Closes the record of a run.
    pub async fn finish_run(&self, id: &str, end: &RunEnd, now: Millis) -> Result<()> {
        let mut transaction = self.write("finish run", id).await?;
        let job: Option<String> = sqlx::query_scalar(
            "UPDATE runs SET state = ?, finished_at = ?, quality_score = ?, error = ? WHERE id = ? RETURNING job",
        )
        .bind(end.state)
        .bind(rfc3339_millis(now))
        .bind(end.quality_score)
        .bind(&end.error)
        .bind(id)
        .fetch_optional(&mut *transaction)
        .await
        .stored("finish run", id)?;
        if let Some(job) = job {
            let data = json!({
                "run": id, "state": end.state, "quality_score": end.quality_score, "error": end.error,
            });
            events::append(&mut transaction, FINISHED, &job, &data, now).await?;
        }
        transaction.commit().await.stored("finish run", id)
    }

    /// The last `count_max` runs, newest first.
    pub async fn runs(&self, count_max: u32) -> Result<Vec<Run>> {
        sqlx::query_as("SELECT * FROM runs ORDER BY id DESC LIMIT ?")
            .bind(count_max)
            .fetch_all(&self.readers)
            .await
            .stored("list", "runs")
    }

    /// All runs, newest first.
    pub async fn runs_page(&self, page: &PageQuery<'_>) -> Result<Page<Run>> {
        let query = sqlx::query_as("SELECT * FROM runs WHERE ?1 IS NULL OR id < ?1 ORDER BY id DESC LIMIT ?2");
        page.fetch(&self.readers, query.bind(page.cursor), |run: &Run| run.id.clone()).await.stored("list", "runs")
    }

    /// The run with this id.
    pub async fn run_by_id(&self, id: &str) -> Result<Option<Run>> {
        let query = sqlx::query_as("SELECT * FROM runs WHERE id = ?").bind(id);
        query.fetch_optional(&self.readers).await.stored("find run", id)
    }

    /// The run with this id, or whose id begins so when only one does.
    pub async fn run(&self, id: &str) -> Result<Option<Run>> {
        let found: Vec<Run> = sqlx::query_as("SELECT * FROM runs WHERE substr(id, 1, length(?1)) = ?1 LIMIT 2")
            .bind(id)
            .fetch_all(&self.readers)
            .await
            .stored("find run", id)?;
        match <[Run; 1]>::try_from(found) {
            Ok([run]) => Ok(Some(run)),
            Err(found) if found.is_empty() => Ok(None),
            Err(_) => Err(Error::invalid("find run", id, "more than one run begins so")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_run_that_died_is_closed_by_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let catalog = Catalog::open(&folder.path().join("tamis.db")).await.unwrap();
        catalog.start_run("01-a", "nightly", "2026-03-20", 0).await.unwrap();
        catalog.start_run("02-b", "nightly", "2026-03-20", 1_000).await.unwrap();
        let end = RunEnd { state: RunState::Gated, quality_score: Some(79.0), error: None };
        catalog.finish_run("02-b", &end, 2_000).await.unwrap();

        let runs = catalog.runs(10).await.unwrap();
        assert_eq!(runs.iter().map(|run| run.state).collect::<Vec<_>>(), [RunState::Gated, RunState::Failed]);
        assert_eq!(runs[0].quality_score, Some(79.0));
        assert_eq!(runs[1].error.as_deref(), Some("its process ended before it did"));
        assert_eq!(catalog.run("02").await.unwrap().as_ref(), Some(&runs[0]));
        assert_eq!(catalog.run("03").await.unwrap(), None);
        assert!(catalog.run("0").await.is_err(), "two runs begin so");
        assert_eq!(catalog.run_by_id("02").await.unwrap(), None);
        assert_eq!(catalog.run_by_id("02-b").await.unwrap().as_ref(), Some(&runs[0]));

        let told = catalog.events_after(0, 10).await.unwrap();
        let told: Vec<_> = told.iter().map(|event| (event.kind.as_str(), &event.data["run"])).collect();
        let (first, second) = (json!("01-a"), json!("02-b"));
        assert_eq!(told, [(STARTED, &first), (FINISHED, &first), (STARTED, &second), (FINISHED, &second)]);
    }
}
