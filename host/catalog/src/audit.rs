//! Table `audit`: who did what, to what, when and why, and what was refused. The database only lets it grow.

use serde_json::Value;
use sqlx::{FromRow, QueryBuilder, SqliteConnection};
use tamis_model::Result;
use tamis_model::time::rfc3339_millis;

use crate::change::{Action, Change};
use crate::named::named;
use crate::page::{Page, PageQuery};
use crate::{Catalog, Stored};

named! {
    /// What became of it.
    pub enum Outcome: "outcome" {
        /// It was done.
        Done = "done",
        /// It was refused, and nothing was changed.
        Refused = "refused",
    }
}

/// What is to be kept of something that somebody did, or tried to do.
#[derive(Clone, Copy, Debug)]
pub struct AuditEntry<'a> {
    /// What.
    pub action: Action,
    /// To what.
    pub object: &'a str,
    /// Who, why and when.
    pub change: Change<'a>,
    /// What became of it.
    pub outcome: Outcome,
    /// Why it was refused.
    pub reason: Option<&'a str>,
    /// What was there before, as far as it differs.
    pub before: Option<&'a Value>,
    /// What is there now, as far as it differs.
    pub after: Option<&'a Value>,
}

impl<'a> AuditEntry<'a> {
    /// That something was done, with what was there before and is now, as far as it differs.
    pub(crate) fn done(
        action: Action,
        object: &'a str,
        change: Change<'a>,
        before: &'a Value,
        after: &'a Value,
    ) -> Self {
        let (before, after) = (Some(before), Some(after));
        Self { action, object, change, outcome: Outcome::Done, reason: None, before, after }
    }

    /// That something was refused, and why.
    pub fn refused(action: Action, object: &'a str, change: Change<'a>, reason: &'a str) -> Self {
        let (before, after) = (None, None);
        Self { action, object, change, outcome: Outcome::Refused, reason: Some(reason), before, after }
    }
}

/// A row of the log.
#[derive(Clone, Debug, PartialEq, FromRow, serde::Serialize, utoipa::ToSchema)]
pub struct AuditRecord {
    /// Counts up.
    pub id: i64,
    /// RFC 3339.
    pub at: String,
    /// Who.
    pub subject: String,
    /// With which token, if with one.
    pub token_id: Option<String>,
    /// What.
    pub action: Action,
    /// To what.
    pub object: String,
    /// Why, in their words.
    pub why: Option<String>,
    /// What was there before, as far as it differs.
    #[sqlx(json(nullable))]
    pub before: Option<Value>,
    /// What is there now, as far as it differs.
    #[sqlx(json(nullable))]
    pub after: Option<Value>,
    /// What became of it.
    pub outcome: Outcome,
    /// Why it was refused.
    pub reason: Option<String>,
}

/// Which rows of the log are wanted; what is absent excludes nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct AuditFilter<'a> {
    /// By whom.
    pub subject: Option<&'a str>,
    /// How the action begins: `rule.activate`, `rule.`, `rule`.
    pub action_prefix: Option<&'a str>,
    /// To what, exactly.
    pub object: Option<&'a str>,
}

impl Catalog {
    /// Keeps what is no change of the catalogue itself: a request that was refused before it came here, a run that was
    /// asked for. Everything else comes into the log by itself.
    pub async fn append_audit(&self, entry: &AuditEntry<'_>) -> Result<()> {
        let mut transaction = self.write("audit", entry.object).await?;
        append(&mut transaction, entry).await?;
        transaction.commit().await.stored("audit", entry.object)
    }

    /// The log, newest first.
    pub async fn audit(&self, filter: &AuditFilter<'_>, page: &PageQuery<'_>) -> Result<Page<AuditRecord>> {
        // Only what is asked for stands in the query: so the index on it is used.
        let mut query = QueryBuilder::new("SELECT * FROM audit WHERE id < ");
        query.push_bind(page.before()?);
        if let Some(subject) = filter.subject {
            query.push(" AND subject = ").push_bind(subject);
        }
        if let Some(prefix) = filter.action_prefix {
            query.push(" AND substr(action, 1, length(").push_bind(prefix).push(")) = ").push_bind(prefix);
        }
        if let Some(object) = filter.object {
            query.push(" AND object = ").push_bind(object);
        }
        let query = query.push(" ORDER BY id DESC LIMIT ?").build_query_as();
        page.fetch(&self.readers, query, |record: &AuditRecord| record.id.to_string()).await.stored("list", "audit log")
    }
}

/// Appends to the log in the transaction of what it is about.
pub(crate) async fn append(connection: &mut SqliteConnection, entry: &AuditEntry<'_>) -> Result<()> {
    let text = |value: Option<&Value>| value.filter(|value| !value.is_null()).map(Value::to_string);
    sqlx::query(
        "INSERT INTO audit (at, subject, token_id, action, object, why, before, after, outcome, reason) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(rfc3339_millis(entry.change.at))
    .bind(&entry.change.actor.subject)
    .bind(&entry.change.actor.token_id)
    .bind(entry.action)
    .bind(entry.object)
    .bind(entry.change.why)
    .bind(text(entry.before))
    .bind(text(entry.after))
    .bind(entry.outcome)
    .bind(entry.reason)
    .execute(connection)
    .await
    .map(drop)
    .stored("audit", entry.object)
}
