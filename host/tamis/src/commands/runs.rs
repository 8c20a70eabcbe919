//! `tamis runs` and `tamis run show`: what ran.

use serde::Serialize;
use tamis_catalog::Catalog;
use tamis_catalog::run_details::RunFile;
use tamis_catalog::runs::Run;
use tamis_model::{Error, Kind, Result};

use crate::table::{Row, grouped, table};

/// A run in a list.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct RunRow(pub Run);

impl Row for RunRow {
    const HEAD: &'static [&'static str] = &["RUN", "JOB", "AS OF", "STATE", "STARTED", "FINISHED", "#QUALITY", "ERROR"];

    fn cells(&self) -> Vec<String> {
        let Self(run) = self;
        vec![
            run.id.clone(),
            run.job.clone(),
            run.as_of.clone(),
            run.state.to_string(),
            run.started_at.clone(),
            run.finished_at.clone().unwrap_or_default(),
            run.quality_score.map(|score| format!("{score:.1} %")).unwrap_or_default(),
            run.error.clone().unwrap_or_default(),
        ]
    }
}

/// The account of a file's rows.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct FileRow(pub RunFile);

impl Row for FileRow {
    const HEAD: &'static [&'static str] =
        &["SOURCE", "FILE", "#IN", "#OUT", "#DUPLICATES", "#FILTERED", "#REJECTED", "QUARANTINED WHOLE"];

    fn cells(&self) -> Vec<String> {
        let Self(file) = self;
        let counts = file.counts;
        let mut cells = vec![file.source.clone(), file.original_path.clone()];
        cells.extend(
            [counts.rows_in, counts.rows_out, counts.duplicates, counts.filtered, counts.rejected].map(grouped),
        );
        cells.push(file.quarantined.clone().unwrap_or_default());
        cells
    }
}

/// Everything about one run, as text or as one JSON object.
pub async fn show(catalog: &Catalog, id: &str, json: bool) -> Result<String> {
    let run = catalog.run(id).await?.ok_or_else(|| Error::new(Kind::Missing, "show run", id))?;
    let files = catalog.run_files(&run.id).await?;
    let columns = catalog.run_columns(&run.id).await?;
    let tables = catalog.run_tables(&run.id).await?;
    let events = catalog.run_events(&run.id).await?;
    let alerts = catalog.operational_alerts(&run.id).await?;
    if json {
        let whole = serde_json::json!({
            "run": run, "files": files, "cells_nullified": columns, "tables": tables, "events": events, "alerts": alerts,
        });
        return Ok(whole.to_string());
    }
    let mut text = table(&[RunRow(run)]).to_string();
    text.push_str(&format!("\n\n{}", table(&files.into_iter().map(FileRow).collect::<Vec<_>>())));
    for column in columns.iter().filter(|column| column.cells_nullified > 0) {
        text.push_str(&format!(
            "\n{}.{}: {} cells could not be read",
            column.source, column.column_name, column.cells_nullified
        ));
    }
    for written in &tables {
        text.push_str(&format!("\n{}: {} rows", written.dataset, grouped(written.row_count.unsigned_abs())));
    }
    for event in &events {
        text.push_str(&format!("\n{}  {}  {}  {}", event.at, event.event, event.subject, event.message));
    }
    for alert in &alerts {
        text.push_str(&format!("\nALERT {}  {}: {}", alert.kind, alert.subject, alert.message));
    }
    Ok(text)
}
