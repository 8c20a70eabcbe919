//! Alerts of the warehouse, listed; and files that an older Tamis made.

use std::path::Path;
use std::sync::Arc;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{Connection, Executor};
use tamis_connectors::warehouse::{AlertFilter, StoredAlert};
use tamis_connectors::{SqliteWarehouse, Warehouse};
use tamis_model::Kind;
use tamis_model::alert::{Alert, AlertMode};
use tamis_model::rule::Severity;

use crate::alert;

const SEVERITIES: [Severity; 4] = [Severity::Info, Severity::Warning, Severity::High, Severity::Critical];

/// The tables as Tamis 0.1 made them.
const OLD_TABLES: &str = "
    CREATE TABLE tamis_tables (
        name TEXT NOT NULL, state TEXT NOT NULL, run_id TEXT NOT NULL, at TEXT NOT NULL, PRIMARY KEY (name, state));
    CREATE TABLE alerts (
        alert_id TEXT NOT NULL UNIQUE, rule TEXT NOT NULL, plugin_version TEXT NOT NULL, plugin_sha256 TEXT NOT NULL,
        severity TEXT NOT NULL, mode TEXT NOT NULL, event_time TEXT NOT NULL, generated_at TEXT NOT NULL, key TEXT,
        payment_id TEXT, order_id TEXT, customer_id TEXT, criteria TEXT NOT NULL, context TEXT NOT NULL,
        pipeline TEXT NOT NULL, sequence INTEGER PRIMARY KEY);
    CREATE INDEX alerts_by_rule ON alerts (rule, event_time);
    CREATE INDEX alerts_by_pipeline ON alerts (pipeline, sequence);
    CREATE TABLE quality_results (
        run_id TEXT NOT NULL, checked_at TEXT NOT NULL, dataset TEXT NOT NULL, check_name TEXT NOT NULL,
        category TEXT NOT NULL, column_name TEXT, passed INTEGER NOT NULL, observed TEXT NOT NULL,
        expected TEXT NOT NULL, blocking INTEGER NOT NULL);
    CREATE INDEX quality_results_by_run ON quality_results (run_id);
    INSERT INTO alerts VALUES ('old', 'card-testing', '1.0.0', '00', 'high', 'live', '2026-03-17T00:00:00.000Z',
        '2026-03-17T00:00:01.000Z', NULL, NULL, NULL, NULL, '[\"card-testing\"]', '{\"count\":4}', 'streams', 1)";

/// Alert `n` of 96: every rule, severity and mode with every time, several at a time.
fn numbered(n: usize) -> Alert {
    let rule = ["card-testing", "fraud-bin"][n % 2];
    let event_time = format!("2026-03-18T14:00:{:02}.000Z", n * 7 % 13);
    let mode = [AlertMode::Shadow, AlertMode::Live, AlertMode::Live][n / 8 % 3];
    // Ids are hashes: their order is another one than that of insertion.
    let alert_id = format!("{:02}", n * 37 % 97);
    Alert { alert_id, severity: SEVERITIES[n / 2 % 4], mode, ..alert(rule, n, &event_time) }
}

async fn warehouse(folder: &Path) -> SqliteWarehouse {
    SqliteWarehouse::open(&folder.join("warehouse.db")).await.unwrap()
}

/// All alerts that pass a filter, page by page.
async fn listed(warehouse: &SqliteWarehouse, filter: &AlertFilter, limit: u32) -> Vec<StoredAlert> {
    let (mut listed, mut cursor) = (Vec::new(), None);
    loop {
        let (alerts, next) = warehouse.alerts(filter, cursor.as_ref(), limit).await.unwrap();
        assert!(alerts.len() == limit as usize || next.is_none(), "only the last page is shorter");
        listed.extend(alerts);
        // As the API hands it out and takes it back.
        cursor = next.map(|cursor| cursor.to_string().parse().unwrap());
        if cursor.is_none() {
            return listed;
        }
    }
}

fn ids(alerts: &[StoredAlert]) -> Vec<&str> {
    alerts.iter().map(|alert| alert.alert_id.as_str()).collect()
}

#[tokio::test]
async fn filters_choose_and_pages_follow_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let warehouse = warehouse(folder.path()).await;
    let all: Vec<Alert> = (0..96).map(numbered).collect();
    warehouse.insert_alerts("streams", &all).await.unwrap();
    for rule in [None, Some("fraud-bin"), Some("nothing")] {
        for severity_min in SEVERITIES {
            for mode in [None, Some(AlertMode::Live), Some(AlertMode::Shadow)] {
                let passes = |alert: &&Alert| {
                    rule.is_none_or(|rule| alert.rule == rule)
                        && alert.severity >= severity_min
                        && mode.is_none_or(|mode| alert.mode == mode)
                };
                let mut expected: Vec<&Alert> = all.iter().filter(passes).collect();
                expected.sort_by_key(|alert| (std::cmp::Reverse(&alert.event_time), &alert.alert_id));
                let expected: Vec<&str> = expected.iter().map(|alert| alert.alert_id.as_str()).collect();
                let filter = AlertFilter { rule: rule.map(str::to_owned), severity_min, mode };
                for limit in [1, 7, 96] {
                    let found = listed(&warehouse, &filter, limit).await;
                    assert_eq!(ids(&found), expected, "{filter:?}, {limit} a page");
                }
            }
        }
    }
}

