//! Which of several rows of a key stays: a query over the staged rows, which spills when they do not fit.

use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::UInt32Type;
use futures::{StreamExt, TryStreamExt};
use tamis_connectors::Rows;
use tamis_connectors::sql::quoted;
use tamis_model::error::Context;
use tamis_model::manifest::{Keep, Output};
use tamis_model::schema::arrow_schema;
use tamis_model::{Error, Kind, Result};

use crate::session::Session;
use crate::staging::conform;

/// The table of staged rows.
pub(super) const STAGED: &str = "reference.staged";
/// The column of staged rows that numbers their file, in order of path.
pub(super) const FILE: &str = "_file";
/// The column of staged rows that numbers them in their file.
pub(super) const ROW: &str = "_row";
/// The column of staged rows with their event time, where they have one.
pub(super) const TIME: &str = "_time";
/// The column of staged rows with the partition that their file is of, where it is of one.
pub(super) const PARTITION: &str = "_partition";

/// How many rows of each file won; whole once the rows have been read to their end.
#[derive(Clone)]
pub(super) struct Tally(Arc<Mutex<Vec<u64>>>);

impl Tally {
    /// By file.
    pub fn counts(&self) -> Vec<u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn add(&self, batch: &RecordBatch) -> Result<()> {
        let column = batch.column_by_name(FILE).and_then(|column| column.as_primitive_opt::<UInt32Type>());
        let column = column.ok_or_else(|| Error::new(Kind::Corrupt, "count rows by", FILE))?;
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        column.values().iter().for_each(|file| counts[*file as usize] += 1);
        Ok(())
    }
}

/// The rows that stay, in the columns of `output`.
pub(super) async fn winners(session: &Session, output: &Output, files: usize) -> Result<(Rows, Tally)> {
    let tally = Tally(Arc::new(Mutex::new(vec![0; files])));
    let rows = session.query(&output.dataset, &query(output)).await?;
    let (counted, schema, dataset) = (tally.clone(), arrow_schema(&output.columns), output.dataset.clone());
    let rows = rows.map_err(move |error| Error::new(Kind::Outage, "deduplicate", &dataset).because(error));
    let dataset = output.dataset.clone();
    let rows = rows.map(move |batch| {
        let batch = batch?;
        counted.add(&batch)?;
        conform(&batch, &schema).corrupt("make rows of", &dataset)
    });
    Ok((rows.boxed(), tally))
}

fn query(output: &Output) -> String {
    let names = |names: &[String]| names.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ");
    let columns: Vec<String> = output.columns.iter().map(|column| column.name.clone()).collect();
    let columns = format!("{}, {FILE}", names(&columns));
    if output.key.is_empty() {
        return format!("SELECT {columns} FROM {STAGED}");
    }
    let order = match &output.keep {
        Keep::First => format!("{FILE}, {ROW}"),
        Keep::Latest { by } => format!("{} DESC NULLS LAST, {FILE} DESC, {ROW} DESC", quoted(by)),
    };
    format!(
        "SELECT {columns} FROM (SELECT *, row_number() OVER (PARTITION BY {key} ORDER BY {order}) AS _rank FROM {STAGED}) \
         WHERE _rank = 1",
        key = names(&output.key),
    )
}
