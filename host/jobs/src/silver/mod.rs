//! Silver: the latest version of each file of a source through its transform, deduplicated, as one dataset.
//!
//! The whole dataset is made anew and replaced in one commit, so a run can be repeated and a file that comes late,
//! or comes back changed, needs nothing special. Files are read in order of path.

mod dedupe;
mod read;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use chrono::NaiveDate;
use tamis_catalog::Catalog;
use tamis_catalog::bronze::BronzeFile;
use tamis_catalog::run_details::RunFile;
use tamis_connectors::DeltaTables;
use tamis_connectors::lake::TableSpec;
use tamis_model::accounting::RowCounts;
use tamis_model::schema::arrow_schema;
use tamis_model::{Error, Kind, Result};

use self::read::{FileTask, Outcome};
use crate::ingest::blocking;
use crate::plans::TransformPlan;
use crate::session::Session;
use crate::staging::StagingFolder;

/// More rejected rows than this share of a file raise an operational alert, in percent.
const REJECTED_PERCENT_MAX: u64 = 5;

/// What a silver job works with.
pub struct SilverJob<'a> {
    /// The run it belongs to.
    pub run_id: &'a str,
    /// The logical date.
    pub as_of: NaiveDate,
    /// Which versions of which files count.
    pub catalog: &'a Catalog,
    /// The datasets.
    pub tables: &'a DeltaTables,
    /// Runs the deduplication.
    pub session: &'a Session,
    /// Keeps what is not published yet.
    pub staging: &'a StagingFolder,
    /// The Bronze folder.
    pub bronze: PathBuf,
    /// The quarantine folder.
    pub quarantine: PathBuf,
    /// Hears how many rows of how many files have been read.
    pub observer: Arc<dyn Fn(SilverProgress) + Send + Sync>,
}

/// How far a silver job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SilverProgress {
    /// Files that are wholly read.
    pub files_done: usize,
    /// Files to be read.
    pub files: usize,
    /// Rows read of the file at hand.
    pub rows_in: u64,
}

/// What a silver job did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SilverReport {
    /// The source.
    pub source: String,
    /// The dataset.
    pub dataset: String,
    /// Its files in order of path.
    pub files: Vec<RunFile>,
    /// Unreadable cells by Silver column; columns without any are not listed.
    pub nullified: BTreeMap<String, u64>,
}

impl SilverReport {
    /// The accounting of the whole source.
    pub fn counts(&self) -> RowCounts {
        let mut total = RowCounts::default();
        self.files.iter().for_each(|file| total += file.counts);
        total
    }

    /// Files that were unreadable as a whole, with the reason.
    pub fn quarantined(&self) -> impl Iterator<Item = (&RunFile, &str)> {
        self.files.iter().filter_map(|file| Some((file, file.quarantined.as_deref()?)))
    }

    /// Files of which too large a share was rejected.
    pub fn mostly_rejected(&self) -> impl Iterator<Item = &RunFile> {
        self.files.iter().filter(|file| 100 * file.counts.rejected > REJECTED_PERCENT_MAX * file.counts.rows_in)
    }
}

/// Makes the silver dataset of a source anew; none when Bronze has no file of it.
pub async fn run(job: &SilverJob<'_>, plan: &TransformPlan) -> Result<Option<SilverReport>> {
    let files = job.catalog.latest_files(&plan.source).await?;
    if files.is_empty() {
        return Ok(None);
    }
    let task = FileTask {
        files: files.iter().map(|file| (file.original_path.clone(), job.bronze.join(&file.bronze_path))).collect(),
        plan: plan.clone(),
        as_of: job.as_of,
        staged: job.staging.file(&plan.output.dataset),
        quarantine: job.quarantine.clone(),
        run_id: job.run_id.to_owned(),
        observer: Arc::clone(&job.observer),
    };
    let staged = task.staged.clone();
    let outcome = blocking(move || task.run()).await?;
    job.session.add_staged(dedupe::STAGED, &staged).await?;
    let (rows, rows_out) = dedupe::winners(job.session, &plan.output, files.len()).await?;
    let spec = TableSpec { schema: arrow_schema(&plan.output.columns), partition_by: plan.output.partition_by.clone() };
    job.tables.replace(&plan.output.dataset, &spec, job.run_id, rows).await?;
    let report = account(plan, &files, outcome, &rows_out.counts())?;
    let stored = job.tables.row_count(&plan.output.dataset).await?;
    if stored != report.counts().rows_out {
        let why = format!("it has {stored} rows instead of {}", report.counts().rows_out);
        return Err(Error::new(Kind::Corrupt, "account for the rows of", &plan.output.dataset).because(why));
    }
    Ok(Some(report))
}

/// Joins what was read with what won.
fn account(plan: &TransformPlan, files: &[BronzeFile], outcome: Outcome, rows_out: &[u64]) -> Result<SilverReport> {
    let mut nullified = BTreeMap::new();
    let mut accounts = Vec::with_capacity(files.len());
    for ((file, read), rows_out) in files.iter().zip(outcome.files).zip(rows_out) {
        let mut account = RunFile {
            source: file.source.clone(),
            original_path: file.original_path.clone(),
            sha256: file.sha256.clone(),
            counts: RowCounts::default(),
            quarantined: None,
        };
        match read {
            Err(reason) => account.quarantined = Some(reason),
            Ok(read) => {
                let lost = read.kept.checked_sub(*rows_out);
                let duplicates = lost.ok_or_else(|| {
                    let why = format!("{rows_out} rows came out of {} kept", read.kept);
                    Error::new(Kind::Corrupt, "account for the rows of", &file.original_path).because(why)
                })?;
                let (rows_in, filtered, rejected) = (read.rows_in, read.filtered, read.rejected);
                account.counts = RowCounts { rows_in, rows_out: *rows_out, duplicates, filtered, rejected };
                for (column, cells) in read.nullified {
                    *nullified.entry(column).or_default() += cells;
                }
            }
        }
        if !account.counts.balanced() {
            let why = format!("they do not add up: {:?}", account.counts);
            return Err(Error::new(Kind::Corrupt, "account for the rows of", &file.original_path).because(why));
        }
        accounts.push(account);
    }
    Ok(SilverReport { source: plan.source.clone(), dataset: plan.output.dataset.clone(), files: accounts, nullified })
}
