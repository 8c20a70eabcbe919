//! Tables `run_files`, `run_columns`, `run_tables`, `run_events`: what a run did, in detail.

use sqlx::FromRow;
use tamis_model::Result;
use tamis_model::accounting::RowCounts;
use tamis_model::time::{Millis, rfc3339_millis};

use crate::{Catalog, Stored};

/// The accounting of one file in one run.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct RunFile {
    /// The source.
    pub source: String,
    /// Its path below `drop/<source>/`.
    pub original_path: String,
    /// The version that was read.
    pub sha256: String,
    /// Its rows; all zero when it was quarantined.
    pub counts: RowCounts,
    /// Why it was unreadable as a whole.
    pub quarantined: Option<String>,
}

/// How many cells of a column could not be read.
#[derive(Clone, Debug, PartialEq, Eq, FromRow, serde::Serialize, utoipa::ToSchema)]
pub struct RunColumn {
    /// The source.
    pub source: String,
    /// The Silver column.
    pub column_name: String,
    /// Cells that became null.
    pub cells_nullified: i64,
}

/// A table that a run wrote.
#[derive(Clone, Debug, PartialEq, Eq, FromRow, serde::Serialize, utoipa::ToSchema)]
pub struct RunTable {
    /// `silver.crm`.
    pub dataset: String,
    /// Its rows.
    pub row_count: i64,
}

/// Something that happened in a run.
#[derive(Clone, Debug, PartialEq, Eq, FromRow, serde::Serialize, utoipa::ToSchema)]
pub struct RunEvent {
    /// RFC 3339.
    pub at: String,
    /// A stable name: `file_taken`, `file_left`, `table_written`.
    pub event: String,
    /// What it happened to.
    pub subject: String,
    /// In words.
    pub message: String,
}

#[derive(FromRow)]
struct FileRow {
    source: String,
    original_path: String,
    sha256: String,
    rows_in: i64,
    rows_out: i64,
    duplicates: i64,
    filtered: i64,
    rejected: i64,
    quarantined: Option<String>,
}

impl From<FileRow> for RunFile {
    fn from(row: FileRow) -> Self {
        let counts = RowCounts {
            rows_in: row.rows_in.cast_unsigned(),
            rows_out: row.rows_out.cast_unsigned(),
            duplicates: row.duplicates.cast_unsigned(),
            filtered: row.filtered.cast_unsigned(),
            rejected: row.rejected.cast_unsigned(),
        };
        Self {
            source: row.source,
            original_path: row.original_path,
            sha256: row.sha256,
            counts,
            quarantined: row.quarantined,
        }
    }
}

