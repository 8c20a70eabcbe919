//! Long lists come in pages: so many items or bytes, and a cursor behind which the next page begins.

use std::pin::pin;

use futures::{Stream, TryStreamExt};
use serde::Serialize;
use sqlx::query::QueryAs;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{FromRow, Sqlite, SqlitePool};
use tamis_model::error::Context;
use tamis_model::{Error, Result};

/// Items of a page at most.
pub const PAGE_ITEMS_MAX: u32 = 500;
/// Bytes of JSON behind which a page ends; one longer item is given all the same.
pub const PAGE_BYTES_MAX: usize = 8 << 20;

/// Which page of a list is wanted.
#[derive(Clone, Copy, Debug)]
pub struct PageQuery<'a> {
    /// The `next_cursor` of the page before; none = the first page.
    pub cursor: Option<&'a str>,
    /// Items at most; never more than [`PAGE_ITEMS_MAX`] are given.
    pub limit: u32,
}

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Page<T> {
    /// In the order of the list.
    pub items: Vec<T>,
    /// Where the next page begins; none when this one is the last.
    pub next_cursor: Option<String>,
}

impl PageQuery<'_> {
    fn items_max(&self) -> u32 {
        self.limit.clamp(1, PAGE_ITEMS_MAX)
    }

    /// Of a list with the highest number first: the number that the page is below.
    pub(crate) fn before(&self) -> Result<i64> {
        self.cursor.map_or(Ok(i64::MAX), |cursor| cursor.parse().invalid("read cursor", cursor))
    }

    /// Of a list in order of name: the name that the page is behind.
    pub(crate) fn after(&self) -> &str {
        self.cursor.unwrap_or_default()
    }

    /// The page that a query finds, whose last parameter is how many rows it may find; `key` is an item's cursor.
    pub(crate) async fn fetch<'q, T>(
        &self,
        pool: &SqlitePool,
        query: QueryAs<'q, Sqlite, T, SqliteArguments<'q>>,
        key: impl Fn(&T) -> String,
    ) -> Result<Page<T>, sqlx::Error>
    where
        T: for<'r> FromRow<'r, SqliteRow> + Serialize + Send + Unpin,
    {
        // One more than the page holds tells whether another page follows.
        let rows = query.bind(self.items_max() + 1).fetch(pool);
        let (items, more) = bounded(rows, self.items_max() as usize, PAGE_BYTES_MAX).await?;
        let next_cursor = if more { items.last().map(key) } else { None };
        Ok(Page { items, next_cursor })
    }
}

/// The first rows, so many or until they have so many bytes, at least one; and whether there are more.
pub(crate) async fn bounded<T: Serialize>(
    rows: impl Stream<Item = Result<T, sqlx::Error>>,
    items_max: usize,
    bytes_max: usize,
) -> Result<(Vec<T>, bool), sqlx::Error> {
    let mut rows = pin!(rows);
    let (mut items, mut bytes) = (Vec::new(), Length(0));
    while let Some(item) = rows.try_next().await? {
        if items.len() >= items_max || bytes.0 >= bytes_max {
            return Ok((items, true));
        }
        // A length is written without fail, and what cannot be written has none.
        let _ = serde_json::to_writer(&mut bytes, &item);
        items.push(item);
    }
    Ok((items, false))
}

/// Counts what is written.
struct Length(usize);

impl std::io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A cursor that is none of the list's.
pub(crate) fn unknown(cursor: &str) -> Error {
    Error::invalid("read cursor", cursor, "no page of this list ends there")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_page_is_bounded_by_items_and_by_bytes() {
        let check = async |limit: u32, rows: &[&str], expected: (usize, bool)| {
            let items_max = PageQuery { cursor: None, limit }.items_max() as usize;
            let rows = futures::stream::iter(rows.iter().map(|row| Ok(*row)));
            let (items, more) = bounded(rows, items_max, 10).await.unwrap();
            assert_eq!((items.len(), more), expected, "{limit}: {items:?}");
        };
        check(2, &[], (0, false)).await;
        check(2, &["a", "b"], (2, false)).await;
        check(2, &["a", "b", "c"], (2, true)).await;
        check(0, &["a", "b"], (1, true)).await;
        check(9_999, &[""; 501], (5, true)).await;
        check(9, &["longer than a page", "b"], (1, true)).await;
        check(9, &["longer than a page"], (1, false)).await;
        check(9, &["a", "longer than a page", "c"], (2, true)).await;
        assert_eq!(PageQuery { cursor: None, limit: 9_999 }.items_max(), PAGE_ITEMS_MAX);
    }

    #[test]
    fn a_cursor_that_is_none_is_refused() {
        assert!(PageQuery { cursor: Some("x"), limit: 1 }.before().is_err());
        assert_eq!(PageQuery { cursor: Some("7"), limit: 1 }.before().unwrap(), 7);
    }
}
