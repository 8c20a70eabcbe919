//! Aggregates in object storage:
//! `aggregates/<name>/window=<window>/event_date=YYYY-MM-DD/<writer>-<log>-<part>.jsonl`.
//!
//! Rows of rules on trial lie the same way in `shadow_aggregates`, where nobody takes them for those that count.

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tamis_engine::{Settle, Sink};
use tamis_model::Result;
use tamis_model::aggregate::AggregateRow;
use tamis_model::error::Context;
use tamis_model::time::utc_date;

use super::gathered_lines::{self, GatheredLines};
use super::json_lines::Form;
use crate::plain_name;

/// Writes the rows of aggregates, by name, window and UTC date of the window's start.
///
/// They are gathered for a while and become visible when they settle; every row is in exactly one file.
pub struct AggregateFiles {
    counting: GatheredLines,
    shadow: GatheredLines,
}

/// What a stage describes.
#[derive(Debug, Serialize, Deserialize)]
struct Staged {
    aggregates: gathered_lines::Staged,
    shadow_aggregates: gathered_lines::Staged,
}

impl AggregateFiles {
    /// A sink over the lake, in which the folders `aggregates` and `shadow_aggregates` are created when missing. Each
    /// pipeline has a `writer` name of its own, which becomes part of the file names. Rows settle after `settle_after`.
    pub fn open(lake: &Path, writer: &str, settle_after: Duration) -> Result<Self> {
        let lines = |folder| GatheredLines::open(lake.join(folder), writer, Form::Plain, settle_after);
        Ok(Self { counting: lines("aggregates")?, shadow: lines("shadow_aggregates")? })
    }

    /// Makes visible what a pipeline has gathered there for which no checkpoint speaks any more. A row that it says again is there twice.
    pub fn deal_left(lake: &Path, writer: &str) -> Result<()> {
        let Self { counting, shadow } = Self::open(lake, writer, Duration::ZERO)?;
        counting.deal_left()?;
        shadow.deal_left()
    }

    fn append(&mut self, row: &AggregateRow) -> Result<()> {
        plain_name::check("store a row of aggregate", &row.name)?;
        plain_name::check("store a row of window", &row.window)?;
        let group = format!("{}/window={}/event_date={}", row.name, row.window, utc_date(row.window_start));
        let lines = if row.shadow { &mut self.shadow } else { &mut self.counting };
        lines.append(&group, &row.json)
    }
}

impl Sink<AggregateRow> for AggregateFiles {
    fn write(&mut self, output: &[AggregateRow]) -> Result<()> {
        output.iter().try_for_each(|row| self.append(row))
    }

    fn stage(&mut self) -> Result<serde_json::Value> {
        let staged = Staged { aggregates: self.counting.stage()?, shadow_aggregates: self.shadow.stage()? };
        Ok(serde_json::to_value(staged).expect("a stage is JSON"))
    }

    fn commit(&mut self, staged: &serde_json::Value) -> Result<()> {
        let staged = Staged::deserialize(staged).corrupt("commit", "aggregates to the lake")?;
        self.counting.commit(&staged.aggregates)?;
        self.shadow.commit(&staged.shadow_aggregates)
    }

    fn settle(&mut self, what: Settle) -> Result<()> {
        self.counting.settle(what)?;
        self.shadow.settle(what)
    }
}
