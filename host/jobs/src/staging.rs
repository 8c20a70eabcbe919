//! Rows on their way: Parquet files in a run's own folder, where nobody else looks.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_cast::CastOptions;
use arrow_schema::{ArrowError, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use tamis_model::Result;
use tamis_model::error::Context;

/// Rows held in memory before they are written.
const ROW_GROUP_ROWS: usize = 65_536;

/// A Parquet file in the making.
pub struct StagedFile {
    path: PathBuf,
    schema: SchemaRef,
    writer: ArrowWriter<File>,
    rows: u64,
}

impl StagedFile {
    /// A new, empty file at `path`; one that is left of an earlier run is replaced.
    pub fn create(path: PathBuf, schema: SchemaRef) -> Result<Self> {
        let file = File::create(&path).outage("create staging file", path.display())?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
            .build();
        let writer = ArrowWriter::try_new(file, Arc::clone(&schema), Some(properties))
            .invalid("create staging file", path.display())?;
        Ok(Self { path, schema, writer, rows: 0 })
    }

    /// Appends rows, whose columns are matched by name and brought to the file's types. A value that does
    /// not fit its type is an error, never a null.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let batch = conform(batch, &self.schema).corrupt("stage rows in", self.path.display())?;
        self.writer.write(&batch).outage("stage rows in", self.path.display())?;
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    /// Closes the file and says how many rows it has.
    pub fn finish(self) -> Result<u64> {
        self.writer.close().outage("close staging file", self.path.display())?;
        Ok(self.rows)
    }
}

/// The columns of `schema` from a batch that has them under their names, in their types.
pub fn conform(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    let column = |field: &Arc<arrow_schema::Field>| {
        let (index, _) = batch
            .schema_ref()
            .fields()
            .find(field.name())
            .ok_or_else(|| ArrowError::SchemaError(format!("column {} is missing", field.name())))?;
        arrow_cast::cast_with_options(batch.column(index), field.data_type(), &strict)
    };
    let columns = schema.fields().iter().map(column).collect::<Result<Vec<_>, _>>()?;
    let rows = arrow_array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &rows)
}

/// A folder that exists as long as this value; what is in it is lost with it.
#[derive(Debug)]
pub struct StagingFolder(PathBuf);

impl StagingFolder {
    /// An empty folder at `path`. What a run that died left there is removed.
    pub fn create(path: PathBuf) -> Result<Self> {
        match std::fs::remove_dir_all(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).outage("clear staging folder", path.display());
            }
            _ => {}
        }
        std::fs::create_dir_all(&path).outage("create staging folder", path.display())?;
        Ok(Self(path))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The path of the file that stages a dataset.
    pub fn file(&self, dataset: &str) -> PathBuf {
        self.0.join(format!("{dataset}.parquet"))
    }
}

impl Drop for StagingFolder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            // The next run clears it; nothing depends on its being gone.
            tracing::warn!(path = %self.0.display(), %error, "cannot remove staging folder");
        }
    }
}
