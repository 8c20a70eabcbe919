//! Datasets as Delta tables: `lake/<layer>/<name>`, Hive-partitioned Parquet with zstd.
//!
//! A dataset is replaced as a whole by one commit of its Delta log, so readers see the rows of the run before or of
//! this one. Files of replaced versions are removed at once: whoever reads the folder as plain Parquet finds the rows of
//! one run, and a dataset does not grow with each night. The price is that a reader who opened the version before
//! and has not read it to its end must open the dataset again. The local object store does not sync: after a power cut
//! (not a crash of this program) the last replacements may be gone, and their runs have to be done again. A null
//! partition value is `__HIVE_DEFAULT_PARTITION__`, as Delta and Hive have it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use chrono::Duration;
use deltalake::datafusion::catalog::TableProvider;
use deltalake::datafusion::catalog::streaming::StreamingTable;
use deltalake::datafusion::datasource::provider_as_source;
use deltalake::datafusion::error::DataFusionError;
use deltalake::datafusion::execution::{SendableRecordBatchStream, SessionState, SessionStateBuilder, TaskContext};
use deltalake::datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use deltalake::datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use deltalake::datafusion::physical_plan::streaming::PartitionStream;
use deltalake::delta_datafusion::create_session;
use deltalake::kernel::transaction::CommitProperties;
use deltalake::operations::vacuum::VacuumMode;
use deltalake::operations::write::SchemaMode;
use deltalake::parquet::basic::{Compression, ZstdLevel};
use deltalake::parquet::file::properties::WriterProperties;
use deltalake::protocol::SaveMode;
use deltalake::{DeltaTable, DeltaTableBuilder, DeltaTableError, ensure_table_uri};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use tamis_model::error::Context;
use tamis_model::{Error, Kind, Result};

use crate::plain_name;
use crate::rows::{Rows, conform};

/// The member of a Delta commit that says which run made it.
const RUN_ID: &str = "tamis.run_id";
/// Commits that are searched for the last run; others (an optimize by another tool) may stand on top.
const COMMITS_SEARCHED: usize = 32;

/// The Delta tables of a lake.
#[derive(Clone, Debug)]
pub struct DeltaTables {
    folder: PathBuf,
}

/// What a dataset looks like.
#[derive(Clone, Debug)]
pub struct TableSpec {
    /// Its columns: the Arrow types of `tamis_model::schema::ColumnType`.
    pub schema: SchemaRef,
    /// The columns that are folders, outermost first; text, dates or integers.
    pub partition_by: Vec<String>,
}

impl DeltaTables {
    /// The tables below `folder` (the `lake` folder). A dataset `silver.crm` is the folder `silver/crm`.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// Replaces the whole content of a dataset, schema and partitioning included, and returns the new version. The
    /// dataset is made when it does not exist. A run that has already replaced it changes nothing: the version that
    /// it made is returned.
    ///
    /// Until the commit nobody sees anything; what an interrupted call wrote is swept up by the next one.
    ///
    /// # Errors
    /// Those of `rows`; `Kind::Invalid` when a batch does not have the columns of `spec`; `Kind::Outage`
    /// when the storage fails or another writer committed at the same time.
    pub async fn replace(&self, dataset: &str, spec: &TableSpec, run_id: &str, rows: Rows) -> Result<u64> {
        if let Some(table) = self.open(dataset).await?
            && last_run(&table, dataset).await?.as_deref() == Some(run_id)
        {
            return version(&table, dataset);
        }
        let folder = self.table_folder(dataset)?;
        let uri = ensure_table_uri(folder.to_string_lossy()).invalid("open dataset", dataset)?;
        let table = DeltaTable::try_from_url(uri).await.outage("open dataset", dataset)?;
        let failure = Arc::default();
        let plan = plan_of(dataset, spec, rows, &failure).invalid("write dataset", dataset)?;
        let run = [(RUN_ID.to_owned(), serde_json::Value::from(run_id))];
        let zstd = Compression::ZSTD(ZstdLevel::default());
        let written = table
            .write([])
            .with_input_plan(plan)
            .with_session_state(Arc::new(one_stream()))
            .with_save_mode(SaveMode::Overwrite)
            .with_schema_mode(SchemaMode::Overwrite)
            .with_partition_columns(spec.partition_by.iter().cloned())
            .with_writer_properties(WriterProperties::builder().set_compression(zstd).build())
            .with_commit_properties(CommitProperties::default().with_metadata(run))
            .await;
        match take(&failure) {
            // On its way through DataFusion and Delta an error of the rows would become a text.
            Some(error) => Err(Error::new(error.kind(), "write dataset", dataset).because(error)),
            None => sweep(written.outage("write dataset", dataset)?, dataset).await,
        }
    }

    /// Whether the dataset exists.
    pub async fn exists(&self, dataset: &str) -> Result<bool> {
        Ok(self.open(dataset).await?.is_some())
    }

    /// The dataset as it is now, for DataFusion queries. It stays at that version; once a later replacement has
    /// removed the version's files, reading them fails, and the dataset must be opened again.
    pub async fn provider(&self, dataset: &str) -> Result<Arc<dyn TableProvider>> {
        self.existing(dataset).await?.table_provider().await.outage("open dataset", dataset)
    }

    /// The columns of the dataset, as a query returns them.
    pub async fn schema(&self, dataset: &str) -> Result<SchemaRef> {
        Ok(self.provider(dataset).await?.schema())
    }

