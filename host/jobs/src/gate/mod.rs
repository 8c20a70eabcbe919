//! The gate: gold tables are published only if they pass (contracts 5).
//!
//! Check plugins see the freshly computed tables in their sandbox, consistency between tables is asked in SQL. Tables
//! pass when at least 80 % of the results do and none that is blocking fails.

mod bindings;
mod decide;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::DataType;
use futures::TryStreamExt;
use tamis_connectors::sql::quoted;
use tamis_connectors::warehouse::QualityResult;
use tamis_model::error::Context;
use tamis_model::time::{Millis, rfc3339_millis};
use tamis_model::transform::{Check, CheckResult};
use tamis_model::{Error, Kind, Result};

pub use self::bindings::{BoundCheck, Consistency, GatePlan};
pub use self::decide::{Verdict, decide};
use crate::datasets::Dataset;
use crate::ingest::blocking;
use crate::session::Session;

/// The category of checks between tables.
const CONSISTENCY: &str = "consistency";

/// Runs every check of `plan` whose tables are among `staged`.
pub async fn check(
    session: &Session,
    plan: &GatePlan,
    staged: &[&'static Dataset],
    now: Millis,
) -> Result<Vec<QualityResult>> {
    let find = |table: &str| staged.iter().copied().find(|dataset| dataset.table() == table);
    let mut results = Vec::new();
    for bound in &plan.checks {
        let Some(dataset) = find(&bound.dataset) else { continue };
        let found = run_check(session, bound, dataset).await?;
        results.extend(found.into_iter().map(|result| QualityResult {
            checked_at: rfc3339_millis(now),
            dataset: bound.dataset.clone(),
            check_name: bound.name.clone(),
            category: bound.category.clone(),
            column_name: result.column,
            passed: result.passed,
            observed: result.observed,
            expected: result.expected,
            blocking: bound.blocking,
        }));
    }
    for consistency in &plan.consistency {
        if consistency.reads.iter().any(|table| find(table).is_none()) {
            continue;
        }
        let (part, whole) = part_and_whole(session, consistency).await?;
        results.push(QualityResult {
            checked_at: rfc3339_millis(now),
            dataset: consistency.dataset.clone(),
            check_name: consistency.name.clone(),
            category: CONSISTENCY.to_owned(),
            column_name: None,
            passed: 100 * i128::from(part) <= i128::from(consistency.percent_max) * i128::from(whole),
            observed: format!("{part} of {whole}"),
            expected: format!("at most {} %", consistency.percent_max),
            blocking: consistency.blocking,
        });
    }
    Ok(results)
}

/// The results of one check. Code that fails has not found the table in order: that is a result as well.
async fn run_check(session: &Session, bound: &BoundCheck, dataset: &Dataset) -> Result<Vec<CheckResult>> {
    match observe(session, bound, dataset).await {
        Err(error) if error.kind() == Kind::Plugin => Ok(vec![CheckResult {
            column: None,
            passed: false,
            observed: error.chain(),
            expected: "a check that runs".to_owned(),
        }]),
        results => Ok(one_for_each(&bound.columns, results?)),
    }
}

/// What a check must answer: one result for each of its columns, or one for the whole table when it has none. Any other
/// answer counts as one failed result, because what got no result was not checked.
fn one_for_each(columns: &[String], results: Vec<CheckResult>) -> Vec<CheckResult> {
    let named = columns.iter().map(|column| Some(column.as_str()));
    let expected: Vec<Option<&str>> = if columns.is_empty() { vec![None] } else { named.collect() };
    let found = |column: Option<&str>| results.iter().filter(|result| result.column.as_deref() == column).count();
    let words =
        |column: Option<&str>| column.map_or_else(|| "the whole table".to_owned(), |name| format!("column {name}"));
    let observed = match expected.iter().find(|column| found(**column) != 1) {
        Some(column) => format!("{} results for {}", found(*column), words(*column)),
        None if results.len() == expected.len() => return results,
        None => format!("{} results", results.len()),
    };
    let expected = match columns {
        [] => "one result for the whole table".to_owned(),
        columns => format!("one result for each of {}", columns.join(", ")),
    };
    vec![CheckResult { column: None, passed: false, observed, expected }]
}

async fn observe(session: &Session, bound: &BoundCheck, dataset: &Dataset) -> Result<Vec<CheckResult>> {
    let mut code: Box<dyn Check> = bound.code()?;
    let columns: Vec<String> = bound.columns.iter().map(|name| quoted(name)).collect();
    // Without columns only the number of rows matters.
    let selected = if columns.is_empty() { "1 AS row".to_owned() } else { columns.join(", ") };
    let sql = format!("SELECT {selected} FROM {}", dataset.name);
    let mut rows = session.query(&bound.name, &sql).await?;
    let (name, has_columns) = (bound.dataset.clone(), !columns.is_empty());
    let runtime = tokio::runtime::Handle::current();
    blocking(move || {
        while let Some(batch) = runtime.block_on(rows.try_next()).outage("read gold table", &name)? {
            code.observe(&if has_columns { batch } else { rows_only(&batch) })?;
        }
        code.finish()
    })
    .await
}

fn rows_only(batch: &RecordBatch) -> RecordBatch {
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let schema = arrow_schema::SchemaRef::new(arrow_schema::Schema::empty());
    RecordBatch::try_new_with_options(schema, Vec::new(), &options).expect("no columns fit any number of rows")
}

async fn part_and_whole(session: &Session, consistency: &Consistency) -> Result<(i64, i64)> {
    let name = &consistency.name;
    let batches: Vec<RecordBatch> =
        session.query(name, consistency.sql).await?.try_collect().await.outage("run query", name)?;
    let batch = batches.iter().find(|batch| batch.num_rows() > 0);
    let column = |column: &str| -> Option<i64> {
        let values = arrow_cast::cast(batch?.column_by_name(column)?, &DataType::Int64).ok()?;
        values.as_primitive::<Int64Type>().iter().next().flatten()
    };
    match (column("part"), column("whole")) {
        (Some(part), Some(whole)) => Ok((part, whole)),
        _ => Err(Error::new(Kind::Invalid, "run check", name).because("its query does not return part and whole")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `expected` is what a refused answer is said to be; none = the answer stands.
    fn check(columns: &[&str], answer: &[Option<&str>], expected: Option<&str>) {
        let columns: Vec<String> = columns.iter().map(|column| (*column).to_owned()).collect();
        let result = |column: &Option<&str>| CheckResult {
            column: column.map(str::to_owned),
            passed: true,
            observed: String::new(),
            expected: String::new(),
        };
        let answer: Vec<CheckResult> = answer.iter().map(result).collect();
        let found = one_for_each(&columns, answer.clone());
        match expected {
            None => assert_eq!(found, answer),
            Some(observed) => {
                let found: Vec<_> =
                    found.iter().map(|r| (r.passed, r.column.as_deref(), r.observed.as_str())).collect();
                assert_eq!(found, [(false, None, observed)]);
            }
        }
    }

    #[test]
    fn a_check_answers_once_for_each_column() {
        check(&["a", "b"], &[Some("b"), Some("a")], None);
        check(&["a", "b"], &[], Some("0 results for column a"));
        check(&["a", "b"], &[Some("a")], Some("0 results for column b"));
        check(&["a", "b"], &[Some("a"), Some("b"), Some("b")], Some("2 results for column b"));
        check(&["a", "b"], &[Some("a"), None], Some("0 results for column b"));
        check(&["a"], &[Some("a"), Some("moon")], Some("2 results"));
        check(&["a"], &[Some("a"), None], Some("2 results"));
        check(&[], &[None], None);
        check(&[], &[], Some("0 results for the whole table"));
        check(&[], &[None, None], Some("2 results for the whole table"));
        check(&[], &[Some("a")], Some("0 results for the whole table"));
    }
}
