//! A catalogue of before these tables is brought up to date.

use std::borrow::Cow;

use sqlx::SqlitePool;
use sqlx::migrate::Migrator;
use tamis_catalog::Catalog;
use tamis_catalog::operations::Trouble;

#[tokio::test]
async fn alerts_of_runs_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tamis.db");
    let old = SqlitePool::connect(&format!("sqlite:{}?mode=rwc", path.display())).await.unwrap();
    let all = sqlx::migrate!().migrations;
    let first = Migrator { migrations: Cow::Owned(all[..1].to_vec()), ..Migrator::DEFAULT };
    first.run(&old).await.unwrap();
    let rows = "INSERT INTO runs (id, job, as_of, state, started_at) VALUES ('r', 'nightly', '2026-03-20', 'failed', ''); \
        INSERT INTO operational_alerts VALUES (41, 'r', '', 'run_failed', 'nightly', 'no room')";
    sqlx::raw_sql(rows).execute(&old).await.unwrap();
    old.close().await;

    let catalog = Catalog::open(&path).await.unwrap();
    let alerts = catalog.operational_alerts("r").await.unwrap();
    assert_eq!((alerts[0].run_id.as_deref(), alerts[0].message.as_str()), (Some("r"), "no room"));
    catalog.raise("r", Trouble::RunFailed, "nightly", "again", 0).await.unwrap();
    assert_eq!(catalog.operational_alerts("r").await.unwrap(), alerts, "once a run, kind and subject, as before");
}
