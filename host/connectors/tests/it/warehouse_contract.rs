//! The contract of `Warehouse` as a suite that every implementation passes.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_schema::{Field, Schema};
use futures::StreamExt;
use futures::future::BoxFuture;
use tamis_connectors::warehouse::{Cell, QualityResult, WarehouseTable};
use tamis_connectors::{Rows, Warehouse};
use tamis_model::alert::Alert;
use tamis_model::schema::ColumnType;
use tamis_model::{Error, Kind, Result};

use crate::alert;

/// What a warehouse is tested over; it is asked for its content as a reader of its own.
pub trait Harness {
    /// The warehouse, as a new process opens it.
    fn open(&self) -> BoxFuture<'_, Arc<dyn Warehouse>>;
    /// The rows of a published table, none when there is no such table.
    fn rows<'a>(&'a self, table: &'a str) -> BoxFuture<'a, Option<Vec<Vec<Cell>>>>;
    /// The ids of the alerts, as they were inserted.
    fn alert_ids(&self) -> BoxFuture<'_, Vec<String>>;
    /// The checks of a run, and whether each passed.
    fn checks<'a>(&'a self, run_id: &'a str) -> BoxFuture<'a, Vec<(String, bool)>>;
}

/// Tests a warehouse; `make` makes a fresh, empty one.
pub async fn contract(make: impl Fn() -> Box<dyn Harness>) {
    tables_are_switched_together(&*make()).await;
    loading_again_replaces_what_was_loaded(&*make()).await;
    alerts_are_inserted_once(&*make()).await;
    quality_results_are_replaced_per_run(&*make()).await;
}

async fn tables_are_switched_together(harness: &dyn Harness) {
    let (a, b) = (table("a"), table("b"));
    let both = ["a".to_owned(), "b".to_owned()];
    let warehouse = harness.open().await;
    assert_eq!(warehouse.load("run-1", &a, one("FR", 1)).await.unwrap(), 1);
    let error = warehouse.publish("run-1", &both).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Missing, "b was not loaded");
    assert_eq!(harness.rows("a").await, None, "so nothing is published");
    warehouse.load("run-1", &b, one("DE", 2)).await.unwrap();
    assert_eq!(harness.rows("b").await, None, "what is loaded is not visible");
    for _ in 0..2 {
        harness.open().await.publish("run-1", &both).await.unwrap();
        assert_eq!(harness.rows("a").await, expected("FR", 1), "a publication can be repeated in a new process");
        assert_eq!(harness.rows("b").await, expected("DE", 2));
    }
    warehouse.load("run-2", &a, one("IT", 3)).await.unwrap();
    assert_eq!(harness.rows("a").await, expected("FR", 1), "the published table stands while the next is loaded");
    assert!(warehouse.publish("run-3", &both[..1]).await.is_err(), "another run cannot publish it");
    warehouse.publish("run-2", &both[..1]).await.unwrap();
    assert_eq!(harness.rows("a").await, expected("IT", 3));
    assert_eq!(harness.rows("b").await, expected("DE", 2), "a table that is not named stays");
    warehouse.load("run-3", &b, one("ES", 4)).await.unwrap();
    warehouse.discard().await.unwrap();
    assert!(warehouse.publish("run-3", &both[1..]).await.is_err(), "what was discarded cannot be published");
    assert_eq!(harness.rows("b").await, expected("DE", 2));
}

async fn loading_again_replaces_what_was_loaded(harness: &dyn Harness) {
    let (a, name) = (table("a"), ["a".to_owned()]);
    let warehouse = harness.open().await;
    let broken = vec![Ok(batch(&[("XX", 0)])), Err(Error::new(Kind::Outage, "read", "gold.a"))];
    assert!(warehouse.load("run-1", &a, stream(broken)).await.is_err());
    assert!(warehouse.publish("run-1", &name).await.is_err(), "half a table cannot be published");
    warehouse.load("run-1", &a, one("FR", 1)).await.unwrap();
    let batches = vec![Ok(batch(&[("DE", 2)])), Ok(batch(&[])), Ok(batch(&[("IT", 3), ("ES", 4)]))];
    assert_eq!(warehouse.load("run-1", &a, stream(batches)).await.unwrap(), 3);
    warehouse.publish("run-1", &name).await.unwrap();
    assert_eq!(harness.rows("a").await.map(|rows| rows.len()), Some(3));
    warehouse.load("run-2", &a, stream(vec![])).await.unwrap();
    warehouse.publish("run-2", &name).await.unwrap();
    assert_eq!(harness.rows("a").await, Some(vec![]), "an empty table is a table");
    let wrong = WarehouseTable { key_columns: vec!["ville".to_owned()], ..table("a") };
    assert!(warehouse.load("run-3", &wrong, one("FR", 1)).await.is_err(), "a key has to be a column");
}

