//! JSON lines that appear with a commit, exactly once, in folders by what they are about.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tamis_model::Result;
use tamis_model::error::Context;

use super::json_lines::{self, Form, JsonLines};
use crate::{durable, folders, plain_name};

/// Files that are open at a time; each that is compressed holds about a megabyte.
const OPEN_MAX: usize = 32;

/// What a stage describes.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Staged {
    /// The number of the next stage.
    next: u64,
    /// Name in the staging folder, path below the folder of the lines.
    files: BTreeMap<String, String>,
}

/// Lines on their way into `<folder>/<group>/<writer>-<stage>-<part>.jsonl`, a group being a path of folders.
///
/// Until the commit they lie in `<folder>/.staged/<writer>`, and the stage lists their files. Names count stages and
/// the parts of a stage, so a commit that is repeated after a crash finds its own files, in one place or the other.
/// Every line is in exactly one file. A group has several files of one stage only when more than a few groups fill at
/// the same time.
pub(super) struct StagedLines {
    folder: PathBuf,
    staging: PathBuf,
    writer: String,
    form: Form,
    /// By group.
    open: BTreeMap<String, Part>,
    /// The number of the stage being written; none until it is asked for.
    stage: Option<u64>,
    /// Parts begun in this stage.
    parts: u64,
    /// Finished files of this stage, as in [`Staged`].
    finished: BTreeMap<String, String>,
}

struct Part {
    name: String,
    lines: JsonLines,
    last_used: u64,
}

impl StagedLines {
    /// Lines below `folder`, which is created when missing. Each pipeline has a `writer` name of its own.
    pub fn open(folder: PathBuf, writer: &str, form: Form) -> Result<Self> {
        plain_name::check("write files as", writer)?;
        let staging = folder.join(".staged").join(writer);
        durable::create_folder(&staging).outage("create", staging.display())?;
        let (open, finished) = (BTreeMap::new(), BTreeMap::new());
        Ok(Self { folder, staging, writer: writer.to_owned(), form, open, stage: None, parts: 0, finished })
    }

    /// Appends one line of JSON. The folders of the group have plain names.
    pub fn append(&mut self, group: &str, json: &str) -> Result<()> {
        if !self.open.contains_key(group) {
            self.begin(group)?;
        }
        let part = self.open.get_mut(group).expect("the part was just begun");
        part.last_used = self.parts;
        part.lines.append_text(json)
    }

    /// Makes everything durable and begins the next stage.
    pub fn stage(&mut self) -> Result<Staged> {
        let groups: Vec<String> = self.open.keys().cloned().collect();
        groups.iter().try_for_each(|group| self.finish(group))?;
        durable::sync_folder(&self.staging).outage("sync", self.staging.display())?;
        let staged = Staged { next: self.stage_number()? + 1, files: std::mem::take(&mut self.finished) };
        self.begin_stage(staged.next);
        Ok(staged)
    }

    /// Makes exactly what was staged visible.
    pub fn commit(&mut self, staged: &Staged) -> Result<()> {
        self.open.clear();
        self.finished.clear();
        for (name, path) in &staged.files {
            json_lines::publish(&self.staging.join(name), &self.folder.join(path))?;
        }
        // What else lies there was never committed.
        folders::remove_files(&self.staging, |_| true)?;
        self.begin_stage(staged.next);
        Ok(())
    }

    fn begin_stage(&mut self, number: u64) {
        self.stage = Some(number);
        self.parts = 0;
    }

    /// Begins a file for a group; closes the one that was begun or used longest ago when too many are open.
    fn begin(&mut self, group: &str) -> Result<()> {
        if self.open.len() >= OPEN_MAX {
            let oldest = self.open.iter().min_by_key(|(_, part)| part.last_used).map(|(group, _)| group.clone());
            oldest.map_or(Ok(()), |group| self.finish(&group))?;
        }
        let stage = self.stage_number()?;
        self.parts += 1;
        let name = format!("{}-{stage:020}-{:04}{}", self.writer, self.parts, self.form.extension());
        let lines = JsonLines::create(self.staging.join(&name), self.form)?;
        self.open.insert(group.to_owned(), Part { name, lines, last_used: self.parts });
        Ok(())
    }

    fn finish(&mut self, group: &str) -> Result<()> {
        if let Some(Part { name, lines, .. }) = self.open.remove(group) {
            lines.finish()?;
            let path = format!("{group}/{name}");
            self.finished.insert(name, path);
        }
        Ok(())
    }

    /// The number of the present stage. A pipeline that goes on from a checkpoint knows it from there; one that starts
    /// without looks for a number that no file of its name has.
    fn stage_number(&mut self) -> Result<u64> {
        if let Some(stage) = self.stage {
            return Ok(stage);
        }
        let mut next = 0;
        folders::visit_files(&self.folder, &mut |name| {
            next = next.max(stage_of(name, &self.writer).map_or(0, |stage| stage + 1));
        })?;
        self.stage = Some(next);
        Ok(next)
    }
}

fn stage_of(file: &str, writer: &str) -> Option<u64> {
    let rest = file.strip_prefix(writer)?.strip_prefix('-')?;
    rest.split('-').next()?.parse().ok()
}
