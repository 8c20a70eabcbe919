//! The file pipeline: bounded files through a transform, with every row accounted for.
//!
//! What cannot be read, what the transform rejects and what its code fails on goes to quarantine
//! with its reason and its raw bytes; `rows_in = kept + filtered + rejected` holds for every batch or the run fails.

use std::collections::BTreeMap;

use arrow_array::RecordBatch;
use tamis_model::position::{Partition, Positions};
use tamis_model::transform::{Transform, Transformed};
use tamis_model::{Error, Kind, Result};

use crate::decode::{Decoded, Decoder};
use crate::sink::Sink;
use crate::source::{Chunk, Read, Source};

/// Rows of a batch at most.
const ROWS_MAX: usize = 4096;

/// Rows that a transform kept, all from one file.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptRows {
    /// The index of their file among the files of the run.
    pub file: u32,
    /// For each row its number in the file, from 1, ascending.
    pub row_numbers: Vec<i64>,
    /// The rows, in the columns of the transform's output.
    pub rows: RecordBatch,
}

/// A row that was set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuarantinedRow {
    /// The index of its file among the files of the run.
    pub file: u32,
    /// Its number in the file, from 1.
    pub row: i64,
    /// A stable name: of a decoder's refusal, of a transform's rejection, or of a plugin's failure (`trap`, `deadline`, …).
    pub reason: String,
    /// In words; empty when the reason says it all.
    pub message: String,
    /// Its bytes, unchanged.
    pub raw: Vec<u8>,
}

/// What became of a file's rows: `rows_in = kept + filtered + rejected`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileReport {
    /// The file.
    pub file: Partition,
    /// Rows read.
    pub rows_in: u64,
    /// Rows kept; duplicates are found later.
    pub kept: u64,
    /// Rows left out on purpose.
    pub filtered: u64,
    /// Rows in quarantine.
    pub rejected: u64,
    /// Cells of kept rows that could not be read and became null, by output column; columns without any are not listed.
    pub nullified: BTreeMap<String, u64>,
}

/// Reads `files` from their beginnings to their ends, one after the other, through `transform`.
///
/// `make_decoder` makes a decoder for each file; `observer` sees a file's report grow. The caller stages
/// and commits the sinks. Fails with [`Kind::Corrupt`] when rows are not accounted for.
pub fn transform_files(
    source: &mut dyn Source,
    files: &[Partition],
    make_decoder: &mut dyn FnMut(&Partition) -> Box<dyn Decoder>,
    transform: &mut dyn Transform,
    kept: &mut dyn Sink<KeptRows>,
    quarantine: &mut dyn Sink<QuarantinedRow>,
    observer: &mut dyn FnMut(&FileReport),
) -> Result<Vec<FileReport>> {
    source.open(&Positions::default())?;
    let mut chunk = Chunk::default();
    let mut reports = Vec::with_capacity(files.len());
    for (index, file) in files.iter().enumerate() {
        let mut decoder = make_decoder(file);
        let mut run = FileRun::new(index, file.clone());
        while read(source, file, &mut chunk)? {
            let mut from = 0;
            while from < chunk.records().len() {
                let decoded = decoder.decode(&chunk, from, ROWS_MAX);
                if decoded.consumed == 0 {
                    return Err(Error::new(Kind::Corrupt, "decode", format!("{file}, byte {from} of a chunk")));
                }
                from += decoded.consumed;
                run.batch(&chunk, &decoded, transform, kept, quarantine)?;
            }
            observer(&run.report);
        }
        reports.push(run.report);
    }
    Ok(reports)
}

/// Whether there is more of the file.
fn read(source: &mut dyn Source, file: &Partition, chunk: &mut Chunk) -> Result<bool> {
    match source.read(file, chunk)? {
        Read::Records => Ok(true),
        Read::Ended => Ok(false),
        Read::CaughtUp => Err(Error::invalid("read file", file, "its source is not bounded")),
    }
}

/// A file on its way through the transform.
struct FileRun {
    index: u32,
    report: FileReport,
}

impl FileRun {
    fn new(index: usize, file: Partition) -> Self {
        let report = FileReport { file, rows_in: 0, kept: 0, filtered: 0, rejected: 0, nullified: BTreeMap::new() };
        Self { index: u32::try_from(index).expect("a run has less than 2^32 files"), report }
    }

