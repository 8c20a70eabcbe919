//! The SQL engine of jobs: DataFusion with a bounded memory pool that spills to the staging folder.

use std::path::Path;
use std::sync::Arc;

use datafusion::catalog::{CatalogProvider, MemorySchemaProvider, TableProvider};
use datafusion::common::TableReference;
use datafusion::datasource::empty::EmptyTable;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext};
use datafusion::scalar::ScalarValue;
use futures::TryStreamExt;
use tamis_model::error::Context;
use tamis_model::{Error, Kind, Result};

use crate::datasets::Dataset;
use crate::staging::{StagedFile, StagingFolder};
use crate::{countries, functions};

/// Rows of a batch between operators.
const BATCH_ROWS: usize = 4_096;
/// Partitions of a query at most.
const PARTITIONS_MAX: usize = 8;
/// Memory that a partition of a query has at least.
const PARTITION_BYTES_MIN: usize = 64 << 20;
/// One part in so many of the memory is kept back for the merges of sorts.
const RESERVED_SHARE: usize = 32;
/// The schemas in which tables are found: two layers of the lake, and tables that come with the program.
const SCHEMAS: [&str; 3] = ["silver", "gold", "reference"];

/// Queries over the lake for one logical date.
#[derive(Clone)]
pub struct Session {
    context: SessionContext,
    as_of: ScalarValue,
}

impl Session {
    /// A session whose queries together hold at most about `memory_bytes_max` and spill to `staging`. In their
    /// text `$as_of` is the logical date.
    pub fn open(memory_bytes_max: usize, staging: &Path, as_of: chrono::NaiveDate) -> Result<Self> {
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(FairSpillPool::new(memory_bytes_max)))
            .with_temp_file_path(staging)
            .build_arc()
            .outage("open SQL session in", staging.display())?;
        // Each operator of each partition has its share of the pool: a small one is not cut into too many.
        let partitions = parallelism().min(memory_bytes_max / PARTITION_BYTES_MIN).max(1);
        let mut config = SessionConfig::new().with_batch_size(BATCH_ROWS).with_target_partitions(partitions);
        // What each sort keeps back for its merge must leave most of a small pool to the sorting.
        let reserved = memory_bytes_max / (RESERVED_SHARE * partitions);
        let default = config.options().execution.sort_spill_reservation_bytes;
        config.options_mut().execution.sort_spill_reservation_bytes = reserved.min(default);
        // Sort-merge joins spill, hash joins do not.
        config.options_mut().optimizer.prefer_hash_join = false;
        config.options_mut().execution.parquet.schema_force_view_types = false;
        let context = SessionContext::new_with_config_rt(config, runtime);
        functions::register(&context);
        let catalog = context.catalog("datafusion").expect("a new session has its default catalog");
        for schema in SCHEMAS {
            add_schema(catalog.as_ref(), schema)?;
        }
        let days = arrow_array::types::Date32Type::from_naive_date(as_of);
        let session = Self { context, as_of: ScalarValue::Date32(Some(days)) };
        let countries = session.context.read_batch(countries::countries()?).invalid("read", "countries")?;
        session.add("reference.pays", countries.into_view())?;
        Ok(session)
    }

    /// Makes a table known under `layer.name`, in the place of one that had the name.
    pub fn add(&self, name: &str, table: Arc<dyn TableProvider>) -> Result<()> {
        let reference = TableReference::parse_str(name);
        self.context.deregister_table(reference.clone()).invalid("replace table", name)?;
        self.context.register_table(reference, table).map(drop).invalid("add table", name)
    }

    /// Makes an empty table of a dataset known.
    pub fn add_empty(&self, dataset: &Dataset) -> Result<()> {
        self.add(dataset.name, Arc::new(EmptyTable::new(dataset.schema())))
    }

    /// Makes the rows of a staged file known as a table.
    pub async fn add_staged(&self, name: &str, file: &Path) -> Result<()> {
        let path = utf8(file)?;
        let rows = self.context.read_parquet(path, ParquetReadOptions::default()).await;
        self.add(name, rows.invalid("read staging file", file.display())?.into_view())
    }

    /// Runs one query. `name` is what errors call it.
    pub async fn query(&self, name: &str, sql: &str) -> Result<SendableRecordBatchStream> {
        let frame = self.context.sql(sql).await.invalid("plan query", name)?;
        let frame =
            frame.with_param_values(vec![("as_of", self.as_of.clone())]).invalid("bind parameters of query", name)?;
        frame.execute_stream().await.outage("run query", name)
    }

    /// Runs the query of `dataset`, keeps its rows in the staging folder and makes them known under its name.
    pub async fn stage(&self, dataset: &Dataset, sql: &str, staging: &StagingFolder) -> Result<u64> {
        let path = staging.file(dataset.name);
        let mut file = StagedFile::create(path.clone(), dataset.schema())?;
        let mut rows = self.query(dataset.name, sql).await?;
        while let Some(batch) = rows.try_next().await.outage("run query", dataset.name)? {
            file.write(&batch)?;
        }
        let count = file.finish()?;
        self.add_staged(dataset.name, &path).await?;
        Ok(count)
    }
}

fn add_schema(catalog: &dyn CatalogProvider, name: &str) -> Result<()> {
    catalog.register_schema(name, Arc::new(MemorySchemaProvider::new())).map(drop).invalid("add schema", name)
}

/// Every partition of a sort keeps some memory back for its merge, so that more of them need a larger pool.
fn parallelism() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(PARTITIONS_MAX)
}

fn utf8(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| Error::new(Kind::Invalid, "read", path.display()).because("its path is not UTF-8"))
}
