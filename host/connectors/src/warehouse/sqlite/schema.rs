//! The tables that the warehouse has of its own, and how an older file gets them.

use sqlx::{Connection, Executor, SqliteConnection, SqlitePool};
use tamis_model::{Error, Result};

use crate::sql::Outage;

/// What was done to the file since it was made, in order; its `user_version` counts the steps it has behind it.
const STEPS: [&str; 2] =
    [include_str!("../../../migrations/0001_tables.sql"), include_str!("../../../migrations/0002_alert_lists.sql")];

/// Takes the steps that a file has not behind it, all or none. `object` names the file.
pub(super) async fn bring_up_to_date(pool: &SqlitePool, object: &str) -> Result<()> {
    let mut connection = pool.acquire().await.outage("prepare", object)?;
    // Looking takes no lock: whoever opens the file does not wait for a load unless there is something to do.
    if steps_to_take(&mut connection, object).await?.is_empty() {
        return Ok(());
    }
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.outage("prepare", object)?;
    // Another process may have been faster.
    for step in steps_to_take(&mut transaction, object).await? {
        transaction.execute(*step).await.outage("prepare", object)?;
    }
    let count = format!("PRAGMA user_version = {}", STEPS.len());
    sqlx::query(&count).execute(&mut *transaction).await.outage("prepare", object)?;
    transaction.commit().await.outage("prepare", object)
}

async fn steps_to_take(connection: &mut SqliteConnection, object: &str) -> Result<&'static [&'static str]> {
    let taken = sqlx::query_scalar("PRAGMA user_version").fetch_one(connection).await;
    let taken: u32 = taken.outage("prepare", object)?;
    let reason = format!("a newer Tamis made it: it is at step {taken}, this one knows {}", STEPS.len());
    STEPS.get(taken as usize..).ok_or_else(|| Error::invalid("open", object, reason))
}
