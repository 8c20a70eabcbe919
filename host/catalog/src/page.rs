//! Long lists come in pages: so many items, and a cursor behind which the next page begins.

use sqlx::query::QueryAs;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{FromRow, Sqlite, SqlitePool};
use tamis_model::error::Context;
use tamis_model::{Error, Result};

/// Items of a page at most.
pub const PAGE_ITEMS_MAX: u32 = 500;

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
        T: for<'r> FromRow<'r, SqliteRow> + Send + Unpin,
    {
        // One more than the page holds tells whether another page follows.
        let items = query.bind(self.items_max() + 1).fetch_all(pool).await?;
        Ok(self.page(items, key))
    }

    fn page<T>(&self, mut items: Vec<T>, key: impl Fn(&T) -> String) -> Page<T> {
        let items_max = self.items_max() as usize;
        let more = items.len() > items_max;
        items.truncate(items_max);
        let next_cursor = if more { items.last().map(key) } else { None };
        Page { items, next_cursor }
    }
}

/// A cursor that is none of the list's.
pub(crate) fn unknown(cursor: &str) -> Error {
    Error::invalid("read cursor", cursor, "no page of this list ends there")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_says_whether_another_follows() {
        let check = |limit: u32, rows: u32, items: usize, next_cursor: Option<&str>| {
            let query = PageQuery { cursor: None, limit };
            let page = query.page((1..=rows).collect(), u32::to_string);
            assert_eq!((page.items.len(), page.next_cursor.as_deref()), (items, next_cursor), "{limit} of {rows}");
        };
        check(2, 0, 0, None);
        check(2, 2, 2, None);
        check(2, 3, 2, Some("2"));
        check(0, 2, 1, Some("1"));
        check(9_999, 501, 500, Some("500"));
    }

    #[test]
    fn a_cursor_that_is_none_is_refused() {
        assert!(PageQuery { cursor: Some("x"), limit: 1 }.before().is_err());
        assert_eq!(PageQuery { cursor: Some("7"), limit: 1 }.before().unwrap(), 7);
    }
}
