//! Tables that grow: rows of an archive, each once, whatever crashes.
//!
//! Which records a table holds stands in its log, in the same commit as their rows: a transaction identifier of Delta for each partition of
//! the topic, whose version is the next offset. It outlives checkpoints and clean-ups of the log.

use std::sync::Arc;

use deltalake::datafusion::common::Column;
use deltalake::datafusion::logical_expr::{Expr, lit};
use deltalake::kernel::Transaction;
use deltalake::kernel::transaction::CommitProperties;
use deltalake::operations::write::SchemaMode;
use deltalake::parquet::basic::{Compression, ZstdLevel};
use deltalake::parquet::file::properties::WriterProperties;
use deltalake::protocol::SaveMode;
use deltalake::{DeltaTable, ensure_table_uri};
use tamis_model::error::Context;
use tamis_model::position::{Partition, Positions};
use tamis_model::{Error, Result};

use super::tables::{DeltaTables, TableSpec, one_stream, plan_of, take};
use crate::rows::Rows;

/// Keys that one delete names.
const KEYS_MAX: usize = 1_000;

impl DeltaTables {
    /// The next offset of each of `partitions` that a dataset has not taken yet.
    pub async fn taken(&self, dataset: &str, partitions: &[Partition]) -> Result<Positions> {
        let mut taken = Positions::default();
        let Some(table) = self.open(dataset).await? else { return Ok(taken) };
        let state = table.snapshot().corrupt("read what was taken by", dataset)?;
        for partition in partitions {
            let version = state.transaction_version(table.log_store().as_ref(), application(partition)).await;
            if let Some(next) = version.corrupt("read what was taken by", dataset)? {
                taken.set(partition, next);
            }
        }
        Ok(taken)
    }

    /// Adds rows to a dataset, which is made when it does not exist, and says in the same commit that it has taken everything before
    /// `taken`. What an interrupted call wrote is never seen.
    ///
    /// # Errors
    /// Those of `rows`; `Kind::Invalid` when a batch does not have the columns of `spec`; `Kind::Outage`
    /// when the storage fails or another writer committed at the same time.
    pub async fn append(&self, dataset: &str, spec: &TableSpec, taken: &Positions, rows: Rows) -> Result<()> {
        let folder = self.table_folder(dataset)?;
        let uri = ensure_table_uri(folder.to_string_lossy()).invalid("open dataset", dataset)?;
        let table = DeltaTable::try_from_url(uri).await.outage("open dataset", dataset)?;
        let failure = Arc::default();
        let plan = plan_of(dataset, spec, rows, &failure).invalid("write dataset", dataset)?;
        let transactions = taken.0.iter().map(|(partition, next)| Transaction::new(application(partition), *next));
        let zstd = Compression::ZSTD(ZstdLevel::default());
        let written = table
            .write([])
            .with_input_plan(plan)
            .with_session_state(Arc::new(one_stream()))
            .with_save_mode(SaveMode::Append)
            .with_schema_mode(SchemaMode::Merge)
            .with_partition_columns(spec.partition_by.iter().cloned())
            .with_writer_properties(WriterProperties::builder().set_compression(zstd).build())
            .with_commit_properties(CommitProperties::default().with_application_transactions(transactions.collect()))
            .await;
        match take(&failure) {
            Some(error) => Err(Error::new(error.kind(), "write dataset", dataset).because(error)),
            None => written.outage("write dataset", dataset).map(drop),
        }
    }

    /// Removes the rows of a dataset whose `column` is one of `keys`.
    pub async fn remove(&self, dataset: &str, column: &str, keys: &[String]) -> Result<()> {
        for keys in keys.chunks(KEYS_MAX) {
            let table = self.existing(dataset).await?;
            let key = Expr::Column(Column::from_name(column));
            let named = key.in_list(keys.iter().map(|key| lit(key.as_str())).collect(), false);
            table.delete().with_predicate(named).await.outage("remove rows of", dataset)?;
        }
        Ok(())
    }
}

/// The identifier of a partition's transactions.
fn application(partition: &Partition) -> String {
    format!("tamis/archive/{partition}")
}
