//! The warehouse in one SQLite file.

mod alert_list;
mod schema;
mod statements;

use std::path::Path;
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use futures::future::BoxFuture;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection, Row, SqlitePool};
use tamis_model::alert::Alert;
use tamis_model::time::{Millis, rfc3339_millis};
use tamis_model::{Error, Kind, Result};

pub use self::alert_list::{AlertCursor, AlertFilter, StoredAlert};
use self::statements::insert_rows;
use super::{Cell, QualityResult, Warehouse, WarehouseTable, cell};
use crate::rows::{Rows, conform};
use crate::sql::{Outage, quoted};

/// How long the log may grow until its pages go into the file: 32 MiB.
const WAL_PAGES_MAX: &str = "8192";
/// What a connection keeps of the file in memory, in KiB, which SQLite wants to have a minus.
const CACHE_KIB: &str = "-16384";
/// How long a writer waits for another one.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// What SQLite answers when another one has the file.
const BUSY: &str = "5";
/// Between two tries to change the file's mode, for which SQLite waits for nobody.
const BUSY_PAUSE: Duration = Duration::from_millis(20);

/// A warehouse in a SQLite file (write-ahead log: readers never wait, and see the tables as they were when they began).
///
/// Beside the published tables it has `alerts`, `quality_results`, and `tamis_tables`, which says which run published
/// or loaded each table. Loaded tables are `<name>__next`.
#[derive(Clone, Debug)]
pub struct SqliteWarehouse {
    pool: SqlitePool,
    object: String,
}

impl SqliteWarehouse {
    /// Opens the file, or makes it, and brings its own tables up to date.
    pub async fn open(path: &Path) -> Result<Self> {
        let object = path.display().to_string();
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // With NORMAL a power cut could take back what a checkpoint says is there.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_TIMEOUT)
            // Ids of alerts lie all over their index: the more of it is written together, the fewer pages are written again and again.
            .pragma("wal_autocheckpoint", WAL_PAGES_MAX)
            .pragma("cache_size", CACHE_KIB)
            // A rename must not look into views: an analyst's view of a table that is being replaced is fine again
            // as soon as the new table has the name.
            .pragma("legacy_alter_table", "ON");
        let pool = connect(options).await.outage("open", &object)?;
        schema::bring_up_to_date(&pool, &object).await?;
        Ok(Self { pool, object })
    }

    /// Waits until no connection is used and closes them all.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// A table, as errors name it.
    fn table(&self, name: &str) -> String {
        format!("{} table {name}", self.object)
    }

    /// What else is in the file, as errors name it.
    fn of(&self, name: &str) -> String {
        format!("{name} in {}", self.object)
    }

    async fn load_rows(&self, run_id: &str, table: &WarehouseTable, mut batches: Rows) -> Result<u64> {
        let object = self.table(&table.name);
        let create = statements::create_loaded(run_id, table)?;
        let mut connection = self.pool.acquire().await.outage("load", &object)?;
        write(&mut connection, async |connection| {
            forget_loaded(connection, &table.name).await?;
            execute_all(connection, &create.table).await
        })
        .await
        .outage("load", &object)?;
        let mut count = 0;
        while let Some(batch) = batches.try_next().await? {
            let rows = cell::rows_of(&conform(&batch, &table.schema, &table.name)?, &table.name)?;
            count += rows.len() as u64;
            let name = loaded_name(&table.name);
            write(&mut connection, async |connection| insert_rows(connection, &name, rows).await)
                .await
                .outage("load", &object)?;
        }
        write(&mut connection, async |connection| {
            execute_all(connection, &create.indexes).await?;
            let insert = "INSERT INTO tamis_tables (name, state, run_id, at) VALUES (?, 'loaded', ?, ?)";
            sqlx::query(insert).bind(&table.name).bind(run_id).bind(now()).execute(connection).await.map(drop)
        })
        .await
        .outage("load", &object)?;
        Ok(count)
    }

    async fn publish_tables(&self, run_id: &str, tables: &[String]) -> Result<()> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await.outage("publish to", &self.object)?;
        for name in tables {
            let object = self.table(name);
            if state_by(&mut transaction, name, "loaded").await.outage("publish", &object)?.as_deref() == Some(run_id) {
                switch(&mut transaction, name).await.outage("publish", &object)?;
                continue;
            }
            let published = state_by(&mut transaction, name, "published").await.outage("publish", &object)?;
            if published.as_deref() != Some(run_id) {
                let reason = "the run has not loaded it to its end";
                return Err(Error::new(Kind::Missing, "publish", object).because(reason));
            }
        }
        transaction.commit().await.outage("publish to", &self.object)
    }

    async fn discard_loaded(&self) -> sqlx::Result<()> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE '%\\_\\_next' ESCAPE '\\'";
        let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&mut *transaction).await?;
        for table in tables {
            sqlx::query(&format!("DROP TABLE {}", quoted(&table))).execute(&mut *transaction).await?;
        }
        sqlx::query("DELETE FROM tamis_tables WHERE state = 'loaded'").execute(&mut *transaction).await?;
        transaction.commit().await
    }

    async fn insert_alert_rows(&self, pipeline: &str, alerts: &[Alert]) -> sqlx::Result<u64> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let inserted = statements::insert_alerts(&mut transaction, pipeline, alerts).await?;
        transaction.commit().await?;
        Ok(inserted)
    }

    async fn replace_results(&self, run_id: &str, results: &[QualityResult]) -> sqlx::Result<()> {
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let delete = "DELETE FROM quality_results WHERE run_id = ?";
        sqlx::query(delete).bind(run_id).execute(&mut *transaction).await?;
        for result in results {
            let insert = sqlx::query(statements::INSERT_QUALITY_RESULT).bind(run_id).bind(&result.checked_at);
            let insert = insert.bind(&result.dataset).bind(&result.check_name).bind(&result.category);
            let insert = insert.bind(&result.column_name).bind(result.passed).bind(&result.observed);
            insert.bind(&result.expected).bind(result.blocking).execute(&mut *transaction).await?;
        }
        transaction.commit().await
    }
}

