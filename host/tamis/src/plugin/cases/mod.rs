//! Cases: what a plugin must make of given input, as data. One JSON object a line.
//!
//! - Rules: `{"case": "…", "config": {…}, "records": [{"topic": "…", "partition": 0, "timestamp": 0, "value": {…}}], "alerts":
//!   [{…}], "rows": [{…}], "dead_letters": [{…}]}`. The records go through the real stream pipeline to their end; `rows` are those of an
//!   aggregate.
//! - Transforms: `{"case": "…", "config": {…}, "file": "…", "rows": [{…}], "rejected": [{"row": 2, "reason": "…"}], "filtered": [3],
//!   "nullified": {"age": 1}}`. The file goes through the real file pipeline; rows count from 1, the header does not.
//! - Checks: `{"case": "…", "config": {…}, "columns": [{"name": "x", "type": "float64"}], "rows": [[1.0], [null]], "results": [{…}]}`.
//!
//! `config` overrides the manifest's defaults and may be left out. Alerts, dead letters, rows and results list the members that
//! matter and are complete as lists: one more or one less fails. Pseudonyms are made with [`super::TEST_PEPPER`].

mod cells;
mod check;
mod matching;
mod rule;
mod transform;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::de::DeserializeOwned;
use tamis_model::error::Context;
use tamis_model::manifest::World;
use tamis_model::topic::TopicSchema;
use tamis_model::{Error, Result};
use tamis_plugin::Plugin;

/// What became of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseResult {
    /// Its name.
    pub case: String,
    /// Its line in the file, from 1.
    pub line: usize,
    /// What differs, a line each; empty when it passed.
    pub failures: Vec<String>,
}

/// Runs cases, the text of a `.jsonl` file, on a plugin. `topics` are the schemas of what its rules read.
///
/// Fails when a case cannot be read or run at all; a case that runs and does not come out as expected is a result.
pub fn run(plugin: &Arc<Plugin>, cases: &str, topics: &[TopicSchema]) -> Result<Vec<CaseResult>> {
    let lines = cases.lines().enumerate().filter(|(_, text)| !text.trim().is_empty());
    lines
        .map(|(index, text)| {
            let line = index + 1;
            let (case, failures) = match plugin.manifest().world {
                World::Rule => rule::run(plugin, &read(text, line)?, topics),
                World::Transform => transform::run(plugin, &read(text, line)?),
                World::Check => check::run(plugin, &read(text, line)?),
            }
            .invalid("run case", format_args!("in line {line}"))?;
            Ok(CaseResult { case, line, failures })
        })
        .collect()
}

/// `cases/*.jsonl` of a crate, by name.
pub fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let folder = dir.join("cases");
    let mut files = Vec::new();
    for entry in folder.read_dir().invalid("list cases in", folder.display())? {
        let path = entry.invalid("list cases in", folder.display())?.path();
        if path.extension().is_some_and(|extension| extension == "jsonl") {
            files.push(path);
        }
    }
    if files.is_empty() {
        return Err(Error::invalid("list cases in", folder.display(), "there is no `.jsonl` file"));
    }
    files.sort();
    Ok(files)
}

fn read<C: DeserializeOwned>(text: &str, line: usize) -> Result<C> {
    serde_json::from_str(text)
        .map_err(|error| Error::invalid("read case", format_args!("in line {line}"), error.to_string()))
}
