//! The warehouse: one suite for SQLite and the in-memory twin, and what only SQLite can show.

use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array, RecordBatch};
use futures::future::BoxFuture;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteRow};
use sqlx::{Connection, Row, TypeInfo, ValueRef};
use tamis_connectors::warehouse::{Cell, WarehouseTable};
use tamis_connectors::{AlertRows, MemoryWarehouse, SqliteWarehouse, Warehouse};
use tamis_engine::Sink;
use tamis_engine::conformance::{SinkHarness, sink_contract};
use tamis_model::alert::Alert;
use tamis_model::pseudonym::{Form, Pepper};

use crate::alert;
use crate::warehouse_contract::{Harness, batch, contract, one, stream, table};

#[derive(Default)]
struct Memory(MemoryWarehouse);

impl Harness for Memory {
    fn open(&self) -> BoxFuture<'_, Arc<dyn Warehouse>> {
        Box::pin(async { Arc::new(self.0.clone()) as _ })
    }

    fn rows<'a>(&'a self, table: &'a str) -> BoxFuture<'a, Option<Vec<Vec<Cell>>>> {
        Box::pin(async { self.0.rows(table) })
    }

    fn alert_ids(&self) -> BoxFuture<'_, Vec<String>> {
        Box::pin(async { self.0.alerts().into_iter().map(|alert| alert.alert_id).collect() })
    }

    fn checks<'a>(&'a self, run_id: &'a str) -> BoxFuture<'a, Vec<(String, bool)>> {
        Box::pin(async {
            self.0.quality_results(run_id).into_iter().map(|result| (result.check_name, result.passed)).collect()
        })
    }
}

struct Sqlite {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

impl Sqlite {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("warehouse.db");
        Self { _folder: folder, path }
    }

    async fn reader(&self) -> SqliteConnection {
        SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(&self.path).read_only(true)).await.unwrap()
    }

    async fn warehouse(&self) -> SqliteWarehouse {
        SqliteWarehouse::open(&self.path).await.unwrap()
    }

    async fn select(&self, sql: &str) -> Vec<SqliteRow> {
        sqlx::query(sql).fetch_all(&mut self.reader().await).await.unwrap()
    }
}

fn cells(row: &SqliteRow) -> Vec<Cell> {
    let cell = |i| match row.try_get_raw(i).unwrap().type_info().name() {
        "NULL" => Cell::Null,
        "INTEGER" => Cell::Integer(row.get(i)),
        "REAL" => Cell::Real(row.get(i)),
        "TEXT" => Cell::Text(row.get(i)),
        other => panic!("unexpected storage class {other}"),
    };
    (0..row.len()).map(cell).collect()
}

impl Harness for Sqlite {
    fn open(&self) -> BoxFuture<'_, Arc<dyn Warehouse>> {
        Box::pin(async { Arc::new(self.warehouse().await) as _ })
    }

    fn rows<'a>(&'a self, table: &'a str) -> BoxFuture<'a, Option<Vec<Vec<Cell>>>> {
        Box::pin(async move {
            let exists = format!("SELECT 1 FROM sqlite_schema WHERE name = '{table}'");
            if self.select(&exists).await.is_empty() {
                return None;
            }
            Some(self.select(&format!("SELECT * FROM \"{table}\"")).await.iter().map(cells).collect())
        })
    }

    fn alert_ids(&self) -> BoxFuture<'_, Vec<String>> {
        Box::pin(async {
            self.select("SELECT alert_id FROM alerts ORDER BY sequence").await.iter().map(|row| row.get(0)).collect()
        })
    }

    fn checks<'a>(&'a self, run_id: &'a str) -> BoxFuture<'a, Vec<(String, bool)>> {
        Box::pin(async move {
            let select =
                format!("SELECT check_name, passed FROM quality_results WHERE run_id = '{run_id}' ORDER BY rowid");
            self.select(&select).await.iter().map(|row| (row.get(0), row.get(1))).collect()
        })
    }
}

#[tokio::test]
async fn the_memory_twin_keeps_the_contract() {
    contract(|| Box::new(Memory::default())).await;
}

