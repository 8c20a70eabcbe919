//! Alerts in object storage: `alerts/<rule>/event_date=YYYY-MM-DD/<writer>-<stage>-<part>.jsonl.zst`.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tamis_engine::Sink;
use tamis_model::alert::Alert;
use tamis_model::error::Context;
use tamis_model::pseudonym::Pepper;
use tamis_model::{Error, Result};

use super::json_lines::{self, EXTENSION, JsonLines, check_name};
use crate::durable;

/// Files that are open at a time; each holds a compressor of about a megabyte.
const OPEN_MAX: usize = 32;

/// Writes alerts as they are stored (personal values are pseudonyms), by rule and UTC date of `event_time`.
///
/// They become visible with a commit. File names count stages and parts of a stage, so that a commit repeated after a
/// crash finds its own files: what is staged lies in `.staged/<writer>` and the stage's JSON lists it. Every alert is
/// in exactly one file; files of one stage and partition are several when more than a few partitions fill at the same
/// time.
pub struct AlertFiles {
    folder: PathBuf,
    staging: PathBuf,
    pepper: Pepper,
    open: BTreeMap<Group, Part>,
    /// The number of the stage being written.
    stage: u64,
    /// Parts begun in this stage.
    parts: u64,
    /// Finished files of this stage: the name in the staging folder and the path below `folder`.
    finished: BTreeMap<String, String>,
}

/// Rule and date.
type Group = (String, String);

struct Part {
    name: String,
    lines: JsonLines,
    last_used: u64,
}

/// What a stage describes.
#[derive(Debug, Serialize, Deserialize)]
struct Staged {
    /// The number of the next stage.
    next: u64,
    /// Name in the staging folder, path below the folder of alerts.
    files: BTreeMap<String, String>,
}

impl AlertFiles {
    /// A sink over `folder` (the lake's `alerts`, created when missing). Each pipeline has a `writer` name of its
    /// own, which becomes part of the file names.
    pub fn open(folder: impl Into<PathBuf>, writer: &str, pepper: Pepper) -> Result<Self> {
        let folder = folder.into();
        check_name(writer)?;
        let staging = folder.join(".staged").join(writer);
        durable::create_folder(&staging).outage("create", staging.display())?;
        let stage = next_stage(&folder, writer)?;
        let (open, finished) = (BTreeMap::new(), BTreeMap::new());
        Ok(Self { folder, staging, pepper, open, stage, parts: 0, finished })
    }

    fn append(&mut self, alert: &Alert) -> Result<()> {
        let date = alert.event_time.get(..10).ok_or_else(|| {
            Error::invalid("store alert", &alert.alert_id, "its event_time does not begin with a date")
        })?;
        let group = (alert.rule.clone(), date.to_owned());
        if !self.open.contains_key(&group) {
            self.begin(group.clone())?;
        }
        let part = self.open.get_mut(&group).expect("the part was just begun");
        part.last_used = self.parts;
        part.lines.append(&alert.for_storage(&self.pepper))
    }

    /// Begins a file for a group; closes the one that was begun or used longest ago when too many are open.
    fn begin(&mut self, group: Group) -> Result<()> {
        check_name(&group.0)?;
        check_name(&group.1)?;
        if self.open.len() >= OPEN_MAX {
            let oldest = self.open.iter().min_by_key(|(_, part)| part.last_used).map(|(group, _)| group.clone());
            oldest.map_or(Ok(()), |group| self.finish(&group))?;
        }
        self.parts += 1;
        let writer = self.staging.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let name = format!("{writer}-{:020}-{:04}{EXTENSION}", self.stage, self.parts);
        let lines = JsonLines::create(self.staging.join(&name))?;
        self.open.insert(group, Part { name, lines, last_used: self.parts });
        Ok(())
    }

    fn finish(&mut self, group: &Group) -> Result<()> {
        if let Some(part) = self.open.remove(group) {
            part.lines.finish()?;
            let (rule, date) = group;
            let path = format!("{rule}/event_date={date}/{}", part.name);
            self.finished.insert(part.name, path);
        }
        Ok(())
    }
}

impl Sink<Alert> for AlertFiles {
    fn write(&mut self, output: &[Alert]) -> Result<()> {
        output.iter().try_for_each(|alert| self.append(alert))
    }

    fn stage(&mut self) -> Result<serde_json::Value> {
        let groups: Vec<Group> = self.open.keys().cloned().collect();
        groups.iter().try_for_each(|group| self.finish(group))?;
        durable::sync_folder(&self.staging).outage("sync", self.staging.display())?;
        let staged = Staged { next: self.stage + 1, files: std::mem::take(&mut self.finished) };
        self.stage = staged.next;
        self.parts = 0;
        Ok(serde_json::to_value(staged).expect("a stage is JSON"))
    }

    fn commit(&mut self, staged: &serde_json::Value) -> Result<()> {
        let staged = Staged::deserialize(staged).corrupt("commit to", self.folder.display())?;
        self.open.clear();
        self.finished.clear();
        for (name, path) in &staged.files {
            json_lines::publish(&self.staging.join(name), &self.folder.join(path))?;
        }
        // What else lies there was never committed.
        json_lines::remove_files(&self.staging, |_| true)?;
        self.stage = staged.next;
        self.parts = 0;
        Ok(())
    }
}

/// A number that no file of this writer has, for a pipeline that starts without a checkpoint.
fn next_stage(folder: &Path, writer: &str) -> Result<u64> {
    let mut next = 0;
    for rule in entries(folder)? {
        for date in entries(&rule)? {
            for file in entries(&date)? {
                next = next.max(stage_of(&file, writer).map_or(0, |stage| stage + 1));
            }
        }
    }
    Ok(next)
}

fn stage_of(file: &Path, writer: &str) -> Option<u64> {
    let rest = file.file_name()?.to_str()?.strip_prefix(writer)?.strip_prefix('-')?;
    rest.split('-').next()?.parse().ok()
}

/// The visible entries of a folder, none when it is not a folder.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    use io::ErrorKind::{NotADirectory, NotFound};
    let found = match fs::read_dir(folder) {
        Err(error) if matches!(error.kind(), NotFound | NotADirectory) => return Ok(Vec::new()),
        found => found.outage("list", folder.display())?,
    };
    let mut paths = Vec::new();
    for entry in found {
        let entry = entry.outage("list", folder.display())?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            paths.push(entry.path());
        }
    }
    Ok(paths)
}
