//! Table `operational_alerts`: what the people who run Tamis must look at.

use sqlx::{FromRow, SqliteExecutor};
use tamis_model::Result;
use tamis_model::time::{Millis, rfc3339_millis};

use crate::named::named;
use crate::page::{Page, PageQuery};
use crate::{Catalog, Stored};

named! {
    /// What kind of trouble it is.
    pub enum Trouble: "kind of trouble" {
        /// A file could not be read as a whole and lies in quarantine.
        FileQuarantined = "file_quarantined",
        /// A file of the drop could not be taken in; the next pass tries again.
        FileUnreadable = "file_unreadable",
        /// More rows of a file were rejected than its source allows.
        RejectedShare = "rejected_share",
        /// The quality gate refused to publish.
        GateRefused = "gate_refused",
        /// A run stopped on an error.
        RunFailed = "run_failed",
        /// The host stopped a version of a rule that failed on too many rows.
        RuleTripped = "rule_tripped",
        /// The host ended a canary that left its budget.
        CanaryRolledBack = "canary_rolled_back",
        /// A stream stands still until people do something: a rule of it demands that when it fails, or no retry can
        /// help.
        StreamHalted = "stream_halted",
    }
}

/// Something to look at.
#[derive(Clone, Debug, PartialEq, Eq, FromRow, serde::Serialize, utoipa::ToSchema)]
pub struct OperationalAlert {
    /// The run that saw it, if one did.
    pub run_id: Option<String>,
    /// RFC 3339.
    pub at: String,
    /// See [`Trouble::name`].
    pub kind: String,
    /// What it is about, `nginx/2026-03-18.log`.
    pub subject: String,
    /// In words.
    pub message: String,
}

/// An alert with its place in the order of all.
#[derive(Clone, Debug, PartialEq, Eq, FromRow, serde::Serialize, utoipa::ToSchema)]
pub struct NumberedAlert {
    /// Counts up.
    pub id: i64,
    /// The alert.
    #[serde(flatten)]
    #[sqlx(flatten)]
    pub alert: OperationalAlert,
}

impl OperationalAlert {
    pub(crate) fn new(run_id: Option<&str>, trouble: Trouble, subject: &str, message: &str, now: Millis) -> Self {
        Self {
            run_id: run_id.map(str::to_owned),
            at: rfc3339_millis(now),
            kind: trouble.name().to_owned(),
            subject: subject.to_owned(),
            message: message.to_owned(),
        }
    }
}

impl Catalog {
    /// Raises an alert of a run, once for each run, kind and subject.
    pub async fn raise(
        &self,
        run_id: &str,
        trouble: Trouble,
        subject: &str,
        message: &str,
        now: Millis,
    ) -> Result<OperationalAlert> {
        let alert = OperationalAlert::new(Some(run_id), trouble, subject, message, now);
        insert(&self.writer, &alert).await?;
        Ok(alert)
    }

    /// Raises an alert that belongs to no run, each time.
    pub async fn raise_outside_runs(
        &self,
        trouble: Trouble,
        subject: &str,
        message: &str,
        now: Millis,
    ) -> Result<OperationalAlert> {
        let alert = OperationalAlert::new(None, trouble, subject, message, now);
        insert(&self.writer, &alert).await?;
        Ok(alert)
    }

    /// The alerts of a run, in order.
    pub async fn operational_alerts(&self, run_id: &str) -> Result<Vec<OperationalAlert>> {
        let query = "SELECT run_id, at, kind, subject, message FROM operational_alerts WHERE run_id = ? ORDER BY id";
        self.rows_of_run("list operational alerts of run", query, run_id).await
    }

    /// All alerts, of runs and others, newest first.
    pub async fn all_operational_alerts(&self, page: &PageQuery<'_>) -> Result<Page<NumberedAlert>> {
        let query = "SELECT * FROM operational_alerts WHERE id < ?1 ORDER BY id DESC LIMIT ?2";
        let query = sqlx::query_as(query).bind(page.before()?);
        page.fetch(&self.readers, query, |alert: &NumberedAlert| alert.id.to_string())
            .await
            .stored("list", "operational alerts")
    }
}

/// Writes an alert, in the transaction of what it is about when there is one.
pub(crate) async fn insert(executor: impl SqliteExecutor<'_>, alert: &OperationalAlert) -> Result<()> {
    sqlx::query(
        "INSERT INTO operational_alerts (run_id, at, kind, subject, message) VALUES (?, ?, ?, ?, ?) \
         ON CONFLICT DO NOTHING",
    )
    .bind(&alert.run_id)
    .bind(&alert.at)
    .bind(&alert.kind)
    .bind(&alert.subject)
    .bind(&alert.message)
    .execute(executor)
    .await
    .map(drop)
    .stored("raise operational alert about", &alert.subject)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_alert_is_raised_once_a_run() {
        let folder = tempfile::tempdir().unwrap();
        let catalog = Catalog::open(&folder.path().join("tamis.db")).await.unwrap();
        catalog.start_run("r", "nightly", "2026-03-20", 0).await.unwrap();
        for _ in 0..2 {
            catalog.raise("r", Trouble::FileQuarantined, "crm/a.csv.gz", "corrupt gzip", 7).await.unwrap();
        }
        let alerts = catalog.operational_alerts("r").await.unwrap();
        assert_eq!(alerts.len(), 1);
        assert_eq!((alerts[0].kind.as_str(), alerts[0].subject.as_str()), ("file_quarantined", "crm/a.csv.gz"));
    }
}
