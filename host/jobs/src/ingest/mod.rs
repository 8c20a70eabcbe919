//! Ingest: `drop/<source>/…` to Bronze, bytes unchanged. Bronze never looks inside a file.
//!
//! A file lands at `<source>/ingest_date=YYYY-MM-DD/<its path, with its hash in its name>`. The date is that of
//! the clock when it is taken in (UTC), not the run's logical date: it says when the bytes arrived.
//! A pass can stop anywhere: bytes become visible by a rename, and their place is settled in the catalogue before
//! that, so the next pass puts the same bytes in the same place.

mod copy;
mod scan;

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tamis_catalog::Catalog;
use tamis_catalog::bronze::BronzeFile;
use tamis_engine::clock::Clock;
use tamis_model::time::{Millis, rfc3339_millis, utc_date};
use tamis_model::{Error, Kind, Result};

use self::copy::{Copied, Incoming};
use self::scan::Found;

/// How many digits of its hash the name of a version has.
const VERSION_DIGITS: usize = 8;
/// How much longer a versioned name is: a dot and the digits.
const VERSION_BYTES: usize = 1 + VERSION_DIGITS;

/// Where files come from and go to.
#[derive(Clone, Debug)]
pub struct IngestSettings {
    /// One folder for each source.
    pub drop: PathBuf,
    /// The Bronze folder.
    pub bronze: PathBuf,
    /// A file that changed less than this long ago is looked at a second time after as long, and left for the next
    /// pass when it has changed again.
    pub settle_ms: u64,
}

/// What a pass did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IngestReport {
    /// Taken in: new files and new content of known ones.
    pub taken: Vec<BronzeFile>,
    /// Known content under a new modification time: catalogued, not copied again.
    pub touched: Vec<BronzeFile>,
    /// How many files were as the catalogue knows them.
    pub unchanged: u64,
    /// How many hidden and temporary files were passed over.
    pub skipped: u64,
    /// Left for the next pass.
    pub left: Vec<LeftFile>,
}

/// A file that the next pass will look at again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftFile {
    /// Its path below the drop folder, `crm/2026/a.csv`.
    pub path: String,
    /// Why it was left.
    pub reason: LeftReason,
}

/// Why a file was left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeftReason {
    /// It changed while it was looked at.
    Growing,
    /// It cannot be read or must not be taken in: why.
    Unreadable(String),
}

/// Looks through the drop once. Only trouble with Bronze or the catalogue is an error; trouble with a file is in the report.
pub async fn ingest(settings: &IngestSettings, catalog: &Catalog, clock: &Arc<dyn Clock>) -> Result<IngestReport> {
    let incoming = Incoming::open(&settings.bronze)?;
    let mut report = IngestReport::default();
    let drop = settings.drop.clone();
    let scanned = blocking(move || Ok(scan::scan(&drop))).await?;
    report.skipped = scanned.skipped;
    report.left = scanned.left;

    let mut candidates = Vec::new();
    for (source, files) in scanned.sources {
        let known = catalog.latest_files(&source).await?;
        let known: BTreeMap<_, _> = known.iter().map(|file| (file.original_path.as_str(), file)).collect();
        for found in files {
            let as_known = known.get(found.original_path.as_str()).is_some_and(|file| found.stamp.is_of(file));
            if as_known {
                report.unchanged += 1;
            } else {
                candidates.push(found);
            }
        }
    }
    let settled = settle(candidates, settings.settle_ms, clock, &mut report.left).await?;
    for found in settled {
        take(&found, settings, &incoming, catalog, clock.now(), &mut report).await?;
    }
    Ok(report)
}

