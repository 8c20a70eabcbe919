//! What is known, in SQLite: files taken in, runs with their accounting, operational alerts, plugins.
//!
//! One module a subject, each an `impl Catalog` with the types of its rows. Times are RFC 3339 text with
//! milliseconds and `Z`, which sorts as it reads.

pub mod bronze;
pub mod operations;
pub mod plugins;
pub mod run_details;
pub mod runs;

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous};
use sqlx::{FromRow, Sqlite, SqlitePool, Transaction};
use tamis_model::Result;
use tamis_model::error::Context;

/// How long a writer waits for another process before it gives up.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// The metadata database of one home. Clones share its connections.
#[derive(Clone, Debug)]
pub struct Catalog {
    pool: SqlitePool,
}

impl Catalog {
    /// Opens the database at `path`, makes it if there is none, and brings its tables up to date.
    pub async fn open(path: &Path) -> Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT);
        let pool = SqlitePoolOptions::new()
            .max_connections(4)
            .connect_with(options)
            .await
            .outage("open catalogue", path.display())?;
        sqlx::migrate!().run(&pool).await.invalid("migrate catalogue", path.display())?;
        Ok(Self { pool })
    }

    /// Waits until all work is done and closes the file.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// A transaction that takes the write lock at once: a deferred one that reads first cannot wait for
    /// another writer, SQLite refuses it.
    async fn write(&self, operation: &'static str, object: &str) -> Result<Transaction<'static, Sqlite>> {
        self.pool.begin_with("BEGIN IMMEDIATE").await.outage(operation, object)
    }

    /// The rows that `query` finds for a run, its one parameter.
    async fn rows_of_run<T>(&self, operation: &'static str, query: &'static str, run_id: &str) -> Result<Vec<T>>
    where
        T: for<'r> FromRow<'r, SqliteRow> + Send + Unpin,
    {
        sqlx::query_as(query).bind(run_id).fetch_all(&self.pool).await.outage(operation, run_id)
    }
}
