//! Rows that were set aside: `quarantine/<source>/run=<id>/part-<n>.jsonl.zst`.
//!
//! A line has `file`, `row`, `reason`, `message` and `raw`, or `raw_base64` where the bytes are not UTF-8.

use std::fs;
use std::io;
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use tamis_engine::Sink;
use tamis_engine::transform::QuarantinedRow;
use tamis_model::error::Context;
use tamis_model::{Error, Kind, Result};

use super::json_lines::{self, Form, JsonLines};
use crate::{durable, folders, plain_name};

const FORM: Form = Form::Zstd;

/// Writes the quarantined rows of one run of one source.
///
/// They become visible with the commit, in `part-<n>` for the `n`-th stage that has any; a run without any leaves no
/// file, and the commit removes later parts of the same run. Until then rows lie in `.staged/<source>`. They may be
/// personal, so what a run that died left there goes when the next run of the source opens its own; the lock of the
/// nightly run sees to it that there is only one at a time.
pub struct QuarantineFiles {
    /// `<source>/run=<id>`.
    run: PathBuf,
    /// `.staged/<source>`; there only while rows are in it.
    staging: PathBuf,
    /// What the names of this run's staged files begin with.
    prefix: String,
    files: Vec<String>,
    open: Option<JsonLines>,
    /// The number of the next part.
    part: u64,
}

/// What a stage describes.
#[derive(Debug, Serialize, Deserialize)]
struct Staged {
    /// Parts of the run, this stage's included.
    parts: u64,
    /// Whether the last of them is this stage's.
    is_new: bool,
}

/// A line of the file.
#[derive(Serialize)]
struct Line<'a> {
    file: &'a str,
    row: Option<i64>,
    reason: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_base64: Option<String>,
}

impl QuarantineFiles {
    /// A sink for run `run` of `source` below `folder` (the lake's `quarantine`, created when missing). `files` are the
    /// paths that the rows' file indices name.
    pub fn open(folder: impl Into<PathBuf>, source: &str, run: &str, files: Vec<String>) -> Result<Self> {
        let folder = folder.into();
        plain_name::check("set aside rows of source", source)?;
        plain_name::check("set aside rows of run", run)?;
        let staging = folder.join(".staged").join(source);
        let prefix = format!("{run}-");
        // This run's own files stay: their commit may come yet.
        folders::remove_files(&staging, |name| !name.starts_with(&prefix))?;
        let run = folder.join(source).join(format!("run={run}"));
        Ok(Self { run, staging, prefix, files, open: None, part: 0 })
    }

    /// Sets a whole file aside: no row of it counts, and its bytes stay in Bronze.
    pub fn write_file(&mut self, file: &str, reason: &str, message: &str) -> Result<()> {
        self.append(&Line { file, row: None, reason, message, raw: None, raw_base64: None })
    }

    fn append(&mut self, line: &Line<'_>) -> Result<()> {
        let lines = match self.open.take() {
            Some(lines) => lines,
            None => {
                durable::create_folder(&self.staging).outage("create", self.staging.display())?;
                JsonLines::create(self.staged(&part_name(self.part)), FORM)?
            }
        };
        self.open.insert(lines).append(line)
    }

    fn staged(&self, name: &str) -> PathBuf {
        self.staging.join(format!("{}{name}", self.prefix))
    }
}

impl Sink<QuarantinedRow> for QuarantineFiles {
    fn write(&mut self, output: &[QuarantinedRow]) -> Result<()> {
        for row in output {
            let Some(file) = self.files.get(row.file as usize).cloned() else {
                return Err(Error::new(Kind::Missing, "name file", format!("{} of the run", row.file)));
            };
            let raw = str::from_utf8(&row.raw).ok();
            let raw_base64 = raw.is_none().then(|| STANDARD.encode(&row.raw));
            let (reason, message) = (row.reason.as_str(), row.message.as_str());
            self.append(&Line { file: &file, row: Some(row.row), reason, message, raw, raw_base64 })?;
        }
        Ok(())
    }

    fn stage(&mut self) -> Result<serde_json::Value> {
        let is_new = self.open.is_some();
        if let Some(lines) = self.open.take() {
            lines.finish()?;
            durable::sync_folder(&self.staging).outage("sync", self.staging.display())?;
        }
        self.part += u64::from(is_new);
        Ok(serde_json::to_value(Staged { parts: self.part, is_new }).expect("a stage is JSON"))
    }

    fn commit(&mut self, staged: &serde_json::Value) -> Result<()> {
        let staged = Staged::deserialize(staged).corrupt("commit to", self.run.display())?;
        self.open = None;
        if staged.is_new {
            let name = part_name(staged.parts.saturating_sub(1));
            json_lines::publish(&self.staged(&name), &self.run.join(&name))?;
        }
        match fs::remove_dir_all(&self.staging) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            removed => removed.outage("remove", self.staging.display())?,
        }
        folders::remove_files(&self.run, |name| part_number(name).is_some_and(|part| part >= staged.parts))?;
        self.part = staged.parts;
        Ok(())
    }
}

fn part_name(part: u64) -> String {
    format!("part-{part}{}", FORM.extension())
}

fn part_number(name: &str) -> Option<u64> {
    name.strip_prefix("part-")?.strip_suffix(FORM.extension())?.parse().ok()
}