#[tokio::test]
async fn sqlite_keeps_the_contract() {
    contract(|| Box::new(Sqlite::new())).await;
}

/// A runtime for the sink and for the reader behind it; the test's own thread stands for the engine's.
struct Alerts<H> {
    runtime: tokio::runtime::Runtime,
    harness: H,
}

impl<H: Harness> SinkHarness<Alert> for Alerts<H> {
    fn open(&mut self) -> Box<dyn Sink<Alert>> {
        let warehouse = self.runtime.block_on(self.harness.open());
        Box::new(AlertRows::new(warehouse, self.runtime.handle().clone(), "streams", Pepper::new(b"pepper")))
    }

    fn item(&self, n: usize) -> Alert {
        alert("r", n, "2026-03-18T14:00:00.000Z")
    }

    fn committed(&mut self) -> Vec<usize> {
        let ids = self.runtime.block_on(self.harness.alert_ids());
        ids.iter().map(|id| id["r-".len()..].parse().unwrap()).collect()
    }
}

#[test]
fn alert_rows_keep_the_contract_of_sinks() {
    let runtime = || tokio::runtime::Runtime::new().unwrap();
    sink_contract(|| Alerts { runtime: runtime(), harness: Memory::default() });
    sink_contract(|| Alerts { runtime: runtime(), harness: Sqlite::new() });
}

#[tokio::test]
async fn stored_alerts_hold_no_personal_values() {
    let sqlite = Sqlite::new();
    let warehouse: Arc<dyn Warehouse> = Arc::new(sqlite.warehouse().await);
    let runtime = tokio::runtime::Handle::current();
    let engine = std::thread::spawn(move || {
        let mut sink = AlertRows::new(warehouse, runtime, "streams", Pepper::new(b"pepper"));
        sink.write(&[alert("r", 1, "2026-03-18T14:00:00.000Z")]).unwrap();
        sink.stage().unwrap();
    });
    tokio::task::spawn_blocking(|| engine.join().unwrap()).await.unwrap();
    let rows =
        sqlite.select("SELECT severity, mode, key, customer_id, payment_id, criteria, context FROM alerts").await;
    let pseudo = |value: &str| Pepper::new(b"pepper").pseudo(value, Form::Short);
    let context = format!("{{\"count\":4,\"ip\":\"{}\"}}", pseudo("10.0.0.1"));
    let expected = ["critical", "live", &pseudo("device-1"), &pseudo("c1"), "p1", "[\"r\"]", &context];
    assert_eq!(cells(&rows[0]), expected.map(|text| Cell::Text(text.to_owned())));
}

/// A reader that is in the middle of a transaction keeps the old tables; one that begins after the publication sees
/// the new.
#[tokio::test]
async fn readers_see_the_old_tables_or_the_new_and_never_wait() {
    let sqlite = Sqlite::new();
    let warehouse = sqlite.warehouse().await;
    let names = ["a".to_owned(), "b".to_owned()];
    for run in 1..=3 {
        let mut reader = sqlite.reader().await;
        let mut snapshot = reader.begin().await.unwrap();
        // Any read begins the snapshot, also where the tables are not there yet.
        sqlx::query("SELECT COUNT(*) FROM alerts").fetch_one(&mut *snapshot).await.unwrap();
        let select = "SELECT (SELECT nb FROM a), (SELECT nb FROM b)";
        let seen_before: Option<(i64, i64)> = sqlx::query_as(select).fetch_one(&mut *snapshot).await.ok();
        assert_eq!(seen_before, (run > 1).then_some((run - 1, run - 1)));
        let run_id = format!("run-{run}");
        for name in &names {
            warehouse.load(&run_id, &table(name), one("FR", run)).await.unwrap();
        }
        warehouse.publish(&run_id, &names).await.unwrap();
        let still: Option<(i64, i64)> = sqlx::query_as(select).fetch_one(&mut *snapshot).await.ok();
        assert_eq!(still, seen_before);
        snapshot.rollback().await.unwrap();
        let seen: (i64, i64) = sqlx::query_as(select).fetch_one(&mut reader).await.unwrap();
        assert_eq!(seen, (run, run));
    }
}

