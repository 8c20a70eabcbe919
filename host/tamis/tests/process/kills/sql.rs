//! A SQLite file, looked into from outside while it is in use.

use std::path::Path;
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use tokio::runtime::{Builder, Runtime};

/// A connection, and the thread that waits for it.
pub struct Database {
    runtime: Runtime,
    connection: SqliteConnection,
}

impl Database {
    pub fn open(path: &Path) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let options = SqliteConnectOptions::new().filename(path).busy_timeout(Duration::from_secs(30));
        let connection = runtime.block_on(options.connect()).unwrap();
        Self { runtime, connection }
    }

    /// The rows of a query with one column of text.
    pub fn texts(&mut self, query: &str) -> Vec<String> {
        self.runtime.block_on(sqlx::query_scalar(query).fetch_all(&mut self.connection)).unwrap()
    }

    /// Every row of a table, as text, in order.
    pub fn rows(&mut self, table: &str) -> Vec<String> {
        let columns = self.texts(&format!("SELECT '\"' || name || '\"' FROM pragma_table_info('{table}')"));
        let mut rows = self.texts(&format!("SELECT json_array({}) FROM \"{table}\"", columns.join(", ")));
        rows.sort();
        rows
    }
}