    /// The rows of the dataset, by the statistics of its files.
    pub async fn row_count(&self, dataset: &str) -> Result<u64> {
        let table = self.existing(dataset).await?;
        let state = table.snapshot().corrupt("count the rows of", dataset)?;
        let files = state.log_data();
        let total: Option<u64> = files.iter().map(|file| file.num_records().map(|rows| rows as u64)).sum();
        total.ok_or_else(|| Error::new(Kind::Corrupt, "count the rows of", dataset).because("a file has no row count"))
    }

    /// The run that replaced the dataset last; none when it does not exist or no run of ours made it.
    pub async fn last_run(&self, dataset: &str) -> Result<Option<String>> {
        match self.open(dataset).await? {
            Some(table) => last_run(&table, dataset).await,
            None => Ok(None),
        }
    }

    pub(super) fn table_folder(&self, dataset: &str) -> Result<PathBuf> {
        let parts: Vec<&str> = dataset.split('.').collect();
        let [layer, name] = parts[..] else {
            return Err(Error::invalid("open dataset", format!("{dataset:?}"), "its name is not <layer>.<name>"));
        };
        plain_name::check("open a dataset of layer", layer)?;
        plain_name::check("open dataset", name)?;
        Ok(self.folder.join(layer).join(name))
    }

    pub(super) async fn existing(&self, dataset: &str) -> Result<DeltaTable> {
        self.open(dataset).await?.ok_or_else(|| Error::new(Kind::Missing, "open dataset", dataset))
    }

    pub(super) async fn open(&self, dataset: &str) -> Result<Option<DeltaTable>> {
        let folder = self.table_folder(dataset)?;
        if !folder.join("_delta_log").is_dir() {
            return Ok(None);
        }
        let uri = ensure_table_uri(folder.to_string_lossy()).invalid("open dataset", dataset)?;
        match DeltaTableBuilder::from_url(uri).outage("open dataset", dataset)?.load().await {
            // A first run that was interrupted leaves a log without commits.
            Err(DeltaTableError::NotATable(_)) => Ok(None),
            loaded => loaded.map(Some).outage("open dataset", dataset),
        }
    }
}

fn version(table: &DeltaTable, dataset: &str) -> Result<u64> {
    table.version().ok_or_else(|| Error::new(Kind::Corrupt, "read the version of", dataset))
}

async fn last_run(table: &DeltaTable, dataset: &str) -> Result<Option<String>> {
    let mut commits = table.history(Some(COMMITS_SEARCHED));
    while let Some(commit) = commits.try_next().await.outage("read the history of", dataset)? {
        if let Some(run) = commit.info.get(RUN_ID).and_then(serde_json::Value::as_str) {
            return Ok(Some(run.to_owned()));
        }
    }
    Ok(None)
}

/// Removes the files that the current version does not have, and returns the version that says so. Nobody
/// else writes a dataset at the same time: a run holds the lock of its home. The first version needs it too: a
/// first write that was interrupted leaves files.
async fn sweep(table: DeltaTable, dataset: &str) -> Result<u64> {
    let (swept, _) = table
        .vacuum()
        .with_mode(VacuumMode::Full)
        .with_retention_period(Duration::zero())
        .with_enforce_retention_duration(false)
        .await
        .outage("remove the files that were replaced of", dataset)?;
    version(&swept, dataset)
}

/// What may be in a place that two threads look at.
pub(super) type Slot<T> = Mutex<Option<T>>;

/// Takes what is there. It is whole even if another holder panicked.
pub(super) fn take<T>(slot: &Slot<T>) -> Option<T> {
    slot.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// A session that writes rows in one stream. With more, Delta deals them out by partition, and DataFusion's exchange holds nothing
/// back while one of its outputs is empty: the rows of a single day would pile up in memory.
pub(super) fn one_stream() -> SessionState {
    let state = create_session().state();
    let config = state.config().clone().with_target_partitions(1);
    SessionStateBuilder::new_from_existing(state).with_config(config).build()
}

/// A plan that yields the rows, once. Their failure is put into `failure`.
pub(super) fn plan_of(
    dataset: &str,
    spec: &TableSpec,
    rows: Rows,
    failure: &Arc<Slot<Error>>,
) -> Result<LogicalPlan, DataFusionError> {
    let (name, schema, failure) = (dataset.to_owned(), Arc::clone(&spec.schema), Arc::clone(failure));
    let conforming = rows.map(move |batch| conform(&batch?, &schema, &name));
    let failing = conforming.map_err(move |error| {
        let text = error.to_string();
        *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        DataFusionError::Execution(text)
    });
    let once = Arc::new(Once { schema: Arc::clone(&spec.schema), rows: Mutex::new(Some(failing.boxed())) });
    let table = StreamingTable::try_new(Arc::clone(&spec.schema), vec![once])?;
    LogicalPlanBuilder::scan("rows", provider_as_source(Arc::new(table)), None)?.build()
}

/// A stream as the only partition of a table; it can be scanned once.
struct Once {
    schema: SchemaRef,
    rows: Slot<BoxStream<'static, Result<RecordBatch, DataFusionError>>>,
}

impl std::fmt::Debug for Once {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Once").finish_non_exhaustive()
    }
}

impl PartitionStream for Once {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let rows = take(&self.rows).unwrap_or_else(|| {
            let twice = DataFusionError::Execution("a stream of rows cannot be scanned twice".to_owned());
            futures::stream::once(async { Err(twice) }).boxed()
        });
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), rows))
    }
}