/// Sets aside what changes between two looks. One pause for all of them.
async fn settle(
    candidates: Vec<Found>,
    settle_ms: u64,
    clock: &Arc<dyn Clock>,
    left: &mut Vec<LeftFile>,
) -> Result<Vec<Found>> {
    let now_ns = i128::from(clock.now()) * 1_000_000;
    let fresh = |found: &Found| i128::from(found.stamp.modified_ns) > now_ns - i128::from(settle_ms) * 1_000_000;
    if !candidates.iter().any(fresh) {
        return Ok(candidates);
    }
    let clock = Arc::clone(clock);
    blocking(move || {
        clock.sleep(settle_ms);
        Ok(())
    })
    .await?;
    let mut settled = Vec::with_capacity(candidates.len());
    for found in candidates {
        match found.reason_to_wait() {
            None => settled.push(found),
            Some(reason) => left.push(found.left(reason)),
        }
    }
    Ok(settled)
}

async fn take(
    found: &Found,
    settings: &IngestSettings,
    incoming: &Incoming,
    catalog: &Catalog,
    now: Millis,
    report: &mut IngestReport,
) -> Result<()> {
    let (from, to) = (found.clone(), incoming.clone());
    let sha256 = match blocking(move || to.copy(&from)).await? {
        Copied::Whole { sha256 } => sha256,
        Copied::Left(reason) => {
            report.left.push(found.left(reason));
            return Ok(());
        }
    };
    let name = versioned(&found.original_path, &sha256);
    let mut file = BronzeFile {
        source: found.source.clone(),
        original_path: found.original_path.clone(),
        sha256,
        size_bytes: found.stamp.size_bytes,
        source_modified_ns: found.stamp.modified_ns,
        ingested_at: rfc3339_millis(now),
        bronze_path: format!("{}/ingest_date={}/{name}", found.source, utc_date(now)),
    };
    if let Some(why) = why_no_place(&settings.bronze.join(&file.bronze_path)) {
        report.left.push(found.left(LeftReason::Unreadable(why)));
        return Ok(());
    }
    let reserved = match catalog.reserve_file(&file).await {
        Ok(reserved) => reserved,
        Err(_) if is_taken(&file, catalog).await? => {
            let why = format!("another content has its place in Bronze, {}", file.bronze_path);
            report.left.push(found.left(LeftReason::Unreadable(why)));
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    file.bronze_path = reserved.bronze_path;
    let place = settings.bronze.join(&file.bronze_path);
    if reserved.present && holds(&place, file.size_bytes) {
        catalog.confirm_file(&file).await?;
        report.touched.push(file);
    } else {
        incoming.put(&place)?;
        catalog.confirm_file(&file).await?;
        report.taken.push(file);
    }
    Ok(())
}

/// Why Bronze can never have a file at `place`, if so. Who names files and folders in the drop can name a folder as a
/// version of a file will be called, and paths that are longer in Bronze than in the drop.
fn why_no_place(place: &Path) -> Option<String> {
    match std::fs::symlink_metadata(place) {
        Ok(there) if there.is_dir() => Some("Bronze has a folder in its place".to_owned()),
        Err(error) if matches!(error.kind(), ErrorKind::NotADirectory | ErrorKind::InvalidFilename) => {
            Some(format!("Bronze has no place for it: {error}"))
        }
        _ => None,
    }
}

/// Whether another content of the path has the place: one of the same day whose hash begins alike.
async fn is_taken(file: &BronzeFile, catalog: &Catalog) -> Result<bool> {
    let files = catalog.bronze_files(&file.source).await?;
    Ok(files.iter().any(|other| other.bronze_path == file.bronze_path && other.sha256 != file.sha256))
}

fn holds(place: &Path, size_bytes: i64) -> bool {
    std::fs::metadata(place).is_ok_and(|found| i64::try_from(found.len()) == Ok(size_bytes))
}

/// The path with a dot and the first hex digits of the hash before the first dot of the file name.
fn versioned(original_path: &str, sha256: &str) -> String {
    let name_start = original_path.rfind('/').map_or(0, |slash| slash + 1);
    let dot = original_path[name_start..].find('.').map_or(original_path.len(), |dot| name_start + dot);
    format!("{}.{}{}", &original_path[..dot], &sha256[..VERSION_DIGITS], &original_path[dot..])
}

/// Runs work that blocks away from the asynchronous threads.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(died) => Err(Error::new(Kind::Outage, "finish", "blocking work").because(died)),
    }
}

#[cfg(test)]
mod tests;
