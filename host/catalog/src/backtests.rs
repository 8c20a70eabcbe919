//! Table `backtests`: replays of what was, by a version that is not live, and what they reported.

use serde_json::{Value, json};
use sqlx::{FromRow, SqliteExecutor};
use tamis_model::Result;
use tamis_model::time::{Millis, rfc3339_millis};

use crate::change::{Action, Actor, Change, Write, Written};
use crate::conflict::Conflict;
use crate::diff::diff;
use crate::named::named;
use crate::page::{Page, PageQuery};
use crate::{Catalog, Stored};

named! {
    /// How a backtest stands.
    pub enum BacktestState: "state of a backtest" {
        /// It waits for its turn.
        Queued = "queued",
        /// It is at work, or its process died and nobody has noticed yet.
        Running = "running",
        /// It reported.
        Succeeded = "succeeded",
        /// It stopped on an error.
        Failed = "failed",
        /// Somebody did not want it any more.
        Cancelled = "cancelled",
    }
}

/// A backtest.
#[derive(Clone, Debug, PartialEq, FromRow, serde::Serialize, utoipa::ToSchema)]
pub struct Backtest {
    /// UUID version 7: sorts by when it was asked for.
    pub id: String,
    /// How it stands.
    pub state: BacktestState,
    /// What was asked for.
    #[sqlx(json)]
    pub request: Value,
    /// Who asked for it.
    pub author: String,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339; none while it waits.
    pub started_at: Option<String>,
    /// RFC 3339; none until it is over.
    pub finished_at: Option<String>,
    /// Rows that it has replayed.
    pub rows_done: u64,
    /// Rows that there are; none as long as nobody has counted them.
    pub rows_total: Option<u64>,
    /// Whether it is to stop.
    pub cancel_requested: bool,
    /// What it found.
    #[sqlx(json(nullable))]
    pub report: Option<Value>,
    /// The whole chain of causes of its failure.
    pub error: Option<String>,
}

/// How a backtest ended.
#[derive(Clone, Debug, PartialEq)]
pub enum BacktestEnd {
    /// With this report.
    Succeeded(Value),
    /// With this chain of causes.
    Failed(String),
    /// Because it was asked to.
    Cancelled,
}

impl Catalog {
    /// Queues a backtest; the caller makes its id.
    pub async fn create_backtest(&self, id: &str, request: &Value, change: &Change<'_>) -> Result<Backtest> {
        let mut write = self.change(Action::BacktestCreate, id, change).await?;
        let result = create(&mut write, request).await;
        write.finish(result).await
    }

    /// Asks a backtest to stop: one that waits is over at once, one at work when it next reports progress.
    pub async fn cancel_backtest(&self, id: &str, change: &Change<'_>) -> Result<Backtest> {
        let mut write = self.change(Action::BacktestCancel, id, change).await?;
        let result = cancel(&mut write).await;
        write.finish(result).await
    }

    /// Takes the backtest `id`, or the one that waits longest, to work; none when there is none that waits.
    pub async fn claim_backtest(&self, id: Option<&str>, now: Millis) -> Result<Option<Backtest>> {
        sqlx::query_as(
            "UPDATE backtests SET state = 'running', started_at = ?1 WHERE id = (SELECT id FROM backtests \
             WHERE state = 'queued' AND (?2 IS NULL OR id = ?2) ORDER BY id LIMIT 1) RETURNING *",
        )
        .bind(rfc3339_millis(now))
        .bind(id)
        .fetch_optional(&self.writer)
        .await
        .stored("claim", "backtest")
    }

    /// Records how far a backtest has come, and says whether it is to go on.
    pub async fn record_progress(&self, id: &str, rows_done: u64, rows_total: Option<u64>) -> Result<bool> {
        let cancelled: Option<bool> = sqlx::query_scalar(
            "UPDATE backtests SET rows_done = ?, rows_total = ? WHERE id = ? AND state = 'running' \
             RETURNING cancel_requested",
        )
        .bind(rows_done.cast_signed())
        .bind(rows_total.map(u64::cast_signed))
        .bind(id)
        .fetch_optional(&self.writer)
        .await
        .stored("record progress of backtest", id)?;
        Ok(cancelled == Some(false))
    }

    /// Closes a backtest that is at work.
    pub async fn finish_backtest(&self, id: &str, end: &BacktestEnd, now: Millis) -> Result<Backtest> {
        let system = Actor::system();
        let change = Change { actor: &system, why: None, at: now };
        let mut write = self.change(Action::BacktestFinish, id, &change).await?;
        let result = finish(&mut write, end).await;
        write.finish(result).await
    }

