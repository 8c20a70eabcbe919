//! The SQL of the SQLite warehouse.

use arrow_schema::FieldRef;
use sqlx::query_builder::Separated;
use sqlx::sqlite::SqliteConnection;
use sqlx::{QueryBuilder, Sqlite};
use tamis_model::Result;
use tamis_model::alert::Alert;

use super::{Cell, WarehouseTable, loaded_name};
use crate::sql::quoted;
use crate::warehouse::cell::declared_type;

/// SQLite's default limit is 32 766; a statement with fewer values is quicker to prepare.
const VALUES_PER_INSERT: usize = 8192;
/// Alerts in one insert, of 17 values each.
pub(super) const ALERTS_PER_INSERT: usize = VALUES_PER_INSERT / 17;

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
        "INSERT INTO alerts (alert_id, rule, rule_version, plugin_version, plugin_sha256, severity, mode, event_time,
            generated_at, key, payment_id, order_id, customer_id, criteria, context, lists, pipeline) ",
    );
    query.push_values(alerts, |mut values, alert| {
        values.push_bind(&alert.alert_id).push_bind(&alert.rule).push_bind(alert.rule_version);
        values.push_bind(&alert.plugin_version).push_bind(&alert.plugin_sha256);
        values.push_bind(alert.severity.name()).push_bind(alert.mode.name());
        values.push_bind(&alert.event_time).push_bind(&alert.generated_at).push_bind(&alert.key);
        values.push_bind(&alert.payment_id).push_bind(&alert.order_id).push_bind(&alert.customer_id);
        values.push_bind(json(&alert.criteria)).push_bind(json(&alert.context));
        values.push_bind((!alert.lists.is_empty()).then(|| json(&*alert.lists))).push_bind(pipeline);
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
