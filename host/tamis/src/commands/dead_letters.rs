//! `tamis dead-letters`: what could not be decoded or judged.

use std::collections::BTreeMap;

use serde::Serialize;
use tamis_connectors::TopicReader;
use tamis_connectors::topics::ReaderSettings;
use tamis_engine::decode::json::{RecordParts, record_parts};
use tamis_engine::{Chunk, Read, Source};
use tamis_model::Result;
use tamis_model::dead_letter::DEAD_LETTERS;
use tamis_model::position::Positions;
use tamis_model::time::rfc3339_millis;

use crate::home::Home;
use crate::table::Row;

/// Characters of a value that a table shows.
const VALUE_CHARS_MAX: usize = 60;

/// A dead letter, for people and scripts.
#[derive(Debug, Serialize)]
pub struct DeadLetterRow {
    /// Its offset in the dead letter topic.
    offset: Option<i64>,
    /// The time of the record, RFC 3339.
    time: Option<String>,
    /// Where the record came from: topic/partition@offset.
    from: String,
    /// A stable name of the reason.
    reason: String,
    /// The reason in words.
    message: String,
    /// The plugin that failed on it, with its version.
    plugin: Option<String>,
    /// The record's value; bytes that are not UTF-8 are replaced.
    value: Option<String>,
}

impl Row for DeadLetterRow {
    const HEAD: &'static [&'static str] = &["TIME", "FROM", "REASON", "PLUGIN", "MESSAGE", "VALUE"];

    fn cells(&self) -> Vec<String> {
        let value = self.value.as_deref().unwrap_or("");
        let mut shown: String = value.chars().take(VALUE_CHARS_MAX).collect();
        if shown.len() < value.len() {
            shown.push('…');
        }
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        vec![text(&self.time), self.from.clone(), self.reason.clone(), text(&self.plugin), self.message.clone(), shown]
    }
}

/// The newest `limit` dead letters by the time of their records, newest first; of equal times what stands later in the
/// topic is newer. Reads the topic once; memory holds `limit` of them.
pub fn list(home: &Home, limit: usize) -> Result<Vec<DeadLetterRow>> {
    let mut reader = TopicReader::new(home.topics(), ReaderSettings::new([DEAD_LETTERS]).until_end())?;
    reader.open(&Positions::default())?;
    let (mut newest, mut number) = (BTreeMap::new(), 0_u64);
    let mut chunk = Chunk::default();
    for partition in reader.partitions()? {
        while reader.read(&partition, &mut chunk)? == Read::Records {
            for line in chunk.records().split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                let parts = record_parts(line);
                newest.insert((parts.timestamp, number), row(&parts));
                number += 1;
                if newest.len() > limit {
                    newest.pop_first();
                }
            }
        }
    }
    Ok(newest.into_values().rev().collect())
}

fn row(parts: &RecordParts) -> DeadLetterRow {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let header = |name: &str| parts.headers.iter().find(|(found, _)| found == name).map(|(_, value)| text(value));
    let of = |name: &str| header(name).unwrap_or_default();
    let from = format!(
        "{}/{}@{}",
        of("__streams.errors.topic"),
        of("__streams.errors.partition"),
        of("__streams.errors.offset")
    );
    DeadLetterRow {
        offset: parts.offset,
        time: parts.timestamp.map(rfc3339_millis),
        from,
        reason: of("tamis.reason"),
        message: of("__streams.errors.message"),
        plugin: header("tamis.plugin").map(|plugin| format!("{plugin} {}", of("tamis.version"))),
        value: parts.value.as_deref().map(text),
    }
}

#[cfg(test)]
mod tests {
    use tamis_connectors::TopicWriter;
    use tamis_connectors::topics::WriterSettings;

    use super::*;

    #[test]
    fn the_newest_come_first_whatever_their_partition() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path());
        let mut writer = TopicWriter::open(home.topics(), "streams", WriterSettings::default()).unwrap();
        // Partition, time, value.
        for (partition, time, value) in [(0, 30, "2"), (0, 10, "4"), (1, 20, "3"), (1, 40, "1"), (1, 0, "5")] {
            writer.append(DEAD_LETTERS, partition, time, None, Some(value.as_bytes())).unwrap();
        }
        writer.flush().unwrap();
        for (limit, expected) in [(0, &[][..]), (3, &["1", "2", "3"]), (9, &["1", "2", "3", "4", "5"])] {
            let rows = list(&home, limit).unwrap();
            let values: Vec<_> = rows.iter().filter_map(|row| row.value.as_deref()).collect();
            assert_eq!(values, expected, "{limit}");
        }
    }
}
