//! The SQL of the SQLite warehouse.

use arrow_schema::FieldRef;
use sqlx::query_builder::Separated;
use sqlx::sqlite::SqliteConnection;
use sqlx::{QueryBuilder, Sqlite};
use tamis_model::Result;
use tamis_model::alert::Alert;

use super::{Cell, WarehouseTable, loaded_name};
use crate::warehouse::cell::declared_type;

/// SQLite's default limit is 32 766; a statement with fewer values is quicker to prepare.
const VALUES_PER_INSERT: usize = 8192;
/// Alerts in one insert, of 15 values each.
pub(super) const ALERTS_PER_INSERT: usize = VALUES_PER_INSERT / 15;

/// What is there from the beginning. `sequence` orders alerts by insertion; `pipeline` says which pipeline may take
/// them back.
pub(super) const CREATE: [&str; 6] = [
    "CREATE TABLE IF NOT EXISTS tamis_tables (
        name TEXT NOT NULL, state TEXT NOT NULL, run_id TEXT NOT NULL, at TEXT NOT NULL, PRIMARY KEY (name, state))",
    "CREATE TABLE IF NOT EXISTS alerts (
        alert_id TEXT NOT NULL UNIQUE, rule TEXT NOT NULL, plugin_version TEXT NOT NULL, plugin_sha256 TEXT NOT NULL,
        severity TEXT NOT NULL, mode TEXT NOT NULL, event_time TEXT NOT NULL, generated_at TEXT NOT NULL, key TEXT,
        payment_id TEXT, order_id TEXT, customer_id TEXT, criteria TEXT NOT NULL, context TEXT NOT NULL,
        pipeline TEXT NOT NULL, sequence INTEGER PRIMARY KEY)",
    "CREATE INDEX IF NOT EXISTS alerts_by_rule ON alerts (rule, event_time)",
    "CREATE INDEX IF NOT EXISTS alerts_by_pipeline ON alerts (pipeline, sequence)",
    "CREATE TABLE IF NOT EXISTS quality_results (
        run_id TEXT NOT NULL, checked_at TEXT NOT NULL, dataset TEXT NOT NULL, check_name TEXT NOT NULL,
        category TEXT NOT NULL, column_name TEXT, passed INTEGER NOT NULL, observed TEXT NOT NULL,
        expected TEXT NOT NULL, blocking INTEGER NOT NULL)",
    "CREATE INDEX IF NOT EXISTS quality_results_by_run ON quality_results (run_id)",
];

/// A name as an SQL identifier.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// What makes a loaded table: itself first, its indexes when it is full.
pub(super) struct CreateLoaded {
    pub table: Vec<String>,
    pub indexes: Vec<String>,
}

/// The statements for a table of a run. Index names are unique in a database, so they carry the run until the table
/// they belong to is dropped.
pub(super) fn create_loaded(run_id: &str, table: &WarehouseTable) -> Result<CreateLoaded> {
    table.check()?;
    let column = |field: &FieldRef| {
        let required = if field.is_nullable() { "" } else { " NOT NULL" };
        format!("{} {}{required}", quoted(field.name()), declared_type(field.data_type()).unwrap_or_default())
    };
    let index = |key: &String| {
        let index = quoted(&format!("{}_by_{key}_{run_id}", table.name));
        format!("CREATE INDEX {index} ON {} ({})", quoted(&loaded_name(&table.name)), quoted(key))
    };
    let columns: Vec<String> = table.schema.fields().iter().map(column).collect();
    let indexes = table.key_columns.iter().map(index).collect();
    let create = format!("CREATE TABLE {} ({})", quoted(&loaded_name(&table.name)), columns.join(", "));
    Ok(CreateLoaded { table: vec![create], indexes })
}

/// Inserts rows, many with each statement.
pub(super) async fn insert_rows(
    connection: &mut SqliteConnection,
    table: &str,
    rows: Vec<Vec<Cell>>,
) -> sqlx::Result<()> {
    let Some(columns) = rows.first().map(Vec::len) else {
        return Ok(());
    };
    let rows_per_insert = (VALUES_PER_INSERT / columns.max(1)).max(1);
    let mut rows = rows.into_iter().peekable();
    while rows.peek().is_some() {
        let mut query = QueryBuilder::<Sqlite>::new(format!("INSERT INTO {} ", quoted(table)));
        query.push_values(rows.by_ref().take(rows_per_insert), |mut values, row| {
            row.into_iter().for_each(|cell| push(&mut values, cell));
        });
        query.build().execute(&mut *connection).await?;
    }
    Ok(())
}

fn push(values: &mut Separated<'_, '_, Sqlite, &'static str>, cell: Cell) {
    match cell {
        Cell::Null => values.push_bind(None::<String>),
        Cell::Integer(value) => values.push_bind(value),
        Cell::Real(value) => values.push_bind(value),
        Cell::Text(value) => values.push_bind(value),
    };
}

/// Inserts alerts; those that are there already stay as they are.
pub(super) fn insert_alerts<'a>(pipeline: &'a str, alerts: &'a [Alert]) -> QueryBuilder<'a, Sqlite> {
    let mut query = QueryBuilder::new(
        "INSERT INTO alerts (alert_id, rule, plugin_version, plugin_sha256, severity, mode, event_time, generated_at,
            key, payment_id, order_id, customer_id, criteria, context, pipeline) ",
    );
    query.push_values(alerts, |mut values, alert| {
        values.push_bind(&alert.alert_id).push_bind(&alert.rule);
        values.push_bind(&alert.plugin_version).push_bind(&alert.plugin_sha256);
        values.push_bind(name(&alert.severity)).push_bind(name(&alert.mode));
        values.push_bind(&alert.event_time).push_bind(&alert.generated_at).push_bind(&alert.key);
        values.push_bind(&alert.payment_id).push_bind(&alert.order_id).push_bind(&alert.customer_id);
        values.push_bind(json(&alert.criteria)).push_bind(json(&alert.context)).push_bind(pipeline);
    });
    query.push(" ON CONFLICT (alert_id) DO NOTHING");
    query
}

/// Inserts the results of a run, which has none yet.
pub(super) const INSERT_QUALITY_RESULT: &str = "INSERT INTO quality_results (run_id, checked_at, dataset, check_name,
    category, column_name, passed, observed, expected, blocking) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("an alert's members are JSON")
}

/// The name that serde writes for a value without content.
fn name(value: &impl serde::Serialize) -> String {
    let name = serde_json::to_value(value).ok().and_then(|name| name.as_str().map(str::to_owned));
    name.expect("severities and modes are names")
}