    /// Closes the backtests whose process died over them. The caller holds the lock of the home: nothing can be at work
    /// on them.
    pub async fn close_dead_backtests(&self, now: Millis) -> Result<()> {
        let dead: Vec<String> = sqlx::query_scalar("SELECT id FROM backtests WHERE state = 'running' ORDER BY id")
            .fetch_all(&self.readers)
            .await
            .stored("find", "dead backtests")?;
        for id in dead {
            let end = BacktestEnd::Failed("its process ended before it did".to_owned());
            self.finish_backtest(&id, &end, now).await?;
        }
        Ok(())
    }

    /// The backtest of this id.
    pub async fn backtest(&self, id: &str) -> Result<Option<Backtest>> {
        find(&self.readers, id).await
    }

    /// All backtests, newest first.
    pub async fn backtests(&self, page: &PageQuery<'_>) -> Result<Page<Backtest>> {
        let query = sqlx::query_as("SELECT * FROM backtests WHERE ?1 IS NULL OR id < ?1 ORDER BY id DESC LIMIT ?2")
            .bind(page.cursor);
        page.fetch(&self.readers, query, |backtest: &Backtest| backtest.id.clone()).await.stored("list", "backtests")
    }
}

async fn create(write: &mut Write<'_>, request: &Value) -> Result<Written<Backtest>> {
    let query = sqlx::query(
        "INSERT INTO backtests (id, state, request, author, created_at) VALUES (?, 'queued', ?, ?, ?) \
         ON CONFLICT DO NOTHING",
    );
    let query = query.bind(write.object).bind(request).bind(write.subject()).bind(write.at());
    if write.execute(query).await? == 0 {
        return Err(write.refuse(Conflict::Exists));
    }
    let backtest = load(write).await?;
    let after = json!({"state": backtest.state, "request": request});
    Ok(Written { value: backtest, before: Value::Null, after })
}

async fn cancel(write: &mut Write<'_>) -> Result<Written<Backtest>> {
    let old = load(write).await?;
    let query = match old.state {
        BacktestState::Queued => {
            sqlx::query("UPDATE backtests SET state = 'cancelled', cancel_requested = 1, finished_at = ? WHERE id = ?")
                .bind(write.at())
        }
        BacktestState::Running => sqlx::query("UPDATE backtests SET cancel_requested = 1 WHERE id = ?"),
        over => return Err(write.refuse(Conflict::State(format!("it is over: {over}")))),
    };
    write.execute(query.bind(write.object)).await?;
    changed(write, old).await
}

async fn finish(write: &mut Write<'_>, end: &BacktestEnd) -> Result<Written<Backtest>> {
    let old = load(write).await?;
    if old.state != BacktestState::Running {
        return Err(write.refuse(Conflict::State(format!("it is {}, not running", old.state))));
    }
    let (state, report, error) = match end {
        BacktestEnd::Succeeded(report) => (BacktestState::Succeeded, Some(report), None),
        BacktestEnd::Failed(error) => (BacktestState::Failed, None, Some(error)),
        BacktestEnd::Cancelled => (BacktestState::Cancelled, None, None),
    };
    let query = sqlx::query("UPDATE backtests SET state = ?, finished_at = ?, report = ?, error = ? WHERE id = ?");
    write.execute(query.bind(state).bind(write.at()).bind(report).bind(error).bind(write.object)).await?;
    changed(write, old).await
}

async fn changed(write: &mut Write<'_>, old: Backtest) -> Result<Written<Backtest>> {
    let backtest = load(write).await?;
    let (before, after) = diff(&shown(&old), &shown(&backtest));
    Ok(Written { value: backtest, before, after })
}

/// What audit log and events show of it.
fn shown(backtest: &Backtest) -> Value {
    let Backtest { state, cancel_requested, error, .. } = backtest;
    json!({"state": state, "cancel_requested": cancel_requested, "error": error})
}

async fn load(write: &mut Write<'_>) -> Result<Backtest> {
    let found = find(&mut *write.transaction, write.object).await?;
    found.ok_or_else(|| write.missing("there is no backtest of this id"))
}

async fn find(executor: impl SqliteExecutor<'_>, id: &str) -> Result<Option<Backtest>> {
    sqlx::query_as("SELECT * FROM backtests WHERE id = ?")
        .bind(id)
        .fetch_optional(executor)
        .await
        .stored("find backtest", id)
}
