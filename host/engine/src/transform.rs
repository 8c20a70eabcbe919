//! The file pipeline: bounded files through a transform, with every row accounted for.
//!
//! What cannot be read, what the transform rejects and what its code fails on goes to quarantine
//! with its reason and its raw bytes; `rows_in = kept + filtered + rejected` holds for every batch or the run fails.

use std::collections::BTreeMap;

use arrow_array::RecordBatch;
use tamis_model::position::{Partition, Positions};
use tamis_model::time::Millis;
use tamis_model::transform::{Transform, Transformed};
use tamis_model::{Error, Kind, Result};

use crate::bounded::read_to_end;
use crate::chunk::Chunk;
use crate::decode::{Decoded, Decoder};
use crate::sink::Sink;
use crate::source::Source;

/// Rows of a batch at most.
const ROWS_MAX: usize = 4096;

/// Rows that a transform kept, all from one file.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptRows {
    /// The index of their file among the files of the run.
    pub file: u32,
    /// For each row its number in the file, from 1, or its offset; ascending.
    pub row_numbers: Vec<i64>,
    /// For each row its event time; empty for files that are no archive of a topic.
    pub times: Vec<Millis>,
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
    let mut reports = Vec::with_capacity(files.len());
    for (index, file) in files.iter().enumerate() {
        let mut decoder = make_decoder(file);
        let mut run = FileRun::new(index, file.clone());
        read_to_end(source, file, &mut |chunk| {
            let mut from = 0;
            while from < chunk.records().len() {
                let decoded = decoder.decode(chunk, from, ROWS_MAX);
                if decoded.consumed == 0 {
                    return Err(Error::new(Kind::Corrupt, "decode", format!("{file}, byte {from} of a chunk")));
                }
                from += decoded.consumed;
                run.batch(chunk, &decoded, transform, kept, quarantine)?;
            }
            observer(&run.report);
            Ok(())
        })?;
        reports.push(run.report);
    }
    Ok(reports)
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
                let timed = transformed.kept.iter().filter(|_| !decoded.times.is_empty());
                let times = timed.map(|row| decoded.times[*row as usize]).collect();
                kept.write(&[KeptRows { file: self.index, row_numbers, times, rows: transformed.rows }])?;
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::cast::AsArray;
    use arrow_array::{ArrayRef, StringArray};
    use proptest::prelude::*;
    use tamis_model::rule::FailureReason;

    use super::*;
    use crate::decode::lines::LineDecoder;
    use crate::memory::{MemorySink, MemoryTopics};

    /// Keeps lines that begin with `k`, rejects `r`, filters `f`, fails on `p`; loses what begins with `l`.
    struct ByFirstByte;

    impl Transform for ByFirstByte {
        fn configure(&mut self, _: &str) -> Result<()> {
            Ok(())
        }

        fn apply(&mut self, rows: usize, columns: &[ArrayRef]) -> Result<Transformed> {
            let lines = columns[0].as_string::<i32>();
            let first = |row: &u32| lines.value(*row as usize).as_bytes().first().copied();
            let of = |byte| (0..rows as u32).filter(|row| first(row) == Some(byte)).collect::<Vec<_>>();
            let kept = of(b'k');
            let out: StringArray = kept.iter().map(|row| Some(lines.value(*row as usize))).collect();
            Ok(Transformed {
                rows: RecordBatch::try_from_iter([("line", Arc::new(out) as ArrayRef)]).unwrap(),
                nullified: vec![kept.len() as u64],
                kept,
                rejected: of(b'r').into_iter().map(|row| (row, "no_key".to_owned())).collect(),
                filtered: of(b'f'),
                poisoned: of(b'p').into_iter().map(|row| (row, FailureReason::Trap, "boom".to_owned())).collect(),
            })
        }
    }

    fn file(number: u32) -> Partition {
        Partition { topic: "crm".to_owned(), number }
    }

    type Output = (Vec<FileReport>, Vec<(u32, i64, String)>, Vec<QuarantinedRow>);

    fn run(files: &[Vec<String>], chunk_records: usize) -> Result<Output> {
        let topics = MemoryTopics::new();
        let partitions: Vec<_> = (0..files.len()).map(|n| file(n as u32)).collect();
        for (partition, lines) in partitions.iter().zip(files) {
            topics.create(partition);
            lines.iter().for_each(|line| topics.append_line(partition, line));
        }
        let (mut kept, mut quarantine) = (MemorySink::new(), MemorySink::new());
        let reports = transform_files(
            &mut topics.source(true, chunk_records),
            &partitions,
            &mut |_| Box::new(LineDecoder::new()),
            &mut ByFirstByte,
            &mut kept,
            &mut quarantine,
            &mut |_| {},
        )?;
        let mut rows = Vec::new();
        for batch in kept.content() {
            let lines = batch.rows.column(0).as_string::<i32>();
            rows.extend(batch.row_numbers.iter().enumerate().map(|(i, n)| (batch.file, *n, lines.value(i).to_owned())));
        }
        Ok((reports, rows, quarantine.content()))
    }

    proptest! {
        #[test]
        fn every_row_is_accounted_for(
            files in prop::collection::vec(prop::collection::vec("[krfp][a-z]{0,3}", 0..30), 0..4),
            chunk_records in 1..9_usize,
        ) {
            let (reports, kept, quarantined) = run(&files, chunk_records).unwrap();
            prop_assert_eq!(reports.len(), files.len());
            let numbered = |n: usize, first: &'static [u8]| {
                let chosen = files[n].iter().enumerate().filter(move |(_, line)| first.contains(&line.as_bytes()[0]));
                chosen.map(move |(i, line)| (n as u32, i as i64 + 1, line.clone())).collect::<Vec<_>>()
            };
            let all = |first: &'static [u8]| (0..files.len()).flat_map(|n| numbered(n, first)).collect::<Vec<_>>();
            prop_assert_eq!(kept, all(b"k"));
            let set_aside: Vec<_> = quarantined.iter()
                .map(|row| (row.file, row.row, String::from_utf8(row.raw.clone()).unwrap())).collect();
            prop_assert_eq!(set_aside, all(b"rp"));
            for row in &quarantined {
                let expected = if row.raw[0] == b'r' { ("no_key", "") } else { ("trap", "boom") };
                prop_assert_eq!((row.reason.as_str(), row.message.as_str()), expected);
            }
            for (n, report) in reports.iter().enumerate() {
                let count = |first| numbered(n, first).len() as u64;
                let expected = (files[n].len() as u64, count(b"k"), count(b"f"), count(b"rp"));
                prop_assert_eq!((report.rows_in, report.kept, report.filtered, report.rejected), expected);
                prop_assert_eq!(report.nullified.get("line").copied().unwrap_or(0), count(b"k"));
            }
        }
    }

    #[test]
    fn a_row_that_disappears_fails_the_run() {
        let error = run(&[vec!["kept".to_owned(), "lost".to_owned()]], 9).unwrap_err();
        assert_eq!(error.kind(), Kind::Corrupt);
        assert_eq!(error.chain(), "cannot account for the rows of crm/0: row 1 of a batch of 2 disappeared");
    }

    #[test]
    fn what_does_not_add_up_is_told() {
        let rows = RecordBatch::try_from_iter([("x", Arc::new(StringArray::from(vec!["a"])) as ArrayRef)]).unwrap();
        let good = Transformed {
            rows,
            kept: vec![1],
            rejected: vec![(0, String::new())],
            filtered: vec![2],
            nullified: vec![0],
            poisoned: vec![],
        };
        assert_eq!(check_conserved(3, &good), Ok(()));
        let check = |change: fn(&mut Transformed), expected: &str| {
            let mut broken = good.clone();
            change(&mut broken);
            assert_eq!(check_conserved(3, &broken).unwrap_err(), expected);
        };
        check(|t| t.filtered = vec![1, 2], "row 1 of a batch of 3 came out twice");
        check(|t| t.filtered = vec![3], "row 3 of a batch of 3 does not exist");
        check(|t| t.rejected.clear(), "row 0 of a batch of 3 disappeared");
        check(|t| (t.kept, t.filtered) = (vec![1, 2], vec![]), "1 rows came out for 2 kept");
        check(|t| t.nullified.clear(), "the unreadable cells are not counted for each column");
    }
}
