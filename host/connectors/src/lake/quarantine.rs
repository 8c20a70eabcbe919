//! Rows that were set aside: `quarantine/<source>/run=<id>/part-0.jsonl.zst`.
//!
//! A line has `file`, `row`, `reason`, `message` and `raw`, or `raw_base64` where the bytes are not UTF-8.

use std::fs;
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use tamis_engine::Sink;
use tamis_engine::transform::QuarantinedRow;
use tamis_model::error::Context;
use tamis_model::{Error, Kind, Result};

use super::json_lines::{self, JsonLines};
use crate::durable;

const PART: &str = "part-0.jsonl.zst";

/// Writes the quarantined rows of one run of one source. They become visible with the commit; a run without any leaves no
/// file, and the same run again replaces its own.
///
/// A run has one stage: a job that is interrupted starts over, so `write` after `stage` is an error.
pub struct QuarantineFiles {
    folder: PathBuf,
    /// `run=<id>` below the source's folder.
    path: PathBuf,
    staged: PathBuf,
    files: Vec<String>,
    state: State,
}

enum State {
    Empty,
    Writing(JsonLines),
    Staged,
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
    /// A sink for run `run` of `source` below `folder` (the lake's `quarantine`, created when missing). `files` are the paths that
    /// the rows' file indices name.
    pub fn open(folder: impl Into<PathBuf>, source: &str, run: &str, files: Vec<String>) -> Result<Self> {
        let folder = folder.into();
        fs::create_dir_all(&folder).outage("create", folder.display())?;
        let staging = folder.join(".staged");
        durable::create_folder(&folder, &staging).outage("create", staging.display())?;
        let path = folder.join(source).join(format!("run={run}")).join(PART);
        let staged = staging.join(format!("{source}-{run}-{PART}"));
        Ok(Self { folder, path, staged, files, state: State::Empty })
    }

    /// Sets a whole file aside: no row of it counts, and the bytes stay in Bronze.
    pub fn write_file(&mut self, file: &str, reason: &str, message: &str) -> Result<()> {
        self.lines()?.append(&Line { file, row: None, reason, message, raw: None, raw_base64: None })
    }

    fn lines(&mut self) -> Result<&mut JsonLines> {
        if matches!(self.state, State::Empty) {
            self.state = State::Writing(JsonLines::create(self.staged.clone())?);
        }
        match &mut self.state {
            State::Writing(lines) => Ok(lines),
            State::Empty | State::Staged => {
                Err(Error::invalid("append to", self.path.display(), "the run's quarantine is staged already"))
            }
        }
    }
}

impl Sink<QuarantinedRow> for QuarantineFiles {
    fn write(&mut self, output: &[QuarantinedRow]) -> Result<()> {
        for row in output {
            let Some(file) = self.files.get(row.file as usize).cloned() else {
                return Err(Error::new(Kind::Missing, "name file", format!("{} of the run", row.file)));
            };
            let text = str::from_utf8(&row.raw).ok();
            let raw_base64 = text.is_none().then(|| STANDARD.encode(&row.raw));
            let (reason, message) = (row.reason.as_str(), row.message.as_str());
            let row = Some(row.row);
            self.lines()?.append(&Line { file: &file, row, reason, message, raw: text, raw_base64 })?;
        }
        Ok(())
    }

    fn stage(&mut self) -> Result<serde_json::Value> {
        let has_rows = match std::mem::replace(&mut self.state, State::Staged) {
            State::Empty => false,
            State::Writing(lines) => {
                lines.finish()?;
                true
            }
            State::Staged => self.staged.exists(),
        };
        if let Some(staging) = self.staged.parent() {
            durable::sync_folder(staging).outage("sync", staging.display())?;
        }
        Ok(serde_json::json!({ "rows": has_rows }))
    }

    fn commit(&mut self, staged: &serde_json::Value) -> Result<()> {
        match staged["rows"].as_bool() {
            Some(true) => json_lines::publish(&self.staged, &self.folder, &self.path),
            Some(false) => remove_if_there(&self.path).outage("remove", self.path.display()),
            None => Err(Error::new(Kind::Corrupt, "commit to", self.path.display())),
        }
    }
}

fn remove_if_there(path: &std::path::Path) -> std::io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
