//! Table `list_revisions`: values that people keep up to date and rules look up, in revisions.

use std::collections::HashSet;

use serde_json::{Value, json};
use sqlx::types::Json;
use sqlx::{FromRow, SqliteExecutor};
use tamis_model::{Error, Result};

use crate::change::{Action, Change, Write, Written};
use crate::expected::Expected;
use crate::page::{Page, PageQuery};
use crate::{Catalog, Stored, names, rule_sets};

/// Bytes of all values of a list at most: each change of it is kept, and told to all who look on.
pub const LIST_BYTES_MAX: usize = 1 << 20;

/// A list as it is, or was.
#[derive(Clone, Debug, PartialEq, Eq, FromRow, serde::Serialize, utoipa::ToSchema)]
pub struct List {
    /// Its name.
    pub name: String,
    /// Counts up from 1 with each change.
    pub revision: u64,
    /// Its values, none twice.
    #[sqlx(json, rename = "items")]
    pub values: Vec<String>,
}

/// A revision of a list without its values.
#[derive(Clone, Debug, PartialEq, Eq, FromRow, serde::Serialize, utoipa::ToSchema)]
pub struct ListSummary {
    /// The list.
    pub name: String,
    /// Its number, from 1.
    pub revision: u64,
    /// How many values it has.
    pub values_count: u64,
    /// Who made it.
    pub subject: String,
    /// RFC 3339.
    pub at: String,
    /// Why, in their words.
    pub why: Option<String>,
}

/// A revision of a list and what it changed.
#[derive(Clone, Debug, PartialEq, Eq, FromRow, serde::Serialize, utoipa::ToSchema)]
pub struct ListRevision {
    /// Who made it, when and why.
    #[serde(flatten)]
    #[sqlx(flatten)]
    pub summary: ListSummary,
    /// Values that the revision before does not have.
    #[sqlx(json)]
    pub added: Vec<String>,
    /// Values that only the revision before has.
    #[sqlx(json)]
    pub removed: Vec<String>,
}

/// The current revision of each list, found from name to name: revisions are kept for ever, and nobody walks them all.
const CURRENT: &str = "WITH RECURSIVE names (name) AS (SELECT min(name) FROM list_revisions UNION ALL \
    SELECT (SELECT min(name) FROM list_revisions WHERE name > names.name) FROM names WHERE names.name IS NOT NULL), \
    list AS (SELECT list_revisions.* FROM names CROSS JOIN list_revisions ON list_revisions.name = names.name \
    AND revision = (SELECT max(revision) FROM list_revisions WHERE name = names.name))";

impl Catalog {
    /// Gives a list other values, if things stand as expected; revision 0 = it is not there yet.
    pub async fn put_list(
        &self,
        name: &str,
        values: &[String],
        expected: impl Into<Expected>,
        change: &Change<'_>,
    ) -> Result<List> {
        let expected = expected.into();
        names::check_list_name(name)?;
        check_values(name, values)?;
        let mut write = self.change(Action::ListPut, name, change).await?;
        let result = put(&mut write, values, &expected).await;
        write.finish(result).await
    }

    /// The list of this name; one that is not there is made with these values, by whoever puts the plugin to work that declares it.
    /// Nothing runs by it yet, so the rule set stays at its revision.
    pub async fn ensure_list(&self, name: &str, values: &[String], change: &Change<'_>) -> Result<List> {
        if let Some(list) = self.list(name).await? {
            return Ok(list);
        }
        names::check_list_name(name)?;
        check_values(name, values)?;
        let change = Change { why: Some("declared by a plugin, with its default"), ..*change };
        let mut write = self.change(Action::ListPut, name, &change).await?;
        // Somebody may have been faster.
        if let Some(list) = find(&mut *write.transaction, name).await? {
            return Ok(list);
        }
        let none = List { name: name.to_owned(), revision: 0, values: Vec::new() };
        let result = insert(&mut write, none, values).await;
        write.finish(result).await
    }

    /// A list as it is.
    pub async fn list(&self, name: &str) -> Result<Option<List>> {
        find(&self.readers, name).await
    }

    /// All lists, by name.
    pub async fn lists(&self, page: &PageQuery<'_>) -> Result<Page<ListSummary>> {
        let query = format!(
            "{CURRENT} SELECT *, json_array_length(items) AS values_count FROM list WHERE name > ?1 ORDER BY name LIMIT ?2"
        );
        let query = sqlx::query_as(&query).bind(page.after());
        page.fetch(&self.readers, query, |list: &ListSummary| list.name.clone()).await.stored("list", "lists")
    }

