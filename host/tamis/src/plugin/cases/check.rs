//! Cases of checks: columns in, results out.

use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchOptions};
use serde::Deserialize;
use serde_json::{Value, json};
use tamis_model::error::Context;
use tamis_model::schema::{Column, arrow_schema};
use tamis_model::transform::{Check, CheckResult};
use tamis_model::{Error, Result};
use tamis_plugin::Plugin;

use super::{cells, matching};

/// A case as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    case: String,
    #[serde(default)]
    config: Value,
    columns: Vec<Column>,
    rows: Vec<Vec<Value>>,
    results: Vec<Value>,
}

/// Observes the rows in batches of every length and compares the results, which must not depend on it.
pub(super) fn run(plugin: &Arc<Plugin>, case: &Case) -> Result<(String, Vec<String>)> {
    let config = plugin.effective_config(&case.config)?;
    let rows = batch(case)?;
    let mut failures = Vec::new();
    for rows_max in [rows.num_rows().max(1), 1] {
        let mut check = plugin.check(&config)?;
        for start in (0..rows.num_rows()).step_by(rows_max) {
            check.observe(&rows.slice(start, rows_max.min(rows.num_rows() - start)))?;
        }
        let results: Vec<_> = check.finish()?.iter().map(as_json).collect();
        failures = matching::ordered("result", &case.results, &results);
        if !failures.is_empty() {
            break;
        }
    }
    Ok((case.case.clone(), failures))
}

fn batch(case: &Case) -> Result<RecordBatch> {
    let refuse = |reason: String| Error::invalid("read rows of case", &case.case, reason);
    if let Some(row) = case.rows.iter().find(|row| row.len() != case.columns.len()) {
        return Err(refuse(format!(
            "{} has {} cells, there are {} columns",
            json!(row),
            row.len(),
            case.columns.len()
        )));
    }
    let column = |(index, column): (usize, &Column)| {
        let cells: Vec<_> = case.rows.iter().map(|row| &row[index]).collect();
        cells::column(column.column_type, &cells).map_err(|reason| refuse(format!("column {}: {reason}", column.name)))
    };
    let columns = case.columns.iter().enumerate().map(column).collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(case.rows.len()));
    RecordBatch::try_new_with_options(arrow_schema(&case.columns), columns, &options)
        .invalid("read rows of case", &case.case)
}

fn as_json(result: &CheckResult) -> Value {
    let CheckResult { column, passed, observed, expected } = result;
    json!({"column": column, "passed": passed, "observed": observed, "expected": expected})
}