#[tokio::test]
async fn what_comes_meanwhile_moves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let warehouse = warehouse(folder.path()).await;
    let at = |alert_id: &str, second: u32| {
        let event_time = format!("2026-03-18T14:00:{second:02}.000Z");
        Alert { alert_id: alert_id.to_owned(), ..alert("fraud-bin", 0, &event_time) }
    };
    let all = AlertFilter::default();
    warehouse.insert_alerts("streams", &[at("c", 2), at("e", 2), at("a", 3), at("g", 1)]).await.unwrap();
    let (first, cursor) = warehouse.alerts(&all, None, 2).await.unwrap();
    assert_eq!(ids(&first), ["a", "c"]);
    warehouse.insert_alerts("streams", &[at("z", 9), at("b", 2), at("d", 2)]).await.unwrap();
    let (second, cursor) = warehouse.alerts(&all, cursor.as_ref(), 2).await.unwrap();
    assert_eq!(ids(&second), ["d", "e"]);
    let (third, cursor) = warehouse.alerts(&all, cursor.as_ref(), 2).await.unwrap();
    assert_eq!((ids(&third), cursor), (vec!["g"], None));
    assert_eq!(warehouse.alerts(&all, None, 0).await.unwrap(), (vec![], None));
}

/// The columns of the table make the JSON of the schema again.
#[tokio::test]
async fn an_alert_is_found_by_its_id() {
    let folder = tempfile::tempdir().unwrap();
    let warehouse = warehouse(folder.path()).await;
    let plain = alert("fraud-bin", 1, "2026-03-18T14:00:00.000Z");
    let lists = [("fraud_bins".to_owned(), 7)].into();
    let versioned =
        Alert { rule_version: 3, lists: Arc::new(lists), ..alert("fraud-bin", 2, "2026-03-18T14:00:00.000Z") };
    warehouse.insert_alerts("streams", &[plain.clone(), versioned.clone()]).await.unwrap();
    for alert in [plain, versioned] {
        let stored = warehouse.alert(&alert.alert_id).await.unwrap().unwrap();
        assert_eq!(serde_json::to_value(stored).unwrap(), serde_json::to_value(&alert).unwrap());
    }
    assert_eq!(warehouse.alert("none").await.unwrap(), None);
}

async fn execute(path: &Path, sql: &str) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    connection.execute(sql).await.unwrap();
    connection
}

/// What a file has of its own: tables with their columns, and indexes.
async fn schema(path: &Path) -> Vec<(String, String)> {
    let select = "SELECT s.name, COALESCE(c.name, s.sql, '') FROM sqlite_schema s \
                  LEFT JOIN pragma_table_info(s.name) c ON s.type = 'table' ORDER BY 1, 2";
    sqlx::query_as(select).fetch_all(&mut execute(path, "PRAGMA user_version").await).await.unwrap()
}

#[tokio::test]
async fn a_file_of_an_older_tamis_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let old = folder.path().join("warehouse.db");
    execute(&old, OLD_TABLES).await.close().await.unwrap();
    // Several processes at once: one of them takes the steps.
    let opened = futures::future::join_all((0..16).map(|_| SqliteWarehouse::open(&old))).await;
    let warehouse = opened.into_iter().map(Result::unwrap).next().unwrap();
    let new = alert("fraud-bin", 1, "2026-03-18T14:00:00.000Z");
    warehouse.insert_alerts("streams", &[new]).await.unwrap();
    let alerts = listed(&warehouse, &AlertFilter::default(), 1).await;
    assert_eq!(ids(&alerts), ["fraud-bin-1", "old"]);
    assert_eq!((alerts[1].rule_version, &alerts[1].lists), (1, &None), "before rules had versions it was the first");
    let fresh = folder.path().join("fresh.db");
    SqliteWarehouse::open(&fresh).await.unwrap();
    assert_eq!(schema(&old).await, schema(&fresh).await);
}

#[tokio::test]
async fn a_file_of_a_newer_tamis_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("warehouse.db");
    execute(&path, "PRAGMA user_version = 99").await.close().await.unwrap();
    let error = SqliteWarehouse::open(&path).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(error.chain().ends_with("a newer Tamis made it: it is at step 99, this one knows 2"), "{}", error.chain());
}

/// Somebody loads a table for minutes: whoever opens the warehouse to look does not wait.
#[tokio::test]
async fn opening_does_not_wait_for_a_writer() {
    let folder = tempfile::tempdir().unwrap();
    let first = warehouse(folder.path()).await;
    let mut writer = execute(&folder.path().join("warehouse.db"), "BEGIN IMMEDIATE").await;
    let opened = tokio::time::timeout(std::time::Duration::from_secs(10), warehouse(folder.path())).await.unwrap();
    assert_eq!(opened.alerts(&AlertFilter::default(), None, 1).await.unwrap(), (vec![], None));
    writer.execute("ROLLBACK").await.unwrap();
    first.close().await;
}

#[tokio::test]
async fn what_the_database_says_stands_once_in_an_error_with_the_name_of_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("warehouse.db");
    let warehouse = SqliteWarehouse::open(&path).await.unwrap();
    let mut file = SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(&path)).await.unwrap();
    file.execute("DROP TABLE alerts").await.unwrap();
    let error = warehouse.alert("a1").await.unwrap_err();
    let expected = format!("cannot find alert a1 in {}: (code: 1) no such table: alerts", path.display());
    assert_eq!(error.chain(), expected);
    assert!(error.can_retry());
}