    /// The revisions of a list, newest first.
    pub async fn list_history(&self, name: &str, page: &PageQuery<'_>) -> Result<Page<ListRevision>> {
        let query = "SELECT *, json_array_length(items) AS values_count FROM list_revisions \
             WHERE name = ?1 AND revision < ?2 ORDER BY revision DESC LIMIT ?3";
        let query = sqlx::query_as(query).bind(name).bind(page.before()?);
        page.fetch(&self.readers, query, |revision: &ListRevision| revision.summary.revision.to_string())
            .await
            .stored("list history of list", name)
    }
}

/// All lists as the connection sees them, by name.
pub(crate) async fn current_lists(executor: impl SqliteExecutor<'_>) -> sqlx::Result<Vec<List>> {
    let query = format!("{CURRENT} SELECT * FROM list ORDER BY name");
    sqlx::query_as(&query).fetch_all(executor).await
}

/// A list as it is, as the connection sees it.
async fn find(executor: impl SqliteExecutor<'_>, name: &str) -> Result<Option<List>> {
    sqlx::query_as("SELECT * FROM list_revisions WHERE name = ? ORDER BY revision DESC LIMIT 1")
        .bind(name)
        .fetch_optional(executor)
        .await
        .stored("find list", name)
}

/// The revision of a list, as the connection sees it; 0 = it is not there.
pub(crate) async fn revision(executor: impl SqliteExecutor<'_>, name: &str) -> sqlx::Result<u64> {
    let query = sqlx::query_scalar("SELECT coalesce(max(revision), 0) FROM list_revisions WHERE name = ?");
    query.bind(name).fetch_one(executor).await
}

async fn put(write: &mut Write<'_>, values: &[String], expected: &Expected) -> Result<Written<List>> {
    let found = find(&mut *write.transaction, write.object).await?;
    let old = found.unwrap_or(List { name: write.object.to_owned(), revision: 0, values: Vec::new() });
    write.expect_revision(expected.revision, old.revision)?;
    write.expect_checked(&expected.checked, None).await?;
    let written = insert(write, old, values).await?;
    rule_sets::bump(write).await?;
    Ok(written)
}

/// Writes the revision behind `old`.
async fn insert(write: &mut Write<'_>, old: List, values: &[String]) -> Result<Written<List>> {
    let list = List { name: old.name, revision: old.revision + 1, values: values.to_vec() };
    let (added, removed) = (without(&list.values, &old.values), without(&old.values, &list.values));
    let query = sqlx::query(
        "INSERT INTO list_revisions (name, revision, items, added, removed, subject, at, why) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    );
    let query = query
        .bind(&list.name)
        .bind(list.revision.cast_signed())
        .bind(Json(&list.values))
        .bind(Json(&added))
        .bind(Json(&removed))
        .bind(write.subject())
        .bind(write.at())
        .bind(write.change.why);
    write.execute(query).await?;
    let before = if old.revision == 0 { Value::Null } else { json!({"revision": old.revision, "removed": removed}) };
    let after = json!({"revision": list.revision, "added": added});
    Ok(Written { value: list, before, after })
}

fn without<'a>(values: &'a [String], others: &[String]) -> Vec<&'a String> {
    let others: HashSet<_> = others.iter().collect();
    values.iter().filter(|value| !others.contains(value)).collect()
}

fn check_values(name: &str, values: &[String]) -> Result<()> {
    let refuse = |reason: String| Err(Error::invalid(Action::ListPut.operation(), name, reason));
    let bytes: usize = values.iter().map(String::len).sum();
    if bytes > LIST_BYTES_MAX {
        return refuse(format!("its values have {bytes} bytes, {LIST_BYTES_MAX} is the most"));
    }
    let mut seen = HashSet::new();
    match values.iter().find(|value| !seen.insert(*value)) {
        Some(value) => refuse(format!("the value {value:?} is there twice")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nobody_walks_all_revisions() {
        let folder = tempfile::tempdir().unwrap();
        let catalog = Catalog::open(&folder.path().join("tamis.db")).await.unwrap();
        let query = format!("EXPLAIN QUERY PLAN {CURRENT} SELECT * FROM list ORDER BY name");
        let plan: Vec<(i64, i64, i64, String)> = sqlx::query_as(&query).fetch_all(&catalog.readers).await.unwrap();
        assert!(!plan.is_empty());
        for (_, _, _, step) in plan {
            // The only scans are of the names.
            assert!(!step.starts_with("SCAN list"), "{step}");
        }
    }
}
