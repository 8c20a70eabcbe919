//! Files through a transform into staging: the blocking half of a silver job.

use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int32Array, Int64Array, RecordBatch, UInt32Array};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use chrono::NaiveDate;
use serde_json::Value;
use tamis_catalog::bronze::BronzeFile;
use tamis_connectors::QuarantineFiles;
use tamis_connectors::files::{FileSettings, FileSource, Framing};
use tamis_engine::transform::{FileReport, KeptRows, transform_files};
use tamis_engine::{Chunk, Read, Sink, Source, decode};
use tamis_model::error::Context;
use tamis_model::manifest::Format;
use tamis_model::position::{Partition, Positions};
use tamis_model::schema::arrow_schema;
use tamis_model::{Kind, Result};

use super::dedupe::{FILE, PARTITION, ROW, TIME};
use super::{SilverJob, SilverProgress, same_rows};
use crate::plans::TransformPlan;
use crate::staging::StagedFile;

/// The reason of a file that is set aside as a whole, in the quarantine.
const UNREADABLE_FILE: &str = "unreadable_file";

/// What the blocking half needs.
pub(super) struct FileTask {
    /// The original path of each file, and where its bytes are.
    pub files: Vec<(String, PathBuf)>,
    /// The partition of a topic that each file is of; empty when they are of none.
    pub partitions: Vec<u32>,
    pub plan: TransformPlan,
    pub as_of: NaiveDate,
    /// Where the kept rows go.
    pub staged: PathBuf,
    pub quarantine: PathBuf,
    pub run_id: String,
    pub observer: Arc<dyn Fn(SilverProgress) + Send + Sync>,
}

/// For each file its report, or why it is unreadable as a whole.
pub(super) struct Outcome {
    pub files: Vec<Result<FileReport, String>>,
}

impl FileTask {
    /// The files of a job for one source.
    pub fn new(job: &SilverJob<'_>, plan: &TransformPlan, files: &[BronzeFile], partitions: Vec<u32>) -> Self {
        Self {
            files: files.iter().map(|file| (file.original_path.clone(), job.bronze.join(&file.bronze_path))).collect(),
            partitions,
            plan: plan.clone(),
            as_of: job.as_of,
            staged: job.staging.file(&plan.output.dataset),
            quarantine: job.quarantine.clone(),
            run_id: job.run_id.to_owned(),
            observer: Arc::clone(&job.observer),
        }
    }

    /// Reads every file that can be read to its end. The kept rows are staged, the others in quarantine.
    pub fn run(self) -> Result<Outcome> {
        let names = self.files.iter().map(|(name, _)| name.clone()).collect();
        let paths = self.files.iter().map(|(_, path)| path.clone()).collect();
        let framing = match self.plan.format {
            Format::Csv => Framing::Csv,
            Format::Lines | Format::Records => Framing::Lines,
        };
        let mut source = FileSource::new(&self.plan.source, paths, FileSettings::new(framing));
        let mut quarantine = QuarantineFiles::open(&self.quarantine, &self.plan.source, &self.run_id, names)?;
        let partitions = source.partitions()?;
        let mut broken = Vec::with_capacity(partitions.len());
        for (partition, (name, _)) in partitions.iter().zip(&self.files) {
            let reason = read_through(&mut source, partition)?;
            if let Some(reason) = &reason {
                quarantine.write_file(name, UNREADABLE_FILE, reason)?;
            }
            broken.push(reason);
        }
        let reports = self.transform(&mut source, partitions, &broken, &mut quarantine)?;
        let mut reports = reports.into_iter();
        let files = broken.into_iter().map(|reason| match reason {
            Some(reason) => Err(reason),
            None => Ok(reports.next().expect("each file that reads has its report")),
        });
        Ok(Outcome { files: files.collect() })
    }

