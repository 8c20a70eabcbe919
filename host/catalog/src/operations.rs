//! Table `operational_alerts`: what the people who run Tamis must look at.

use sqlx::FromRow;
use tamis_model::Result;
use tamis_model::error::Context;
use tamis_model::time::{Millis, rfc3339_millis};

use crate::Catalog;

/// What kind of trouble it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// A file could not be read as a whole and lies in quarantine.
    FileQuarantined,
    /// A file of the drop could not be taken in; the next pass tries again.
    FileUnreadable,
    /// More rows of a file were rejected than its source allows.
    RejectedShare,
    /// The quality gate refused to publish.
    GateRefused,
    /// A run stopped on an error.
    RunFailed,
}

impl Trouble {
    /// Its name in the catalogue.
    pub const fn name(self) -> &'static str {
        match self {
            Self::FileQuarantined => "file_quarantined",
            Self::FileUnreadable => "file_unreadable",
            Self::RejectedShare => "rejected_share",
            Self::GateRefused => "gate_refused",
            Self::RunFailed => "run_failed",
        }
    }
}

/// Something to look at.
#[derive(Clone, Debug, PartialEq, Eq, FromRow, serde::Serialize)]
pub struct OperationalAlert {
    /// The run that saw it.
    pub run_id: String,
    /// RFC 3339.
    pub at: String,
    /// See [`Trouble::name`].
    pub kind: String,
    /// What it is about, `nginx/2026-03-18.log`.
    pub subject: String,
    /// In words.
    pub message: String,
}

impl Catalog {
    /// Raises an alert, once for each run, kind and subject.
    pub async fn raise(
        &self,
        run_id: &str,
        trouble: Trouble,
        subject: &str,
        message: &str,
        now: Millis,
    ) -> Result<OperationalAlert> {
        let alert = OperationalAlert {
            run_id: run_id.to_owned(),
            at: rfc3339_millis(now),
            kind: trouble.name().to_owned(),
            subject: subject.to_owned(),
            message: message.to_owned(),
        };
        sqlx::query(
            "INSERT INTO operational_alerts (run_id, at, kind, subject, message) VALUES (?, ?, ?, ?, ?) \
             ON CONFLICT DO NOTHING",
        )
        .bind(&alert.run_id)
        .bind(&alert.at)
        .bind(&alert.kind)
        .bind(&alert.subject)
        .bind(&alert.message)
        .execute(&self.pool)
        .await
        .outage("raise operational alert about", subject)?;
        Ok(alert)
    }

    /// The alerts of a run, in order.
    pub async fn operational_alerts(&self, run_id: &str) -> Result<Vec<OperationalAlert>> {
        let query = "SELECT run_id, at, kind, subject, message FROM operational_alerts WHERE run_id = ? ORDER BY id";
        self.rows_of_run("list operational alerts of run", query, run_id).await
    }
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
