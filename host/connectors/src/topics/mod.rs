//! Embedded topics: `topics/<topic>/<partition>/<first offset, 20 digits>.jsonl`, one JSON object a record.
//!
//! [`TopicWriter`] appends and [`TopicReader`] tails, in one process or in several. A line without its line break is
//! not there yet, so a reader needs no lock. Names that begin with a dot belong to the writer.
//!
//! [`Topics`] are these or those of a cluster, for whoever only looks at them.

mod backwards;
pub mod dead_letters;
pub(crate) mod line;
mod log;
mod overview;
mod owner;
mod place;
mod reader;
mod seek;
pub(crate) mod stamp;
mod stretch;
mod window;
mod writer;

use std::path::{Path, PathBuf};

use tamis_model::Result;

pub use dead_letters::DeadLetters;
pub use overview::{PartitionOverview, TopicOverview, overview};
pub use owner::has_owner;
pub use place::{Found, Topics};
pub use reader::{ReaderSettings, TopicReader};
pub use stretch::{Edge, Stretch};
pub use window::{DISORDER_MS, TimeRange, TimeWindow};
pub use writer::{TopicWriter, WriterSettings};

use crate::folders::names;

/// About how much of a topic is read at a time: the more records a batch has, the more of them share a key. Twice as much gained less
/// (docs/benchmarks.md).
pub(crate) const CHUNK_BYTES: usize = 2 << 20;
const SEGMENT_DIGITS: usize = 20;
const SEGMENT_EXTENSION: &str = ".jsonl";

/// The file of the segment that begins with offset `first`.
fn segment_path(partition: &Path, first: i64) -> PathBuf {
    partition.join(format!("{first:0SEGMENT_DIGITS$}{SEGMENT_EXTENSION}"))
}

/// The first offsets of a partition's segments, ascending; none when the partition does not exist.
fn segments(partition: &Path) -> Result<Vec<i64>> {
    let mut firsts: Vec<i64> = names(partition)?.iter().filter_map(|name| segment_first(name)).collect();
    firsts.sort_unstable();
    Ok(firsts)
}

fn segment_first(name: &str) -> Option<i64> {
    let digits = name.strip_suffix(SEGMENT_EXTENSION)?;
    let exact = digits.len() == SEGMENT_DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    exact.then(|| digits.parse().ok()).flatten()
}

/// The numbers of a topic's partitions, ascending; none when the topic does not exist.
fn partition_numbers(topic: &Path) -> Result<Vec<u32>> {
    let is_canonical = |name: &&String| name.parse::<u32>().is_ok_and(|number| number.to_string() == **name);
    let mut numbers: Vec<u32> =
        names(topic)?.iter().filter(is_canonical).filter_map(|name| name.parse().ok()).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_segments_are_segments() {
        let cases = [
            ("00000000000000000012.jsonl", Some(12)),
            ("12.jsonl", None),
            ("+0000000000000000012.jsonl", None),
            ("00000000000000000012.jsonl.tmp", None),
            (".owner", None),
        ];
        for (name, expected) in cases {
            assert_eq!(segment_first(name), expected, "{name}");
        }
        assert_eq!(segment_path(Path::new("p"), 12), Path::new("p/00000000000000000012.jsonl"));
    }
}