    fn transform(
        &self,
        source: &mut FileSource,
        partitions: Vec<Partition>,
        broken: &[Option<String>],
        quarantine: &mut QuarantineFiles,
    ) -> Result<Vec<FileReport>> {
        // Broken files keep their numbers, so that a row's file is its index among all files.
        let readable: Vec<_> = partitions.into_iter().zip(broken).filter(|(_, broken)| broken.is_none()).collect();
        let readable: Vec<Partition> = readable.into_iter().map(|(partition, _)| partition).collect();
        let numbers: Vec<u32> = readable.iter().map(|partition| partition.number).collect();
        let mut kept = KeptSink::create(self, numbers.clone())?;
        let mut set_aside = Renumbered { quarantine, numbers };
        let mut code = (self.plan.make)(self.as_of)?;
        let columns = &self.plan.input.columns;
        let mut make_decoder = |_: &Partition| {
            decode::for_file(self.plan.format, columns).expect("the plan was made with a decoder for these columns")
        };
        let files = readable.len();
        let mut observer = |report: &FileReport| {
            let files_done = readable.iter().position(|partition| *partition == report.file).unwrap_or(files);
            (self.observer)(SilverProgress { files_done, files, rows_in: report.rows_in });
        };
        let reports = transform_files(
            source,
            &readable,
            &mut make_decoder,
            code.as_mut(),
            &mut kept,
            &mut set_aside,
            &mut observer,
        )?;
        let kept_rows = reports.iter().map(|report| report.kept).sum();
        same_rows(&self.plan.output.dataset, "staging", kept.file.finish()?, kept_rows)?;
        // Kept rows become visible with the dataset; what was set aside is visible from here on.
        let staged = set_aside.stage()?;
        set_aside.commit(&staged)?;
        (self.observer)(SilverProgress { files_done: files, files, rows_in: 0 });
        Ok(reports)
    }
}

/// Why a file cannot be read as a whole; only trouble with the disk is an error. Every file is read to its end
/// once before any of its rows count: a broken gzip, or a record without end, may show only there.
fn read_through(source: &mut FileSource, partition: &Partition) -> Result<Option<String>> {
    source.open(&Positions::default())?;
    let mut chunk = Chunk::default();
    loop {
        match source.read(partition, &mut chunk) {
            Ok(Read::Ended | Read::CaughtUp | Read::Waiting | Read::Passed(_)) => return Ok(None),
            Ok(Read::Records) => {}
            Err(error) if matches!(error.kind(), Kind::Corrupt | Kind::Invalid) => {
                let cause = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
                return Ok(Some(cause));
            }
            Err(error) => return Err(error),
        }
    }
}

/// Stages kept rows with the file and row they come from.
struct KeptSink {
    partitions: Vec<u32>,
    schema: SchemaRef,
    file: StagedFile,
    numbers: Vec<u32>,
}

impl KeptSink {
    fn create(task: &FileTask, numbers: Vec<u32>) -> Result<Self> {
        let columns = arrow_schema(&task.plan.output.columns);
        let origin = [
            Field::new(FILE, DataType::UInt32, false),
            Field::new(ROW, DataType::Int64, false),
            Field::new(PARTITION, DataType::Int32, true),
            Field::new(TIME, DataType::Int64, true),
        ];
        let fields: Vec<_> = columns.fields().iter().cloned().chain(origin.map(Arc::new)).collect();
        let schema = Arc::new(Schema::new(fields));
        let file = StagedFile::create(task.staged.clone(), Arc::clone(&schema))?;
        Ok(Self { partitions: task.partitions.clone(), file, schema, numbers })
    }
}

impl Sink<KeptRows> for KeptSink {
    fn write(&mut self, output: &[KeptRows]) -> Result<()> {
        for kept in output {
            let rows = kept.rows.num_rows();
            let number = self.numbers[kept.file as usize];
            let file: ArrayRef = Arc::new(UInt32Array::from_value(number, rows));
            let partition = self.partitions.get(number as usize).map(|partition| partition.cast_signed());
            let partition: ArrayRef = Arc::new(Int32Array::from(vec![partition; rows]));
            let time = (0..rows).map(|row| kept.times.get(row).copied());
            let time: ArrayRef = Arc::new(time.collect::<Int64Array>());
            let row: ArrayRef = Arc::new(Int64Array::from(kept.row_numbers.clone()));
            let columns = kept.rows.columns().iter().cloned().chain([file, row, partition, time]).collect();
            let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns);
            self.file.write(&batch.corrupt("stage kept rows of file", kept.file)?)?;
        }
        Ok(())
    }

    fn stage(&mut self) -> Result<Value> {
        Ok(Value::Null)
    }

    fn commit(&mut self, _: &Value) -> Result<()> {
        Ok(())
    }
}

/// The quarantine under the numbers that files have among all files.
struct Renumbered<'a> {
    quarantine: &'a mut QuarantineFiles,
    numbers: Vec<u32>,
}

impl Sink<tamis_engine::transform::QuarantinedRow> for Renumbered<'_> {
    fn write(&mut self, output: &[tamis_engine::transform::QuarantinedRow]) -> Result<()> {
        let mut rows = output.to_vec();
        rows.iter_mut().for_each(|row| row.file = self.numbers[row.file as usize]);
        self.quarantine.write(&rows)
    }

    fn stage(&mut self) -> Result<Value> {
        self.quarantine.stage()
    }

    fn commit(&mut self, staged: &Value) -> Result<()> {
        self.quarantine.commit(staged)
    }
}
