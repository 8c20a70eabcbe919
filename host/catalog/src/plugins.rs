//! Table `plugins`: every component that was ever put to work, by its hash.

use sqlx::FromRow;
use tamis_model::Result;
use tamis_model::error::Context;
use tamis_model::manifest::Manifest;
use tamis_model::time::{Millis, rfc3339_millis};

use crate::Catalog;

/// A component that was put to work.
#[derive(Clone, Debug, PartialEq, Eq, FromRow, serde::Serialize)]
pub struct KnownPlugin {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of its bytes, hex.
    pub sha256: String,
    /// What it says of itself, JSON.
    pub manifest: String,
    /// RFC 3339.
    pub first_seen_at: String,
}

impl Catalog {
    /// Records a component; one that is known stays as it is.
    pub async fn record_plugin(&self, manifest: &Manifest, sha256: &str, now: Millis) -> Result<()> {
        let text = serde_json::to_string(manifest).invalid("record plugin", &manifest.name)?;
        sqlx::query("INSERT INTO plugins VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING")
            .bind(&manifest.name)
            .bind(&manifest.version)
            .bind(sha256)
            .bind(text)
            .bind(rfc3339_millis(now))
            .execute(&self.pool)
            .await
            .map(drop)
            .outage("record plugin", &manifest.name)
    }

    /// All components that were ever put to work, by name, newest last.
    pub async fn known_plugins(&self) -> Result<Vec<KnownPlugin>> {
        sqlx::query_as("SELECT * FROM plugins ORDER BY name, first_seen_at")
            .fetch_all(&self.pool)
            .await
            .outage("list", "plugins")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_component_is_recorded_once() {
        let folder = tempfile::tempdir().unwrap();
        let catalog = Catalog::open(&folder.path().join("tamis.db")).await.unwrap();
        let manifest: Manifest = serde_json::from_value(serde_json::json!(
            {"name": "checks/volume", "version": "1.0.0", "title": "At least so many rows", "world": "check"}
        ))
        .unwrap();
        for now in [0, 1_000] {
            catalog.record_plugin(&manifest, "aa", now).await.unwrap();
        }
        let known = catalog.known_plugins().await.unwrap();
        assert_eq!(known.len(), 1);
        assert_eq!(known[0].first_seen_at, "1970-01-01T00:00:00.000Z");
    }
}
