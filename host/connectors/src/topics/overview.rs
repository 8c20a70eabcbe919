//! What lies in the topics, without reading them.

use std::fs::File;
use std::path::Path;

use serde::Serialize;
use tamis_model::Result;
use tamis_model::error::Context;

use super::backwards::Backwards;
use super::{partition_numbers, segment_path, segments};
use crate::folders::names;
use crate::plain_name::is_plain;

/// A topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TopicOverview {
    /// Its name.
    pub topic: String,
    /// Its partitions, by number.
    pub partitions: Vec<PartitionOverview>,
}

/// A partition of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct PartitionOverview {
    /// Its number.
    pub number: u32,
    /// The offset that its first segment begins with.
    pub first_offset: i64,
    /// The offset behind its last record.
    pub next_offset: i64,
    /// The bytes of its segments; null where nobody but the broker knows.
    pub bytes: Option<u64>,
}

/// The topics below `root` (the `topics` folder), by name. Lists the segments of each partition and reads the last line of
/// the last one.
pub fn overview(root: &Path) -> Result<Vec<TopicOverview>> {
    let mut topics = names(root)?;
    topics.retain(|name| is_plain(name) && root.join(name).is_dir());
    topics.sort_unstable();
    topics.into_iter().map(|topic| topic_overview(root, topic)).collect()
}

fn topic_overview(root: &Path, topic: String) -> Result<TopicOverview> {
    let folder = root.join(&topic);
    let numbers = partition_numbers(&folder)?.into_iter();
    let partitions = numbers.map(|number| partition_overview(&folder.join(number.to_string()), number));
    Ok(TopicOverview { topic, partitions: partitions.collect::<Result<_>>()? })
}

fn partition_overview(folder: &Path, number: u32) -> Result<PartitionOverview> {
    let segments = segments(folder)?;
    let mut bytes = 0;
    for first in &segments {
        let path = segment_path(folder, *first);
        bytes += path.metadata().outage("inspect", path.display())?.len();
    }
    let first_offset = segments.first().copied().unwrap_or(0);
    let next_offset = segments.last().map_or(Ok(0), |last| next_offset(folder, *last))?;
    Ok(PartitionOverview { number, first_offset, next_offset, bytes: Some(bytes) })
}

/// The offset behind the last record of a segment. A line whose offset cannot be read has none.
fn next_offset(folder: &Path, first: i64) -> Result<i64> {
    let path = segment_path(folder, first);
    let file = File::open(&path).outage("open", path.display())?;
    let end = file.metadata().outage("inspect", path.display())?.len();
    for line in Backwards::new(file, end) {
        if let Some(offset) = line.outage("read", path.display())?.offset() {
            return Ok(offset + 1);
        }
    }
    Ok(first)
}
