//! Reads embedded topics, to their end or tailing them.

use std::path::PathBuf;

use tamis_engine::{Chunk, Read, Source};
use tamis_model::position::{Partition, Positions};
use tamis_model::{Error, Kind, Result};

use self::cursor::Cursor;
use super::{CHUNK_BYTES, partition_numbers};
use crate::plain_name;

mod cursor;

/// What a [`TopicReader`] reads, and how much at a time.
#[derive(Clone, Debug)]
pub struct ReaderSettings {
    /// The topics; one that does not exist has no partitions yet.
    pub topics: Vec<String>,
    /// Whether the source ends where the complete lines ended when it was opened; else it tails them.
    pub until_end: bool,
    /// About how many bytes a chunk has.
    pub chunk_bytes: usize,
    /// A longer record is an error, so that memory stays bounded.
    pub record_bytes_max: usize,
}

impl ReaderSettings {
    /// The defaults for these topics: tailing, chunks of 2 MiB, records up to 64 MiB.
    pub fn new(topics: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let topics = topics.into_iter().map(Into::into).collect();
        Self { topics, until_end: false, chunk_bytes: CHUNK_BYTES, record_bytes_max: 64 << 20 }
    }

    /// The same, ending where the topics end now.
    #[must_use]
    pub fn until_end(self) -> Self {
        Self { until_end: true, ..self }
    }
}

/// Reads the record lines of embedded topics. No work is done for single lines: a chunk is a block of the file up to
/// its last line break.
///
/// Positions are record offsets. A line whose offset cannot be read keeps its place behind the last record before it;
/// on reopening right there it is read again rather than lost.
#[derive(Debug)]
pub struct TopicReader {
    folder: PathBuf,
    settings: ReaderSettings,
    positions: Positions,
    cursors: Vec<Cursor>,
}

impl TopicReader {
    /// A reader of topics below `folder` (the `topics` folder).
    pub fn new(folder: impl Into<PathBuf>, settings: ReaderSettings) -> Result<Self> {
        let folder = folder.into();
        settings.topics.iter().try_for_each(|topic| plain_name::check("use topic", topic))?;
        if settings.chunk_bytes == 0 || settings.record_bytes_max < settings.chunk_bytes {
            let reason = "a chunk has at least one byte, and a record may be as long as a chunk";
            return Err(Error::invalid("read topics in", folder.display(), reason));
        }
        Ok(Self { folder, settings, positions: Positions::default(), cursors: Vec::new() })
    }

    /// Adds the partitions that have no cursor yet, in the order of topics and numbers.
    fn discover(&mut self) -> Result<()> {
        for topic in &self.settings.topics {
            let folder = self.folder.join(topic);
            for number in partition_numbers(&folder)? {
                let partition = Partition { topic: topic.clone(), number };
                if self.cursors.iter().any(|cursor| cursor.partition == partition) {
                    continue;
                }
                let position = self.positions.next(&partition);
                let mut cursor = Cursor::new(partition, folder.join(number.to_string()), position);
                if self.settings.until_end {
                    cursor.end_here()?;
                }
                self.cursors.push(cursor);
            }
        }
        Ok(())
    }
}

impl Source for TopicReader {
    fn open(&mut self, positions: &Positions) -> Result<()> {
        self.positions = positions.clone();
        self.cursors.clear();
        self.discover()
    }

    /// Tailing, partitions that appeared since are added; a bounded source has those that it was opened with.
    fn partitions(&mut self) -> Result<Vec<Partition>> {
        if !self.settings.until_end {
            self.discover()?;
        }
        Ok(self.cursors.iter().map(|cursor| cursor.partition.clone()).collect())
    }

    fn read(&mut self, partition: &Partition, chunk: &mut Chunk) -> Result<Read> {
        let Some(cursor) = self.cursors.iter_mut().find(|cursor| cursor.partition == *partition) else {
            return Err(Error::new(Kind::Missing, "read partition", partition));
        };
        cursor.read(chunk, self.settings.chunk_bytes, self.settings.record_bytes_max)
    }

    /// Segments are kept: how long is the topic's business, not one reader's.
    fn release(&mut self, _: &Positions) -> Result<()> {
        Ok(())
    }
}
