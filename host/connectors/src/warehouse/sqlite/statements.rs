//! The SQL of the SQLite warehouse.

use arrow_schema::FieldRef;
use sqlx::query::Query;
use sqlx::query_builder::Separated;
use sqlx::sqlite::{SqliteArguments, SqliteConnection};
use sqlx::{QueryBuilder, Sqlite};
use tamis_model::Result;
use tamis_model::alert::Alert;

use super::{Cell, WarehouseTable, loaded_name};
use crate::sql::quoted;
use crate::warehouse::cell::declared_type;

/// SQLite's default limit is 32 766; a statement with fewer values is quicker to prepare.
const VALUES_PER_INSERT: usize = 8192;

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

/// So many alerts go into one insert, as many as fit first: few statements, each of which is prepared once.
const ALERTS_PER_INSERT: [usize; 3] = [256, 16, 1];

/// Inserts alerts; those that are there already stay as they are. Returns how many are new.
pub(super) async fn insert_alerts(
    connection: &mut SqliteConnection,
    pipeline: &str,
    mut alerts: &[Alert],
) -> sqlx::Result<u64> {
    let mut inserted = 0;
    for rows in ALERTS_PER_INSERT {
        let sql = insert_alerts_sql(rows);
        while let Some((now, later)) = alerts.split_at_checked(rows) {
            let query = now.iter().fold(sqlx::query(&sql), |query, alert| bind_alert(query, pipeline, alert));
            inserted += query.execute(&mut *connection).await?.rows_affected();
            alerts = later;
        }
    }
    Ok(inserted)
}

/// `OR FAIL`, because whoever inserts takes all back when one fails: SQLite needs not be ready to take back the statement alone, for which
/// it copies each page that the statement changes.
fn insert_alerts_sql(rows: usize) -> String {
    let values = ["(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"].repeat(rows).join(", ");
    format!(
        "INSERT OR FAIL INTO alerts (alert_id, rule, rule_version, plugin_version, plugin_sha256, severity, mode, event_time,
            generated_at, key, payment_id, order_id, customer_id, criteria, context, lists, pipeline)
        VALUES {values} ON CONFLICT (alert_id) DO NOTHING"
    )
}

type SqliteQuery<'q> = Query<'q, Sqlite, SqliteArguments<'q>>;

fn bind_alert<'q>(query: SqliteQuery<'q>, pipeline: &'q str, alert: &'q Alert) -> SqliteQuery<'q> {
    let query = query.bind(&alert.alert_id).bind(&alert.rule).bind(alert.rule_version);
    let query = query.bind(&alert.plugin_version).bind(&alert.plugin_sha256);
    let query = query.bind(alert.severity.name()).bind(alert.mode.name());
    let query = query.bind(&alert.event_time).bind(&alert.generated_at).bind(&alert.key);
    let query = query.bind(&alert.payment_id).bind(&alert.order_id).bind(&alert.customer_id);
    query.bind(alert.criteria_json()).bind(alert.context_json()).bind(alert.lists_json()).bind(pipeline)
}

/// Inserts the results of a run, which has none yet.
pub(super) const INSERT_QUALITY_RESULT: &str = "INSERT INTO quality_results (run_id, checked_at, dataset, check_name,
    category, column_name, passed, observed, expected, blocking) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