#[tokio::test]
async fn published_tables_have_indexes_and_views_live_on() {
    let sqlite = Sqlite::new();
    let warehouse = sqlite.warehouse().await;
    let name = ["a".to_owned()];
    for run in 1..=3 {
        let run_id = format!("run-{run}");
        warehouse.load(&run_id, &table("a"), one("FR", run)).await.unwrap();
        warehouse.publish(&run_id, &name).await.unwrap();
        if run == 1 {
            let mut analyst =
                SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(&sqlite.path)).await.unwrap();
            sqlx::query("CREATE VIEW v AS SELECT SUM(nb) AS total FROM a").execute(&mut analyst).await.unwrap();
        }
        let indexes = sqlite.select("SELECT name FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'a'").await;
        assert_eq!(indexes.len(), 1, "run {run}");
        let total: i64 = sqlite.select("SELECT total FROM v").await[0].get(0);
        assert_eq!(total, run);
    }
}

#[tokio::test]
async fn values_are_usable_in_sql() {
    let sqlite = Sqlite::new();
    let warehouse = sqlite.warehouse().await;
    let columns: Vec<(&str, ArrayRef)> = vec![
        (
            "montant",
            Arc::new(Decimal128Array::from(vec![10, 20, 999_999_999_999_999]).with_precision_and_scale(18, 2).unwrap()),
        ),
        ("jour", Arc::new(Date32Array::from(vec![Some(20_530), None, Some(0)]))),
        ("taux", Arc::new(Float64Array::from(vec![100.0, 50.0, 0.0]))),
        ("ok", Arc::new(BooleanArray::from(vec![true, false, true]))),
        ("date_id", Arc::new(Int32Array::from(vec![20_260_318, 1, 2]))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let table =
        WarehouseTable { name: "k".to_owned(), schema: batch.schema(), key_columns: vec!["date_id".to_owned()] };
    warehouse.load("run-1", &table, stream(vec![Ok(batch)])).await.unwrap();
    warehouse.publish("run-1", &["k".to_owned()]).await.unwrap();
    let select =
        "SELECT ROUND(SUM(montant), 2), MAX(montant), MIN(montant) / 2, MIN(jour), COUNT(jour), SUM(ok), MAX(date_id),
        strftime('%m', MAX(jour)) FROM k";
    let expected = [
        Cell::Real(10_000_000_000_000.29),
        Cell::Real(9_999_999_999_999.99),
        Cell::Real(0.05),
        Cell::Text("1970-01-01".to_owned()),
        Cell::Integer(2),
        Cell::Integer(2),
        Cell::Integer(20_260_318),
        Cell::Text("03".to_owned()),
    ];
    assert_eq!(cells(&sqlite.select(select).await[0]), expected);
}

#[tokio::test]
async fn a_table_with_more_rows_than_one_statement_takes() {
    let sqlite = Sqlite::new();
    let warehouse = sqlite.warehouse().await;
    let rows: Vec<(String, i64)> = (0..10_000).map(|n| (format!("c{n}"), n)).collect();
    let rows: Vec<(&str, i64)> = rows.iter().map(|(pays, n)| (pays.as_str(), *n)).collect();
    let batches = vec![Ok(batch(&rows)), Ok(batch(&rows[..1]))];
    assert_eq!(warehouse.load("run-1", &table("a"), stream(batches)).await.unwrap(), 10_001);
    warehouse.publish("run-1", &["a".to_owned()]).await.unwrap();
    let row = &sqlite.select("SELECT COUNT(*), SUM(nb) FROM a WHERE pays_id = 'c' || nb").await[0];
    assert_eq!(cells(row), [Cell::Integer(10_001), Cell::Integer(49_995_000)]);
    for name in ["alerts", "quality_results", "tamis_tables", "sqlite_x", "a__next", ""] {
        assert!(warehouse.load("run-1", &table(name), one("FR", 1)).await.is_err(), "{name}");
    }
}
