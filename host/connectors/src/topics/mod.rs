//! Embedded topics: `topics/<topic>/<partition>/<first offset, 20 digits>.jsonl`, one JSON object a record.
//!
//! [`TopicWriter`] appends and [`TopicReader`] tails, in one process or in several. A line without its line break is
//! not there yet, so a reader needs no lock. Names that begin with a dot belong to the writer.

mod line;
mod log;
mod owner;
mod partitioner;
mod reader;
mod writer;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tamis_model::error::Context;
use tamis_model::{Error, Result};

pub use reader::{ReaderSettings, TopicReader};
pub use writer::{TopicWriter, WriterSettings};

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

/// The names in a folder; none when it does not exist. Names that are not UTF-8 are not ours.
fn names(folder: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.outage("list", folder.display())?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.outage("list", folder.display())?;
        names.extend(entry.file_name().into_string());
    }
    Ok(names)
}

/// Refuses a name that is not one plain folder; the letters are those that Kafka allows.
fn check_topic_name(name: &str) -> Result<()> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if name.is_empty() || name.len() > 249 || name.starts_with('.') || !name.bytes().all(legal) {
        let reason = "a name has 1 to 249 letters, digits, dots, dashes and underscores and does not begin with a dot";
        return Err(Error::invalid("use topic", format!("{name:?}"), reason));
    }
    Ok(())
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

    #[test]
    fn topic_names_stay_in_their_folder() {
        for name in ["", ".", "..", "../x", "a/b", "a\\b", ".hidden", "é"] {
            assert!(check_topic_name(name).is_err(), "{name}");
        }
        check_topic_name("alerts_fraud.payments-2").unwrap();
    }
}
