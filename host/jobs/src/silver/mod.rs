//! Silver: the latest version of each file of a source through its transform, deduplicated, as one dataset.
//!
//! The whole dataset is made anew and replaced in one commit, so a run can be repeated and a file that comes late,
//! or comes back changed, needs nothing special. Files are read in order of path. The dataset of a topic is not made anew: see `archived`.

mod archived;
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
use tamis_model::manifest::Format;
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

/// Makes the silver dataset of a source anew, or adds what is new to that of a topic; none when Bronze has no file of it, or nothing new.
pub async fn run(job: &SilverJob<'_>, plan: &TransformPlan) -> Result<Option<SilverReport>> {
    match plan.format {
        Format::Records => archived::run(job, plan).await,
        Format::Csv | Format::Lines => replace(job, plan).await,
    }
}

async fn replace(job: &SilverJob<'_>, plan: &TransformPlan) -> Result<Option<SilverReport>> {
    let files = job.catalog.latest_files(&plan.source).await?;
    if files.is_empty() {
        return Ok(None);
    }
    let task = FileTask::new(job, plan, &files, Vec::new());
    let staged = task.staged.clone();
    let outcome = blocking(move || task.run()).await?;
    job.session.add_staged(dedupe::STAGED, &staged).await?;
    let (rows, rows_out) = dedupe::winners(job.session, &plan.output, files.len()).await?;
    let spec = TableSpec { schema: arrow_schema(&plan.output.columns), partition_by: plan.output.partition_by.clone() };
    job.tables.replace(&plan.output.dataset, &spec, job.run_id, rows).await?;
    let report = account(plan, &files, outcome, &rows_out.counts())?;
    let stored = job.tables.row_count(&plan.output.dataset).await?;
    same_rows(&plan.output.dataset, "the lake", stored, report.counts().rows_out)?;
    Ok(Some(report))
}

/// Rows that were handed to `place` are there, no more and no less.
fn same_rows(dataset: &str, place: &str, found: u64, expected: u64) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    let why = format!("{place} has {found} rows instead of {expected}");
    Err(Error::new(Kind::Corrupt, "account for the rows of", dataset).because(why))
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
                // Duplicates are what is missing, so the balance alone would call every lost row one. Without a key
                // there are none: whatever is missing is lost.
                let missing = read.kept.checked_sub(*rows_out);
                let missing = missing.filter(|missing| *missing == 0 || !plan.output.key.is_empty());
                let duplicates = missing.ok_or_else(|| {
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

#[cfg(test)]
mod tests {
    use tamis_engine::transform::FileReport;
    use tamis_model::dead_letter::PluginRef;
    use tamis_model::position::Partition;
    use tamis_model::transform::Transform;

    use super::*;

    fn plan(key: &[&str]) -> TransformPlan {
        let text = |name: &str| serde_json::json!({"name": name, "type": "text"});
        let manifest = serde_json::from_value(serde_json::json!({
            "name": "silver/crm", "version": "1.0.0", "title": "a fake", "world": "transform",
            "inputs": [{"source": "crm", "format": "lines", "columns": [text("line")]}],
            "output": {"dataset": "silver.crm", "columns": [text("id")], "key": key},
        }));
        let plugin = PluginRef { name: "silver/crm".to_owned(), version: "1.0.0".to_owned(), sha256: "00".to_owned() };
        let make = |_| -> Result<Box<dyn Transform>> { Err(Error::new(Kind::Invalid, "make", "a fake")) };
        TransformPlan::new(&manifest.unwrap(), plugin, Arc::new(make)).unwrap()
    }

    /// One file; `expected` is how the refusal ends, or the number of duplicates.
    fn check(key: &[&str], kept: u64, rows_out: u64, expected: Result<u64, &str>) {
        let file = BronzeFile {
            source: "crm".to_owned(),
            original_path: "a.csv".to_owned(),
            sha256: "00".to_owned(),
            size_bytes: 1,
            source_modified_ns: 0,
            ingested_at: String::new(),
            bronze_path: "crm/ingest_date=2026-03-19/a.00.csv".to_owned(),
        };
        let read = FileReport {
            file: Partition { topic: "crm".to_owned(), number: 0 },
            rows_in: kept,
            kept,
            filtered: 0,
            rejected: 0,
            nullified: BTreeMap::new(),
        };
        let found = account(&plan(key), &[file], Outcome { files: vec![Ok(read)] }, &[rows_out]);
        match (found, expected) {
            (Ok(report), expected) => assert_eq!(Ok(report.counts().duplicates), expected),
            (Err(error), expected) => {
                assert_eq!(error.kind(), Kind::Corrupt);
                assert!(error.chain().ends_with(expected.unwrap_err()), "{}", error.chain());
            }
        }
    }

    #[test]
    fn rows_are_duplicates_only_where_there_is_a_key() {
        check(&["id"], 3, 3, Ok(0));
        check(&["id"], 3, 2, Ok(1));
        check(&["id"], 2, 3, Err("a.csv: 3 rows came out of 2 kept"));
        check(&[], 3, 3, Ok(0));
        check(&[], 3, 2, Err("a.csv: 2 rows came out of 3 kept"));
    }

    #[test]
    fn staged_rows_are_those_that_were_kept() {
        assert!(same_rows("silver.crm", "staging", 3, 3).is_ok());
        let error = same_rows("silver.crm", "staging", 2, 3).unwrap_err();
        assert_eq!(error.kind(), Kind::Corrupt);
        assert!(error.chain().ends_with("silver.crm: staging has 2 rows instead of 3"), "{}", error.chain());
    }
}
