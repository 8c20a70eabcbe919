//! The archive of topics in Bronze: `bronze/<topic>/event_date=YYYY-MM-DD/<topic>+<partition>+<first offset, 20 digits>.jsonl.zst`.
//!
//! An object holds the record lines of one stretch of a partition and one UTC date, in offset order. It appears whole, under a name that
//! follows from its first offset, and is never written again once its end was saved as the position of its partition.

mod reader;
#[cfg(test)]
mod tests;
mod writer;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tamis_model::Result;

pub use self::reader::ArchiveReader;
pub use self::writer::{ArchiveSettings, ArchiveWriter, Closed, ORIGIN_HOME};

use super::json_lines::Form;
use crate::folders::names;
use crate::plain_name;

const FORM: Form = Form::Zstd;
const DATE: &str = "event_date=";
const OFFSET_DIGITS: usize = 20;

/// An object of the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveObject {
    /// The offset of its first record.
    pub first: i64,
    /// Where it is.
    pub path: PathBuf,
}

/// The objects of a topic below `bronze`, by partition, in offset order; none when there is no archive of it.
pub fn archive_objects(bronze: &Path, topic: &str) -> Result<BTreeMap<u32, Vec<ArchiveObject>>> {
    plain_name::check("list the archive of topic", topic)?;
    let folder = bronze.join(topic);
    let mut partitions: BTreeMap<u32, Vec<ArchiveObject>> = BTreeMap::new();
    for date in names(&folder)?.iter().filter(|name| name.starts_with(DATE)) {
        let day = folder.join(date);
        for name in names(&day)? {
            if let Some((partition, first)) = parse(topic, &name) {
                partitions.entry(partition).or_default().push(ArchiveObject { first, path: day.join(name) });
            }
        }
    }
    partitions.values_mut().for_each(|objects| objects.sort_by_key(|object| object.first));
    Ok(partitions)
}

fn object_name(topic: &str, partition: u32, first: i64) -> String {
    format!("{topic}+{partition}+{first:0OFFSET_DIGITS$}{}", FORM.extension())
}

fn parse(topic: &str, name: &str) -> Option<(u32, i64)> {
    let rest = name.strip_prefix(topic)?.strip_prefix('+')?.strip_suffix(FORM.extension())?;
    let (partition, first) = rest.split_once('+')?;
    let (partition, first) = (partition.parse().ok()?, first.parse().ok()?);
    (object_name(topic, partition, first) == name).then_some((partition, first))
}
