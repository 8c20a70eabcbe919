//! The warehouse: published tables that analysts query, the alerts, and the results of quality checks.
//!
//! [`SqliteWarehouse`] is the one that needs nothing installed, [`MemoryWarehouse`] its twin for tests; PostgreSQL
//! comes behind the same trait.
//!
//! How values stand in SQLite, which has five storage classes and no decimals or dates:
//!
//! | column type | SQLite | why |
//! |---|---|---|
//! | text | TEXT | |
//! | Int32, Int64 | INTEGER | |
//! | Float64 | REAL | NaN and infinities are refused, SQLite would make NULL of NaN |
//! | decimal(18,2) | REAL | see below |
//! | Boolean | INTEGER 0 or 1 | |
//! | date | TEXT `YYYY-MM-DD` | sorts, and SQLite's date functions read it |
//! | timestamp | TEXT RFC 3339, ms, `Z` | likewise |
//!
//! An amount is the double nearest to it. A double keeps 15 decimal digits, so every amount below ten thousand
//! billion reads back to the exact cent, `ROUND(SUM(x), 2)` is exact as far as that, and `SUM`, `AVG`, `ORDER BY` and
//! `/` mean what they say. Cents as INTEGER would be exact for longer and a hundred times off for whoever forgets;
//! TEXT would sort `9.00` behind `10.00`. An amount that does not fit is an error of the load, never a nearby value.

mod alert_rows;
mod cell;
mod memory;
mod sqlite;

use arrow_schema::SchemaRef;
use futures::future::BoxFuture;
use tamis_model::alert::Alert;
use tamis_model::{Error, Result};

pub use alert_rows::AlertRows;
pub use cell::Cell;
pub use memory::MemoryWarehouse;
pub use sqlite::{AlertCursor, AlertFilter, SqliteWarehouse, StoredAlert};

use crate::rows::Rows;

/// A table to be published.
#[derive(Clone, Debug)]
pub struct WarehouseTable {
    /// Its name.
    pub name: String,
    /// Its columns.
    pub schema: SchemaRef,
    /// The columns that queries look rows up by; each gets an index.
    pub key_columns: Vec<String>,
}

impl WarehouseTable {
    /// Refuses what no warehouse could publish.
    fn check(&self) -> Result<()> {
        let refuse = |reason: String| Err(Error::invalid("load table", format!("{:?}", self.name), reason));
        let is_ours = ["alerts", "quality_results", "tamis_tables"].contains(&self.name.as_str());
        if is_ours || self.name.is_empty() || self.name.starts_with("sqlite_") || self.name.ends_with("__next") {
            return refuse("the name is reserved".to_owned());
        }
        let fields = self.schema.fields();
        if let Some(field) = fields.iter().find(|field| cell::declared_type(field.data_type()).is_none()) {
            return refuse(format!(
                "column {} has the type {}, which tables do not have",
                field.name(),
                field.data_type()
            ));
        }
        match self.key_columns.iter().find(|key| self.schema.index_of(key).is_err()) {
            Some(key) => refuse(format!("its key column {key} is not among its columns")),
            None => Ok(()),
        }
    }
}

/// A line of `quality_results` (contracts 5), but for the run that checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QualityResult {
    /// When, RFC 3339.
    pub checked_at: String,
    /// What was checked.
    pub dataset: String,
    /// The check's name.
    pub check_name: String,
    /// `completeness`, `volume`, `range` or `consistency`.
    pub category: String,
    /// The column; none = the whole dataset.
    pub column_name: Option<String>,
    /// Whether it is as expected.
    pub passed: bool,
    /// What was seen.
    pub observed: String,
    /// What should have been seen.
    pub expected: String,
    /// Whether its failure alone stops the publication.
    pub blocking: bool,
}

/// Where published tables live.
///
/// Contract:
/// - `load` puts a run's rows beside the published table, where no reader looks. The same table loaded again replaces
///   what was loaded before, also what a crash left half loaded.
/// - `publish` switches the tables that the run loaded in one atomic step: a reader sees all of the old ones or all
///   of the new. Tables that are not named stay. It is idempotent: tables that the run has published already are left
///   alone. A table that the run neither loaded to its end nor published is an error, and nothing is switched.
/// - `discard` drops everything that was loaded and not published.
/// - An alert is inserted once per `alert_id`, the first content stands. `alerts_mark` is a mark behind the alerts
///   that a pipeline has inserted, durable; `cut_alerts` removes those of the pipeline behind a mark.
/// - The quality results of a run are replaced as a whole, so that keeping them again changes nothing.
///
/// Every method is durable when it returns.
pub trait Warehouse: Send + Sync {
    /// Loads a table beside the published one; returns its rows.
    fn load<'a>(&'a self, run_id: &'a str, table: &'a WarehouseTable, rows: Rows) -> BoxFuture<'a, Result<u64>>;
    /// Publishes tables that the run has loaded.
    fn publish<'a>(&'a self, run_id: &'a str, tables: &'a [String]) -> BoxFuture<'a, Result<()>>;
    /// Drops what was loaded and never published.
    fn discard(&self) -> BoxFuture<'_, Result<()>>;
    /// Inserts alerts, which are pseudonymised already (`Alert::for_storage`), on behalf of a pipeline; returns how
    /// many were new.
    fn insert_alerts<'a>(&'a self, pipeline: &'a str, alerts: &'a [Alert]) -> BoxFuture<'a, Result<u64>>;
    /// The mark behind the last alert of a pipeline, 0 when there is none.
    fn alerts_mark<'a>(&'a self, pipeline: &'a str) -> BoxFuture<'a, Result<i64>>;
    /// Removes the alerts that a pipeline inserted after the mark was taken.
    fn cut_alerts<'a>(&'a self, pipeline: &'a str, mark: i64) -> BoxFuture<'a, Result<()>>;
    /// Keeps all results of a run's quality checks.
    fn replace_quality_results<'a>(
        &'a self,
        run_id: &'a str,
        results: &'a [QualityResult],
    ) -> BoxFuture<'a, Result<()>>;
}
