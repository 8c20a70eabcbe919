//! Table `bronze_files`: what was taken in, in which versions, and which of them counts.

use sqlx::FromRow;
use tamis_model::Result;

use crate::{Catalog, Stored};

/// One content of one path of a source.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct BronzeFile {
    /// The source, `crm`.
    pub source: String,
    /// Its path below `drop/<source>/`, with `/`.
    pub original_path: String,
    /// SHA-256 of its bytes, hex.
    pub sha256: String,
    /// Its length in bytes.
    pub size_bytes: i64,
    /// When the source last changed it, nanoseconds since the Unix epoch.
    pub source_modified_ns: i64,
    /// When it was first taken in, RFC 3339.
    pub ingested_at: String,
    /// Where it lies below the Bronze folder, with `/`.
    pub bronze_path: String,
}

/// A Bronze path for a content, and whether the bytes are there already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// Where the content belongs below the Bronze folder.
    pub bronze_path: String,
    /// Whether an earlier pass put it there.
    pub present: bool,
}

const COLUMNS: &str = "source, original_path, sha256, size_bytes, source_modified_ns, ingested_at, bronze_path";

impl Catalog {
    /// The version of each original path that counts, in order of path (bytewise).
    pub async fn latest_files(&self, source: &str) -> Result<Vec<BronzeFile>> {
        let sql = format!("SELECT {COLUMNS} FROM bronze_files WHERE source = ? AND latest = 1 ORDER BY original_path");
        sqlx::query_as(&sql).bind(source).fetch_all(&self.readers).await.stored("list Bronze files of", source)
    }

    /// Every version of every path of a source that is wholly in Bronze, oldest first.
    pub async fn bronze_files(&self, source: &str) -> Result<Vec<BronzeFile>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM bronze_files WHERE source = ? AND state = 'ready' \
             ORDER BY original_path, ingested_at, sha256"
        );
        sqlx::query_as(&sql).bind(source).fetch_all(&self.readers).await.stored("list Bronze files of", source)
    }

    /// The sources that have at least one file in Bronze, by name.
    pub async fn sources(&self) -> Result<Vec<String>> {
        sqlx::query_scalar("SELECT DISTINCT source FROM bronze_files WHERE latest = 1 ORDER BY source")
            .fetch_all(&self.readers)
            .await
            .stored("list", "sources")
    }

    /// Settles where a content belongs, before it is put there. A content that is known keeps its place,
    /// whatever place `file` proposes.
    pub async fn reserve_file(&self, file: &BronzeFile) -> Result<Reservation> {
        let mut transaction = self.write("reserve place of", &file.original_path).await?;
        sqlx::query(
            "INSERT INTO bronze_files (source, original_path, sha256, size_bytes, source_modified_ns, ingested_at, \
             bronze_path, state, latest) VALUES (?, ?, ?, ?, ?, ?, ?, 'pending', 0) ON CONFLICT DO NOTHING",
        )
        .bind(&file.source)
        .bind(&file.original_path)
        .bind(&file.sha256)
        .bind(file.size_bytes)
        .bind(file.source_modified_ns)
        .bind(&file.ingested_at)
        .bind(&file.bronze_path)
        .execute(&mut *transaction)
        .await
        .stored("reserve place of", &file.original_path)?;
        let (bronze_path, state): (String, String) = sqlx::query_as(
            "SELECT bronze_path, state FROM bronze_files WHERE source = ? AND original_path = ? AND sha256 = ?",
        )
        .bind(&file.source)
        .bind(&file.original_path)
        .bind(&file.sha256)
        .fetch_one(&mut *transaction)
        .await
        .stored("reserve place of", &file.original_path)?;
        transaction.commit().await.stored("reserve place of", &file.original_path)?;
        Ok(Reservation { bronze_path, present: state == "ready" })
    }

    /// The content is in its place: from now on it is the version of its path that counts, with the
    /// modification time that the source gives it now.
    pub async fn confirm_file(&self, file: &BronzeFile) -> Result<()> {
        let mut transaction = self.write("catalogue", &file.original_path).await?;
        sqlx::query("UPDATE bronze_files SET latest = 0 WHERE source = ? AND original_path = ? AND latest = 1")
            .bind(&file.source)
            .bind(&file.original_path)
            .execute(&mut *transaction)
            .await
            .stored("catalogue", &file.original_path)?;
        sqlx::query(
            "UPDATE bronze_files SET state = 'ready', latest = 1, source_modified_ns = ? \
             WHERE source = ? AND original_path = ? AND sha256 = ?",
        )
        .bind(file.source_modified_ns)
        .bind(&file.source)
        .bind(&file.original_path)
        .bind(&file.sha256)
        .execute(&mut *transaction)
        .await
        .stored("catalogue", &file.original_path)?;
        transaction.commit().await.stored("catalogue", &file.original_path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(content: &str, modified: i64, day: &str) -> BronzeFile {
        BronzeFile {
            source: "crm".to_owned(),
            original_path: "a.csv".to_owned(),
            sha256: content.to_owned(),
            size_bytes: 3,
            source_modified_ns: modified,
            ingested_at: format!("{day}T01:00:00.000Z"),
            bronze_path: format!("crm/ingest_date={day}/a.{content}.csv"),
        }
    }

    #[tokio::test]
    async fn a_content_keeps_its_place_and_the_last_confirmed_counts() {
        let folder = tempfile::tempdir().unwrap();
        let catalog = Catalog::open(&folder.path().join("tamis.db")).await.unwrap();
        let (a, b) = (version("aaaa", 1, "2026-03-18"), version("bbbb", 2, "2026-03-19"));

        let reserved = catalog.reserve_file(&a).await.unwrap();
        assert_eq!(reserved, Reservation { bronze_path: a.bronze_path.clone(), present: false });
        assert_eq!(catalog.latest_files("crm").await.unwrap(), [], "a reservation is not a file");
        // A crash here; the next pass is a day later.
        let later = version("aaaa", 1, "2026-03-19");
        assert_eq!(catalog.reserve_file(&later).await.unwrap().bronze_path, a.bronze_path);
        catalog.confirm_file(&later).await.unwrap();
        assert_eq!(catalog.latest_files("crm").await.unwrap(), std::slice::from_ref(&a));

        catalog.reserve_file(&b).await.unwrap();
        catalog.confirm_file(&b).await.unwrap();
        assert_eq!(catalog.latest_files("crm").await.unwrap(), std::slice::from_ref(&b));

        // The first content comes back under a new time: the same bytes, not a third copy.
        let again = version("aaaa", 3, "2026-03-20");
        assert!(catalog.reserve_file(&again).await.unwrap().present);
        catalog.confirm_file(&again).await.unwrap();
        assert_eq!(catalog.latest_files("crm").await.unwrap(), [BronzeFile { source_modified_ns: 3, ..a }]);
        assert_eq!(catalog.bronze_files("crm").await.unwrap().len(), 2);
        assert_eq!(catalog.sources().await.unwrap(), ["crm"]);
    }
}
