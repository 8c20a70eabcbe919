//! Table `events`: what happened lately, for those who look on live. It forgets; audit log and histories do not.

use serde_json::Value;
use sqlx::{FromRow, SqliteConnection};
use tamis_model::Result;
use tamis_model::time::{Millis, rfc3339_millis};

use crate::{Catalog, Stored, page};

/// Events that are kept.
pub const EVENTS_MAX: i64 = 10_000;
/// Bytes of events behind which no more are read at once: a change of a list has them all.
const READ_BYTES_MAX: usize = 1 << 20;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, FromRow, serde::Serialize, utoipa::ToSchema)]
pub struct Event {
    /// Counts up by one. Whoever gets an id that is more than one above the last they had has missed events.
    pub id: i64,
    /// RFC 3339.
    pub at: String,
    /// A stable name: that of an [`crate::Action`], or what the caller of [`Catalog::append_event`] chose.
    pub kind: String,
    /// What it happened to.
    pub object: String,
    /// The details. Of changes: `subject`, `why`, `before`, `after`.
    #[sqlx(json)]
    pub data: Value,
}

impl Catalog {
    /// Tells that something happened that is no change of the catalogue: a run ended, a stream halted.
    pub async fn append_event(&self, kind: &str, object: &str, data: &Value, now: Millis) -> Result<()> {
        let mut transaction = self.write("append event about", object).await?;
        append(&mut transaction, kind, object, data, now).await?;
        transaction.commit().await.stored("append event about", object)
    }

    /// What happened after the event `id`, oldest first, at most `count_max`; fewer when they are long.
    pub async fn events_after(&self, id: i64, count_max: u32) -> Result<Vec<Event>> {
        let query = sqlx::query_as("SELECT * FROM events WHERE id > ? ORDER BY id LIMIT ?").bind(id).bind(count_max);
        let rows = query.fetch(&self.readers);
        let read = page::bounded(rows, count_max as usize, READ_BYTES_MAX).await;
        read.map(|(events, _)| events).stored("list", "events")
    }

    /// The newest event's id, 0 when there is none: where somebody begins who wants only what comes.
    pub async fn last_event_id(&self) -> Result<i64> {
        sqlx::query_scalar("SELECT coalesce(max(id), 0) FROM events")
            .fetch_one(&self.readers)
            .await
            .stored("find", "last event")
    }
}

/// Appends in the transaction of what it is about, and forgets what has become too old.
pub(crate) async fn append(
    connection: &mut SqliteConnection,
    kind: &str,
    object: &str,
    data: &Value,
    now: Millis,
) -> Result<()> {
    let id = sqlx::query("INSERT INTO events (at, kind, object, data) VALUES (?, ?, ?, ?)")
        .bind(rfc3339_millis(now))
        .bind(kind)
        .bind(object)
        .bind(data)
        .execute(&mut *connection)
        .await
        .stored("append event about", object)?
        .last_insert_rowid();
    sqlx::query("DELETE FROM events WHERE id <= ?")
        .bind(id - EVENTS_MAX)
        .execute(connection)
        .await
        .map(drop)
        .stored("forget events before", id)
}
