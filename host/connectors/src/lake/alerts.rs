//! Alerts in object storage: `alerts/<rule>/event_date=YYYY-MM-DD/<writer>-<log>-<part>.jsonl.zst`.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use tamis_engine::{Settle, Sink};
use tamis_model::alert::Alert;
use tamis_model::error::Context;
use tamis_model::pseudonym::Pepper;
use tamis_model::{Error, Result};

use super::gathered_lines::{GatheredLines, Staged};
use super::json_lines::Form;
use crate::{folders, plain_name};

/// Writes alerts as they are stored (personal values are pseudonyms), by rule and UTC date of `event_time`.
///
/// They are gathered for a while and become visible when they settle; every alert is in exactly one file.
pub struct AlertFiles {
    lines: GatheredLines,
    pepper: Pepper,
}

impl AlertFiles {
    /// A sink over `folder` (the lake's `alerts`, created when missing). Each pipeline has a `writer` name of its
    /// own, which becomes part of the file names. Alerts settle after `settle_after`.
    pub fn open(folder: impl Into<PathBuf>, writer: &str, pepper: Pepper, settle_after: Duration) -> Result<Self> {
        Ok(Self { lines: GatheredLines::open(folder.into(), writer, Form::Zstd, settle_after)?, pepper })
    }

    /// Makes visible what a pipeline has gathered there for which no checkpoint speaks any more. An alert that it raises again is there twice.
    pub fn deal_left(folder: impl Into<PathBuf>, writer: &str) -> Result<()> {
        GatheredLines::open(folder.into(), writer, Form::Zstd, Duration::ZERO)?.deal_left()
    }

    fn append(&mut self, alert: &Alert) -> Result<()> {
        let date = alert.event_time.get(..10).ok_or_else(|| {
            Error::invalid("store alert", &alert.alert_id, "its event_time does not begin with a date")
        })?;
        plain_name::check("store an alert of rule", &alert.rule)?;
        plain_name::check("store an alert of", date)?;
        let json = alert.for_storage(&self.pepper).json();
        self.lines.append(&format!("{}/event_date={date}", alert.rule), &json)
    }
}

/// Shows `visit` each line that the lake's folder of alerts has of a rule.
pub fn alert_lines(alerts: &Path, rule: &str, visit: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
    plain_name::check("read the alerts of rule", rule)?;
    let folder = alerts.join(rule);
    for date in folders::names(&folder)? {
        let day = folder.join(date);
        for name in folders::names(&day)?.iter().filter(|name| name.ends_with(Form::Zstd.extension())) {
            let path = day.join(name);
            let file = File::open(&path).outage("open", path.display())?;
            let lines = BufReader::new(zstd::Decoder::new(file).outage("open", path.display())?);
            for line in lines.split(b'\n') {
                visit(&line.corrupt("read", path.display())?)?;
            }
        }
    }
    Ok(())
}

impl Sink<Alert> for AlertFiles {
    fn write(&mut self, output: &[Alert]) -> Result<()> {
        output.iter().try_for_each(|alert| self.append(alert))
    }

    fn stage(&mut self) -> Result<serde_json::Value> {
        Ok(serde_json::to_value(self.lines.stage()?).expect("a stage is JSON"))
    }

    fn commit(&mut self, staged: &serde_json::Value) -> Result<()> {
        let staged = Staged::deserialize(staged).corrupt("commit", "alerts to the lake")?;
        self.lines.commit(&staged)
    }

    fn settle(&mut self, what: Settle) -> Result<()> {
        self.lines.settle(what)
    }
}