/// Connects. Where several processes open a file of which the first makes a log, SQLite sends the others away without having them wait.
async fn connect(options: SqliteConnectOptions) -> sqlx::Result<SqlitePool> {
    let deadline = Instant::now() + BUSY_TIMEOUT;
    loop {
        let connected = SqlitePoolOptions::new().max_connections(4).connect_with(options.clone()).await;
        match &connected {
            Err(sqlx::Error::Database(said)) if said.code().as_deref() == Some(BUSY) && Instant::now() < deadline => {
                tokio::time::sleep(BUSY_PAUSE).await;
            }
            _ => return connected,
        }
    }
}

/// Runs `work` in a transaction that takes the write lock at its beginning, where waiting for it is possible.
async fn write<T>(
    connection: &mut SqliteConnection,
    work: impl AsyncFnOnce(&mut SqliteConnection) -> sqlx::Result<T>,
) -> sqlx::Result<T> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let done = work(&mut transaction).await?;
    transaction.commit().await?;
    Ok(done)
}

fn loaded_name(table: &str) -> String {
    format!("{table}__next")
}

fn now() -> String {
    rfc3339_millis(chrono::Utc::now().timestamp_millis() as Millis)
}

async fn execute_all(connection: &mut SqliteConnection, statements: &[String]) -> sqlx::Result<()> {
    for statement in statements {
        sqlx::query(statement).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Drops what was loaded of a table, to its end or not.
async fn forget_loaded(connection: &mut SqliteConnection, table: &str) -> sqlx::Result<()> {
    let drop_table = format!("DROP TABLE IF EXISTS {}", quoted(&loaded_name(table)));
    sqlx::query(&drop_table).execute(&mut *connection).await?;
    let delete = "DELETE FROM tamis_tables WHERE name = ? AND state = 'loaded'";
    sqlx::query(delete).bind(table).execute(connection).await.map(drop)
}

/// The run that brought a table into a state.
async fn state_by(connection: &mut SqliteConnection, table: &str, state: &str) -> sqlx::Result<Option<String>> {
    let select = "SELECT run_id FROM tamis_tables WHERE name = ? AND state = ?";
    sqlx::query_scalar(select).bind(table).bind(state).fetch_optional(connection).await
}

/// Puts the loaded table in the published one's place.
async fn switch(connection: &mut SqliteConnection, table: &str) -> sqlx::Result<()> {
    let drop_old = format!("DROP TABLE IF EXISTS {}", quoted(table));
    let rename = format!("ALTER TABLE {} RENAME TO {}", quoted(&loaded_name(table)), quoted(table));
    execute_all(connection, &[drop_old, rename]).await?;
    let forget = "DELETE FROM tamis_tables WHERE name = ? AND state = 'published'";
    sqlx::query(forget).bind(table).execute(&mut *connection).await?;
    let update = "UPDATE tamis_tables SET state = 'published', at = ? WHERE name = ? AND state = 'loaded'";
    sqlx::query(update).bind(now()).bind(table).execute(connection).await.map(drop)
}

impl Warehouse for SqliteWarehouse {
    fn load<'a>(&'a self, run_id: &'a str, table: &'a WarehouseTable, rows: Rows) -> BoxFuture<'a, Result<u64>> {
        Box::pin(self.load_rows(run_id, table, rows))
    }

    fn publish<'a>(&'a self, run_id: &'a str, tables: &'a [String]) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.publish_tables(run_id, tables))
    }

    fn discard(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move { self.discard_loaded().await.outage("discard loaded tables of", &self.object) })
    }

    fn insert_alerts<'a>(&'a self, pipeline: &'a str, alerts: &'a [Alert]) -> BoxFuture<'a, Result<u64>> {
        Box::pin(
            async move { self.insert_alert_rows(pipeline, alerts).await.outage("insert alerts into", &self.object) },
        )
    }

    fn alerts_mark<'a>(&'a self, pipeline: &'a str) -> BoxFuture<'a, Result<i64>> {
        Box::pin(async move {
            let select = "SELECT COALESCE(MAX(sequence), 0) FROM alerts WHERE pipeline = ?";
            let row = sqlx::query(select).bind(pipeline).fetch_one(&self.pool).await;
            row.and_then(|row| row.try_get(0)).outage("read the last alert of", self.of(pipeline))
        })
    }

    fn cut_alerts<'a>(&'a self, pipeline: &'a str, mark: i64) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let delete = "DELETE FROM alerts WHERE pipeline = ? AND sequence > ?";
            let deleted = sqlx::query(delete).bind(pipeline).bind(mark).execute(&self.pool).await;
            deleted.map(drop).outage("cut back the alerts of", self.of(pipeline))
        })
    }

    fn replace_quality_results<'a>(
        &'a self,
        run_id: &'a str,
        results: &'a [QualityResult],
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            self.replace_results(run_id, results).await.outage("keep the quality results of", self.of(run_id))
        })
    }
}
