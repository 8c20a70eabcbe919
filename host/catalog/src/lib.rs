//! What is known and what people decided, in SQLite: files taken in, runs with their accounting, operational alerts;
//! plugins, rules, lists, tokens, backtests, and the log of who changed what.
//!
//! One module a subject, each an `impl Catalog` with the types of its rows. Times are RFC 3339 text with
//! milliseconds and `Z`, which sorts as it reads. What people decide is changed in one way only, see [`change`].

pub mod audit;
pub mod backtests;
pub mod bronze;
pub mod budgets;
pub mod change;
pub mod conflict;
pub mod dead_letter_redrives;
mod diff;
pub mod events;
pub mod expected;
pub mod lists;
mod named;
mod names;
pub mod operations;
pub mod page;
pub mod plugins;
pub mod roles;
pub mod rule_history;
pub mod rule_sets;
pub mod rule_versions;
pub mod rules;
pub mod run_details;
pub mod runs;
pub mod tokens;

pub use change::{Action, Actor, Change};
pub use conflict::Conflict;
pub use expected::{Checked, Expected, Moved};
pub use page::{Page, PageQuery};

use std::fmt::Display;
use std::path::Path;
use std::time::Duration;

use sqlx::error::ErrorKind;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous};
use sqlx::{FromRow, Sqlite, SqlitePool, Transaction};
use tamis_model::error::Context;
use tamis_model::{Error, Kind, Result};

/// The name of the database in a home.
pub const FILE: &str = "tamis.db";
/// What SQLite answers when there is not even room for what readers and writers share.
const IOERR_SHMSIZE: &str = "4874";
/// How long a writer waits for another process before it gives up.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections that read at the same time.
const READERS_MAX: u32 = 4;

/// The metadata database of one home. Clones share its connections.
#[derive(Clone, Debug)]
pub struct Catalog {
    /// For what only reads; they cannot write.
    readers: SqlitePool,
    /// One connection, which writers get in the order in which they ask: SQLite has them poll, and the unlucky wait for
    /// long.
    writer: SqlitePool,
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
        let connect = async |connections_max, options| {
            let pool = SqlitePoolOptions::new().max_connections(connections_max).connect_with(options).await;
            pool.map_err(words).outage("open catalogue", path.display())
        };
        let writer = connect(1, options.clone()).await?;
        sqlx::migrate!().run(&writer).await.invalid("migrate catalogue", path.display())?;
        let readers = connect(READERS_MAX, options.read_only(true)).await?;
        Ok(Self { readers, writer })
    }

    /// Waits until all work is done and closes the file.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    /// A transaction that takes the write lock at once: a deferred one that reads first cannot wait for
    /// another writer, SQLite refuses it.
    async fn write(&self, operation: &'static str, object: &str) -> Result<Transaction<'static, Sqlite>> {
        self.writer.begin_with("BEGIN IMMEDIATE").await.stored(operation, object)
    }

    /// The rows that `query` finds for a run, its one parameter.
    async fn rows_of_run<T>(&self, operation: &'static str, query: &'static str, run_id: &str) -> Result<Vec<T>>
    where
        T: for<'r> FromRow<'r, SqliteRow> + Send + Unpin,
    {
        sqlx::query_as(query).bind(run_id).fetch_all(&self.readers).await.stored(operation, run_id)
    }
}

/// What a database says is wrong, once: sqlx has its words twice.
fn words(error: sqlx::Error) -> String {
    match error.as_database_error() {
        Some(said) if said.code().is_some_and(|code| code == IOERR_SHMSIZE) => {
            format!("{said}: there may be no room on the disk")
        }
        Some(said) => said.to_string(),
        None => error.to_string(),
    }
}

/// Adds the operation, the object and the file to an error of the database, and tells an outage from what is not as this
/// program wrote it.
pub(crate) trait Stored<T> {
    /// A statement on `object` failed.
    fn stored(self, operation: &'static str, object: impl Display) -> Result<T>;
}

impl<T> Stored<T> for Result<T, sqlx::Error> {
    fn stored(self, operation: &'static str, object: impl Display) -> Result<T> {
        self.map_err(|error| {
            let is_corrupt = match &error {
                sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. } => true,
                sqlx::Error::Database(error) => error.kind() != ErrorKind::Other,
                _ => false,
            };
            let kind = if is_corrupt { Kind::Corrupt } else { Kind::Outage };
            Error::new(kind, operation, object).because(format!("{FILE}: {}", words(error)))
        })
    }
}