impl Catalog {
    /// Records what became of the files of a source and of their cells, all or nothing. The table refuses
    /// a file whose rows are not all accounted for.
    pub async fn record_source(&self, run_id: &str, files: &[RunFile], columns: &[RunColumn]) -> Result<()> {
        let mut transaction = self.write("record accounting of run", run_id).await?;
        for file in files {
            sqlx::query("INSERT INTO run_files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
                .bind(run_id)
                .bind(&file.source)
                .bind(&file.original_path)
                .bind(&file.sha256)
                .bind(file.counts.rows_in.cast_signed())
                .bind(file.counts.rows_out.cast_signed())
                .bind(file.counts.duplicates.cast_signed())
                .bind(file.counts.filtered.cast_signed())
                .bind(file.counts.rejected.cast_signed())
                .bind(&file.quarantined)
                .execute(&mut *transaction)
                .await
                .stored("record accounting of", &file.original_path)?;
        }
        for column in columns {
            sqlx::query("INSERT INTO run_columns VALUES (?, ?, ?, ?)")
                .bind(run_id)
                .bind(&column.source)
                .bind(&column.column_name)
                .bind(column.cells_nullified)
                .execute(&mut *transaction)
                .await
                .stored("record nullified cells of", &column.column_name)?;
        }
        transaction.commit().await.stored("record accounting of run", run_id)
    }

    /// Records that a run wrote a table.
    pub async fn record_table(&self, run_id: &str, dataset: &str, row_count: u64) -> Result<()> {
        sqlx::query("INSERT OR REPLACE INTO run_tables VALUES (?, ?, ?)")
            .bind(run_id)
            .bind(dataset)
            .bind(row_count.cast_signed())
            .execute(&self.writer)
            .await
            .map(drop)
            .stored("record table", dataset)
    }

    /// Records that something happened in a run.
    pub async fn record_event(
        &self,
        run_id: &str,
        event: &str,
        subject: &str,
        message: &str,
        now: Millis,
    ) -> Result<()> {
        sqlx::query(
            "INSERT INTO run_events SELECT ?1, coalesce(max(number), 0) + 1, ?2, ?3, ?4, ?5 \
             FROM run_events WHERE run_id = ?1",
        )
        .bind(run_id)
        .bind(rfc3339_millis(now))
        .bind(event)
        .bind(subject)
        .bind(message)
        .execute(&self.writer)
        .await
        .map(drop)
        .stored("record event of run", run_id)
    }

    /// The files of a run, by source and path.
    pub async fn run_files(&self, run_id: &str) -> Result<Vec<RunFile>> {
        let query = "SELECT * FROM run_files WHERE run_id = ? ORDER BY source, original_path";
        let rows: Vec<FileRow> = self.rows_of_run("list files of run", query, run_id).await?;
        Ok(rows.into_iter().map(RunFile::from).collect())
    }

    /// The nullified cells of a run, by source and column.
    pub async fn run_columns(&self, run_id: &str) -> Result<Vec<RunColumn>> {
        let query = "SELECT * FROM run_columns WHERE run_id = ? ORDER BY source, column_name";
        self.rows_of_run("list columns of run", query, run_id).await
    }

    /// The tables of a run, by name.
    pub async fn run_tables(&self, run_id: &str) -> Result<Vec<RunTable>> {
        let query = "SELECT * FROM run_tables WHERE run_id = ? ORDER BY dataset";
        self.rows_of_run("list tables of run", query, run_id).await
    }

    /// The events of a run, in order.
    pub async fn run_events(&self, run_id: &str) -> Result<Vec<RunEvent>> {
        let query = "SELECT * FROM run_events WHERE run_id = ? ORDER BY number";
        self.rows_of_run("list events of run", query, run_id).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(rows_in: u64, rows_out: u64) -> RunFile {
        RunFile {
            source: "crm".to_owned(),
            original_path: "a.csv".to_owned(),
            sha256: "aa".to_owned(),
            counts: RowCounts { rows_in, rows_out, rejected: 1, ..RowCounts::default() },
            quarantined: None,
        }
    }

    #[tokio::test]
    async fn accounting_is_kept_and_must_balance() {
        let folder = tempfile::tempdir().unwrap();
        let catalog = Catalog::open(&folder.path().join("tamis.db")).await.unwrap();
        catalog.start_run("r", "nightly", "2026-03-20", 0).await.unwrap();
        let column = RunColumn { source: "crm".to_owned(), column_name: "age".to_owned(), cells_nullified: 2 };

        assert!(catalog.record_source("r", &[file(10, 8)], &[]).await.is_err(), "a row disappeared");
        assert_eq!(catalog.run_files("r").await.unwrap(), [], "nothing of a refused record stays");
        catalog.record_source("r", &[file(10, 9)], std::slice::from_ref(&column)).await.unwrap();
        assert_eq!(catalog.run_files("r").await.unwrap(), [file(10, 9)]);
        assert_eq!(catalog.run_columns("r").await.unwrap(), [column]);

        catalog.record_event("r", "file_taken", "crm/a.csv", "3 bytes", 5).await.unwrap();
        catalog.record_event("r", "file_left", "crm/b.csv", "still growing", 6).await.unwrap();
        let events = catalog.run_events("r").await.unwrap();
        assert_eq!(events.iter().map(|e| e.event.as_str()).collect::<Vec<_>>(), ["file_taken", "file_left"]);
        catalog.record_table("r", "silver.crm", 9).await.unwrap();
        assert_eq!(catalog.run_tables("r").await.unwrap()[0].row_count, 9);
    }
}
