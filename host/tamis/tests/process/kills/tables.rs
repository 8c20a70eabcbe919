//! The tables that nights leave: silver and gold in the lake, and what was published to the warehouse.

use std::path::Path;

use arrow_cast::pretty::pretty_format_batches;
use chrono::NaiveDate;
use futures::TryStreamExt;
use tamis_connectors::DeltaTables;
use tamis_jobs::session::Session;

use super::sql::Database;
use crate::results::{Results, files};

/// Tables of the warehouse that say when and by which run, not what.
const OWN_TABLES: [&str; 4] = ["alerts", "quality_results", "tamis_tables", "_sqlx_migrations"];
const MEMORY_BYTES_MAX: usize = 512 << 20;

/// Every row of every table of a home, in order.
pub fn tables(home: &Path) -> Results {
    let mut tables = published(home);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        for dataset in datasets(home) {
            let rows = lake_rows(home, &dataset, &format!("SELECT * FROM {dataset}")).await;
            tables.insert(format!("{dataset} in the lake"), rows);
        }
    });
    tables
}

fn published(home: &Path) -> Results {
    let mut warehouse = Database::open(&home.join("warehouse.db"));
    let select = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
    let mut names = warehouse.texts(select);
    names.retain(|name| !OWN_TABLES.contains(&name.as_str()));
    names.into_iter().map(|name| (format!("{name} in the warehouse"), warehouse.rows(&name))).collect()
}

/// The datasets of silver and gold that there are.
fn datasets(home: &Path) -> Vec<String> {
    let mut datasets = Vec::new();
    for layer in ["silver", "gold"] {
        let logs = files(&home.join("lake").join(layer), "_delta_log/00000000000000000000.json");
        let names = logs.iter().filter_map(|log| log.ancestors().nth(2)?.file_name()?.to_str());
        datasets.extend(names.map(|name| format!("{layer}.{name}")));
    }
    datasets
}

/// What a query finds in a dataset of the lake, each row as the line of a printed table, in order.
pub async fn lake_rows(home: &Path, dataset: &str, query: &str) -> Vec<String> {
    let staging = tempfile::tempdir().unwrap();
    let session = Session::open(MEMORY_BYTES_MAX, staging.path(), NaiveDate::default()).unwrap();
    session.add(dataset, DeltaTables::new(home.join("lake")).provider(dataset).await.unwrap()).unwrap();
    let rows = session.query(dataset, query).await.unwrap();
    let batches: Vec<_> = rows.try_collect().await.unwrap();
    // A column is as wide as its widest value; two tables with the same rows look the same.
    let mut rows: Vec<_> = pretty_format_batches(&batches).unwrap().to_string().lines().map(str::to_owned).collect();
    rows.sort();
    rows
}
