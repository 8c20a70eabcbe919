//! `tamis schema check`: what a change of topic schemas breaks, before anybody runs on it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};
use serde::Serialize;
use tamis_model::error::Context;
use tamis_model::topic::TopicSchema;
use tamis_model::topic::compatibility::{Breaking, Compatibility, breaking_changes};
use tamis_model::{Error, Result};

use crate::exit;
use crate::table::{Row, print, print_text};

/// What to do with schemas.
#[derive(Debug, Subcommand)]
pub enum SchemaCommand {
    /// Name the changes between two topic schemas that break somebody. Exit code 1 when there are any.
    ///
    /// Backward: readers with the new schema must take records written with the old one. Forward: readers with the old
    /// schema must take records written with the new one. What keeps a rule that reads a member from starting breaks both. Of
    /// folders, files `*.schema.json` in them or in their folder `topics` are compared, topic by topic.
    Check {
        /// The schema as it is, a file or a folder.
        old: PathBuf,
        /// The schema as it is to be.
        new: PathBuf,
        /// Whom a change must not break.
        #[arg(long, value_enum, default_value_t = Asked::Full, value_name = "WHICH")]
        compatibility: Asked,
    },
}

/// Whom a change must not break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Asked {
    /// Readers with the new schema.
    Backward,
    /// Readers with the old schema.
    Forward,
    /// Both.
    Full,
}

impl From<Asked> for Compatibility {
    fn from(asked: Asked) -> Self {
        match asked {
            Asked::Backward => Self::Backward,
            Asked::Forward => Self::Forward,
            Asked::Full => Self::Full,
        }
    }
}

/// A change, as it is listed.
#[derive(Debug, Serialize)]
struct BreakingRow(Breaking);

impl Row for BreakingRow {
    const HEAD: &'static [&'static str] = &["PATH", "BREAKS", "CHANGE"];

    fn cells(&self) -> Vec<String> {
        let Breaking { path, breaks, change } = &self.0;
        vec![path.clone(), breaks.name().to_owned(), change.clone()]
    }
}

/// The command.
pub(super) fn run(command: &SchemaCommand, json: bool) -> Result<ExitCode> {
    let SchemaCommand::Check { old, new, compatibility } = command;
    let rows: Vec<_> = check(old, new, (*compatibility).into())?.into_iter().map(BreakingRow).collect();
    let said = match rows.is_empty() && !json {
        true => print_text("Nothing breaks."),
        false => print(&rows, json),
    };
    said.outage("write to", "standard output")?;
    Ok(if rows.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(exit::FAILED) })
}

fn check(old: &Path, new: &Path, asked: Compatibility) -> Result<Vec<Breaking>> {
    let changes = match (old.is_dir(), new.is_dir()) {
        (false, false) => breaking_changes(&read(old)?, &read(new)?),
        (true, true) => {
            let (old, mut new) = (read_all(old)?, read_all(new)?);
            let compare = |(name, old): (String, TopicSchema)| match new.remove(&name) {
                Some(new) => breaking_changes(&old, &new),
                None => {
                    let change = "the topic was removed".to_owned();
                    vec![Breaking { path: name, breaks: Compatibility::Full, change }]
                }
            };
            old.into_iter().flat_map(compare).collect()
        }
        _ => {
            let reason = "give two files or two folders";
            return Err(Error::invalid("compare", format!("{} with {}", old.display(), new.display()), reason));
        }
    };
    Ok(changes.into_iter().filter(|change| asked.is_broken_by(change.breaks)).collect())
}

fn read(path: &Path) -> Result<TopicSchema> {
    let text = std::fs::read_to_string(path).invalid("read schema", path.display())?;
    TopicSchema::parse(&text).invalid("read schema", path.display())
}

/// The schemas of a folder by their topics.
fn read_all(folder: &Path) -> Result<BTreeMap<String, TopicSchema>> {
    let topics = folder.join("topics");
    let folder = if topics.is_dir() { &topics } else { folder };
    let mut schemas = BTreeMap::new();
    for entry in std::fs::read_dir(folder).invalid("list schemas in", folder.display())? {
        let path = entry.outage("list schemas in", folder.display())?.path();
        if path.to_string_lossy().ends_with(".schema.json") {
            let schema = read(&path)?;
            if let Some(other) = schemas.insert(schema.name.clone(), schema) {
                let reason = format!("another file in the folder is of topic {}", other.name);
                return Err(Error::invalid("read schema", path.display(), reason));
            }
        }
    }
    if schemas.is_empty() {
        return Err(Error::invalid("list schemas in", folder.display(), "there is no file `*.schema.json`"));
    }
    Ok(schemas)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The schemas of the repository, with a replacement in those of one topic.
    fn folder(topic: &str, from: &str, to: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let topics = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas/topics");
        std::fs::create_dir(folder.path().join("topics")).unwrap();
        for entry in std::fs::read_dir(topics).unwrap().flatten() {
            let mut text = std::fs::read_to_string(entry.path()).unwrap();
            if entry.path().ends_with(format!("{topic}.schema.json")) {
                assert!(text.contains(from), "{from}");
                text = text.replacen(from, to, 1);
            }
            std::fs::write(folder.path().join("topics").join(entry.file_name()), text).unwrap();
        }
        folder
    }

    #[test]
    fn folders_are_compared_topic_by_topic() {
        let old = folder("", "", "");
        let check = |new: &tempfile::TempDir, asked, expected: &[&str]| {
            let changes = check(old.path(), new.path(), asked).unwrap();
            assert_eq!(changes.iter().map(|change| &*change.path).collect::<Vec<_>>(), expected);
        };
        check(&old, Compatibility::Full, &[]);
        let narrower = folder("payments", r#""maximum": 100"#, r#""maximum": 99"#);
        check(&narrower, Compatibility::Full, &["payments.risk_score"]);
        check(&narrower, Compatibility::Backward, &["payments.risk_score"]);
        check(&narrower, Compatibility::Forward, &[]);
        let missing = folder("", "", "");
        std::fs::remove_file(missing.path().join("topics/orders.schema.json")).unwrap();
        check(&missing, Compatibility::Forward, &["orders"]);
    }

    #[test]
    fn what_cannot_be_compared() {
        let schemas = folder("", "", "");
        let file = schemas.path().join("topics/orders.schema.json");
        let check = |old: &Path, new: &Path, words: &str| {
            let error = check(old, new, Compatibility::Full).unwrap_err();
            assert!(error.chain().contains(words), "{}", error.chain());
        };
        check(&file, schemas.path(), "two files or two folders");
        check(&file, &schemas.path().join("none"), "cannot read schema");
        let empty = tempfile::tempdir().unwrap();
        check(schemas.path(), empty.path(), "there is no file");
        let copy = schemas.path().join("topics/again.schema.json");
        std::fs::copy(&file, &copy).unwrap();
        check(schemas.path(), schemas.path(), "another file in the folder is of topic orders");
    }
}
