//! Cases of transforms: the text of a file in, rows out, and an account of all others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};
use tamis_engine::decode::{self, Decoder};
use tamis_engine::memory::MemorySink;
use tamis_engine::transform::{FileReport, KeptRows, QuarantinedRow, transform_files};
use tamis_engine::{Chunk, Read, Source};
use tamis_model::manifest::{Input, Output};
use tamis_model::position::{Partition, Positions};
use tamis_model::{Error, Result};
use tamis_plugin::Plugin;

use super::{cells, matching};

/// A case as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    case: String,
    #[serde(default)]
    config: Value,
    file: String,
    #[serde(default)]
    rows: Vec<Value>,
    #[serde(default)]
    rejected: Vec<Value>,
    #[serde(default)]
    filtered: Vec<i64>,
    #[serde(default)]
    nullified: BTreeMap<String, u64>,
}

/// Runs the file through the file pipeline.
pub(super) fn run(plugin: &Arc<Plugin>, case: &Case) -> Result<(String, Vec<String>)> {
    let manifest = plugin.manifest();
    let (Some(input), Some(output)) = (manifest.inputs.first(), &manifest.output) else {
        return Err(Error::invalid("run case", &case.case, "the plugin declares no input or no output"));
    };
    let mut transform = plugin.transform(&plugin.effective_config(&case.config)?)?;
    let mut decoder = Some(decoder(input)?);
    let (kept, quarantine) = (MemorySink::<KeptRows>::new(), MemorySink::<QuarantinedRow>::new());
    let file = Partition { topic: "case".to_owned(), number: 0 };
    let reports = transform_files(
        &mut Text { text: case.file.clone(), is_read: false },
        &[file],
        &mut |_| decoder.take().expect("there is one file"),
        &mut transform,
        &mut kept.clone(),
        &mut quarantine.clone(),
        &mut |_| {},
    )?;
    Ok((case.case.clone(), failures(case, output, &reports[0], &kept.content(), &quarantine.content())))
}

fn failures(
    case: &Case,
    output: &Output,
    report: &FileReport,
    kept: &[KeptRows],
    quarantined: &[QuarantinedRow],
) -> Vec<String> {
    let types: Vec<_> = output.columns.iter().map(|column| column.column_type).collect();
    let names: Vec<_> = output.columns.iter().map(|column| column.name.clone()).collect();
    let mut expected = case.rows.clone();
    expected.iter_mut().for_each(|row| cells::normalise(row, &names, &types));
    let rows: Vec<_> = kept.iter().flat_map(|batch| cells::rows(&batch.rows, &types)).collect();
    let rejected: Vec<_> =
        quarantined.iter().map(|row| json!({"row": row.row, "reason": row.reason, "message": row.message})).collect();
    let mut failures = matching::ordered("row", &expected, &rows);
    failures.extend(matching::ordered("rejected row", &case.rejected, &rejected));
    let filtered = filtered_rows(report, kept, quarantined);
    if filtered != case.filtered {
        failures.push(format!("filtered: expected rows {:?}, found {filtered:?}", case.filtered));
    }
    if report.nullified != case.nullified {
        failures.push(format!("nullified: expected {:?}, found {:?}", case.nullified, report.nullified));
    }
    failures
}

/// Numbers of the rows that are neither kept nor in quarantine: the pipeline has checked that all others are filtered.
fn filtered_rows(report: &FileReport, kept: &[KeptRows], quarantined: &[QuarantinedRow]) -> Vec<i64> {
    let kept = kept.iter().flat_map(|batch| batch.row_numbers.iter().copied());
    let accounted: BTreeSet<_> = kept.chain(quarantined.iter().map(|row| row.row)).collect();
    let rows = i64::try_from(report.rows_in).unwrap_or(i64::MAX);
    (1..=rows).filter(|row| !accounted.contains(row)).collect()
}

fn decoder(input: &Input) -> Result<Box<dyn Decoder>> {
    match input.format {
        Some(format) => decode::for_file(format, &input.columns),
        None => Err(Error::invalid("run cases of", "a transform", "its input names no format")),
    }
}

/// A file that is a text.
struct Text {
    text: String,
    is_read: bool,
}

impl Source for Text {
    fn open(&mut self, _: &Positions) -> Result<()> {
        self.is_read = false;
        Ok(())
    }

    fn partitions(&mut self) -> Result<Vec<Partition>> {
        Ok(vec![Partition { topic: "case".to_owned(), number: 0 }])
    }

    fn read(&mut self, _: &Partition, chunk: &mut Chunk) -> Result<Read> {
        if std::mem::replace(&mut self.is_read, true) || self.text.is_empty() {
            return Ok(Read::Ended);
        }
        chunk.fill(|bytes| bytes.extend_from_slice(self.text.as_bytes()));
        Ok(Read::Records)
    }

    fn release(&mut self, _: &Positions) -> Result<()> {
        Ok(())
    }
}
