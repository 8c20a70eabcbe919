//! Table `rule_history`: each revision of each rule, who made it, when, why, and what it changed.

use serde_json::Value;
use sqlx::FromRow;
use tamis_model::Result;

use crate::change::{Action, Write};
use crate::page::{Page, PageQuery};
use crate::{Catalog, Stored};

/// A revision of a rule.
#[derive(Clone, Debug, PartialEq, FromRow, serde::Serialize, utoipa::ToSchema)]
pub struct RuleRevision {
    /// Its number, from 1.
    pub revision: u64,
    /// RFC 3339.
    pub at: String,
    /// Who made it.
    pub subject: String,
    /// What they did.
    pub action: Action,
    /// The version that it is about, if it is about one.
    pub version: Option<u32>,
    /// Why, in their words.
    pub why: Option<String>,
    /// What was there before, as far as it differs: pointers, the state of the version, or the content of the version
    /// that a new one is based on.
    #[sqlx(json)]
    pub before: Value,
    /// What is there since, as far as it differs.
    #[sqlx(json)]
    pub after: Value,
}

impl Catalog {
    /// The revisions of a rule, newest first.
    pub async fn rule_history(&self, rule: &str, page: &PageQuery<'_>) -> Result<Page<RuleRevision>> {
        let query = "SELECT * FROM rule_history WHERE rule = ?1 AND revision < ?2 \
             ORDER BY revision DESC LIMIT ?3";
        let query = sqlx::query_as(query).bind(rule).bind(page.before()?);
        page.fetch(&self.readers, query, |revision: &RuleRevision| revision.revision.to_string())
            .await
            .stored("list history of rule", rule)
    }
}

/// Appends a revision in the transaction that makes it.
pub(crate) async fn append(
    write: &mut Write<'_>,
    revision: u64,
    version: Option<u32>,
    before: &Value,
    after: &Value,
) -> Result<()> {
    let query = sqlx::query(
        "INSERT INTO rule_history (rule, revision, at, subject, action, version, why, before, after) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    );
    let query = query
        .bind(write.object)
        .bind(revision.cast_signed())
        .bind(write.at())
        .bind(write.subject())
        .bind(write.action())
        .bind(version)
        .bind(write.change.why)
        .bind(before)
        .bind(after);
    write.execute(query).await.map(drop)
}