    fn batch(
        &mut self,
        chunk: &Chunk,
        decoded: &Decoded,
        transform: &mut dyn Transform,
        kept: &mut dyn Sink<KeptRows>,
        quarantine: &mut dyn Sink<QuarantinedRow>,
    ) -> Result<()> {
        let rows = decoded.rows.num_rows();
        self.report.rows_in += (rows + decoded.refused.len()) as u64;
        let mut set_aside = self.refused(chunk, decoded);
        if rows > 0 {
            let transformed = transform.apply(rows, decoded.rows.columns())?;
            check_conserved(rows, &transformed).map_err(|reason| {
                Error::new(Kind::Corrupt, "account for the rows of", &self.report.file).because(reason)
            })?;
            set_aside.extend(self.rejected(chunk, decoded, &transformed));
            self.count(&transformed);
            if !transformed.kept.is_empty() {
                let row_numbers = transformed.kept.iter().map(|row| decoded.origins[*row as usize].offset).collect();
                kept.write(&[KeptRows { file: self.index, row_numbers, rows: transformed.rows }])?;
            }
        }
        if !set_aside.is_empty() {
            set_aside.sort_by_key(|row| row.row);
            self.report.rejected += set_aside.len() as u64;
            quarantine.write(&set_aside)?;
        }
        Ok(())
    }

    fn refused(&self, chunk: &Chunk, decoded: &Decoded) -> Vec<QuarantinedRow> {
        let quarantined = |refused: &crate::decode::Refused| QuarantinedRow {
            file: self.index,
            row: refused.origin.offset,
            reason: refused.reason.to_owned(),
            message: refused.message.clone(),
            raw: chunk.records()[refused.origin.start as usize..refused.origin.end as usize].to_vec(),
        };
        decoded.refused.iter().map(quarantined).collect()
    }

    fn rejected(&self, chunk: &Chunk, decoded: &Decoded, transformed: &Transformed) -> Vec<QuarantinedRow> {
        let quarantined = |row: u32, reason: &str, message: &str| {
            let origin = decoded.origins[row as usize];
            QuarantinedRow {
                file: self.index,
                row: origin.offset,
                reason: reason.to_owned(),
                message: message.to_owned(),
                raw: chunk.records()[origin.start as usize..origin.end as usize].to_vec(),
            }
        };
        let rejected = transformed.rejected.iter().map(|(row, reason)| quarantined(*row, reason, ""));
        let poisoned = transformed.poisoned.iter().map(|(row, reason, text)| quarantined(*row, reason.name(), text));
        rejected.chain(poisoned).collect()
    }

    fn count(&mut self, transformed: &Transformed) {
        self.report.kept += transformed.kept.len() as u64;
        self.report.filtered += transformed.filtered.len() as u64;
        let schema = transformed.rows.schema();
        for (field, cells) in schema.fields().iter().zip(&transformed.nullified) {
            if *cells > 0 {
                *self.report.nullified.entry(field.name().clone()).or_default() += cells;
            }
        }
    }
}

/// Whether every input row is in exactly one of the four lists, and the kept ones are those that came out.
fn check_conserved(rows: usize, transformed: &Transformed) -> Result<(), String> {
    let rejected = transformed.rejected.iter().map(|(row, _)| row);
    let poisoned = transformed.poisoned.iter().map(|(row, ..)| row);
    let mut seen = vec![false; rows];
    for row in transformed.kept.iter().chain(rejected).chain(poisoned).chain(&transformed.filtered) {
        match seen.get_mut(*row as usize) {
            None => return Err(format!("row {row} of a batch of {rows} does not exist")),
            Some(true) => return Err(format!("row {row} of a batch of {rows} came out twice")),
            Some(unseen) => *unseen = true,
        }
    }
    if let Some(row) = seen.iter().position(|seen| !seen) {
        return Err(format!("row {row} of a batch of {rows} disappeared"));
    }
    if !transformed.kept.is_sorted() || transformed.kept.len() != transformed.rows.num_rows() {
        return Err(format!("{} rows came out for {} kept", transformed.rows.num_rows(), transformed.kept.len()));
    }
    if transformed.nullified.len() != transformed.rows.num_columns() {
        return Err("the unreadable cells are not counted for each column".to_owned());
    }
    Ok(())
}