async fn alerts_are_inserted_once(harness: &dyn Harness) {
    let warehouse = harness.open().await;
    let numbered = |n| alert("r", n, "2026-03-18T14:00:00.000Z");
    assert_eq!(warehouse.alerts_mark("streams").await.unwrap(), 0);
    assert_eq!(warehouse.insert_alerts("streams", &[numbered(0), numbered(1)]).await.unwrap(), 2);
    let mark = warehouse.alerts_mark("streams").await.unwrap();
    assert_eq!(warehouse.insert_alerts("streams", &[numbered(1), numbered(2), numbered(2)]).await.unwrap(), 1);
    assert_eq!(warehouse.insert_alerts("backtest", &[numbered(0), numbered(9)]).await.unwrap(), 1);
    assert_eq!(harness.alert_ids().await, ["r-0", "r-1", "r-2", "r-9"]);
    for _ in 0..2 {
        harness.open().await.cut_alerts("streams", mark).await.unwrap();
        assert_eq!(harness.alert_ids().await, ["r-0", "r-1", "r-9"], "only the pipeline's own, behind the mark");
    }
    let many: Vec<Alert> = (10..2000).map(numbered).collect();
    assert_eq!(warehouse.insert_alerts("streams", &many).await.unwrap(), 1990);
    assert_eq!(warehouse.insert_alerts("streams", &[]).await.unwrap(), 0);
}

async fn quality_results_are_replaced_per_run(harness: &dyn Harness) {
    let result = |check: &str, passed: bool| QualityResult {
        checked_at: "2026-03-20T02:00:00.000Z".to_owned(),
        dataset: "gold.kpi_web_jour".to_owned(),
        check_name: check.to_owned(),
        category: "range".to_owned(),
        column_name: (!passed).then(|| "taux_2xx".to_owned()),
        passed,
        observed: "101".to_owned(),
        expected: "0 to 100".to_owned(),
        blocking: true,
    };
    let warehouse = harness.open().await;
    for run in ["run-1", "run-2"] {
        for _ in 0..2 {
            warehouse.replace_quality_results(run, &[result("a", true), result("b", false)]).await.unwrap();
        }
    }
    warehouse.replace_quality_results("run-2", &[result("b", true)]).await.unwrap();
    assert_eq!(harness.checks("run-1").await, [("a".to_owned(), true), ("b".to_owned(), false)]);
    assert_eq!(harness.checks("run-2").await, [("b".to_owned(), true)]);
}

/// A table of two columns with a key.
pub fn table(name: &str) -> WarehouseTable {
    let fields = [("pays_id", ColumnType::Text), ("nb", ColumnType::Int64)]
        .map(|(name, column_type)| Field::new(name, column_type.arrow(), true));
    let schema = Arc::new(Schema::new(fields.to_vec()));
    WarehouseTable { name: name.to_owned(), schema, key_columns: vec!["pays_id".to_owned()] }
}

/// Rows of it.
pub fn batch(rows: &[(&str, i64)]) -> RecordBatch {
    let pays: ArrayRef = Arc::new(StringArray::from_iter_values(rows.iter().map(|(pays, _)| pays)));
    let nb: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.iter().map(|(_, nb)| *nb)));
    RecordBatch::try_new(table("t").schema, vec![pays, nb]).unwrap()
}

/// Batches as the rows of a load.
pub fn stream(batches: Vec<Result<RecordBatch>>) -> Rows {
    futures::stream::iter(batches).boxed()
}

/// A single row.
pub fn one(pays: &str, nb: i64) -> Rows {
    stream(vec![Ok(batch(&[(pays, nb)]))])
}

fn expected(pays: &str, nb: i64) -> Option<Vec<Vec<Cell>>> {
    Some(vec![vec![Cell::Text(pays.to_owned()), Cell::Integer(nb)]])
}
