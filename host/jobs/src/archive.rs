//! The archive: what topics hold, into objects in Bronze.
//!
//! It reads the topics by itself, so nobody waits for it. A position is saved when the object before it is durable; an object that was
//! made durable and not saved is found when its partition is resumed. So a crash between any two operations loses nothing and doubles
//! nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tamis_connectors::lake::ArchiveWriter;
use tamis_engine::{Checkpoint, CheckpointStore, Chunk, Clock, Read, Source};
use tamis_model::Result;
use tamis_model::position::Partition;

/// Between two looks at topics that have nothing new.
const LOOK_EVERY_MS: u64 = 200;

/// What the archive works with.
pub struct Archive {
    /// The topics.
    pub source: Box<dyn Source>,
    /// Whether the source is bounded; else it tails the topics.
    pub until_end: bool,
    /// The objects.
    pub writer: ArchiveWriter,
    /// Its positions.
    pub checkpoints: Box<dyn CheckpointStore>,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
}

/// What was made durable of a topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Archived {
    /// Objects.
    pub objects: u64,
    /// Records in them.
    pub records: u64,
}

/// By topic.
pub type ArchiveReport = BTreeMap<String, Archived>;

impl Archive {
    /// Archives until a bounded source ends, or until `stop` is set; then everything that is open is closed. `report` grows with every object.
    pub fn run(self, stop: &AtomicBool, report: &mut ArchiveReport) -> Result<()> {
        let Self { mut source, until_end, mut writer, mut checkpoints, clock } = self;
        let checkpoint = checkpoints.latest()?.unwrap_or_default();
        source.open(&checkpoint.positions)?;
        let mut saved = Saved { checkpoints, checkpoint, report };
        let mut chunk = Chunk::default();
        while !stop.load(Ordering::Relaxed) {
            let (mut is_idle, mut has_more) = (true, false);
            for partition in &source.partitions()? {
                if !writer.knows(partition) {
                    writer.resume(partition, saved.checkpoint.positions.next(partition))?;
                }
                match source.read(partition, &mut chunk)? {
                    Read::Records => {
                        is_idle = false;
                        let closed =
                            &mut |partition: &_, next, records| saved.save(&mut *source, partition, next, records);
                        writer.write(partition, &chunk, clock.now(), closed)?;
                    }
                    Read::Waiting => has_more = true,
                    Read::Ended | Read::CaughtUp | Read::Passed(_) => {}
                }
                if stop.load(Ordering::Relaxed) {
                    break;
                }
            }
            let closed = &mut |partition: &_, next, records| saved.save(&mut *source, partition, next, records);
            writer.close_due(clock.now(), closed)?;
            if is_idle && until_end && !has_more {
                break;
            }
            if is_idle {
                clock.sleep(LOOK_EVERY_MS);
            }
        }
        writer.close_all(&mut |partition, next, records| saved.save(&mut *source, partition, next, records))
    }
}

/// What is known to be durable.
struct Saved<'a> {
    checkpoints: Box<dyn CheckpointStore>,
    checkpoint: Checkpoint,
    report: &'a mut ArchiveReport,
}

impl Saved<'_> {
    fn save(&mut self, source: &mut dyn Source, partition: &Partition, next: i64, records: u64) -> Result<()> {
        self.checkpoint.positions.set(partition, next);
        source.note(&mut self.checkpoint.positions);
        self.checkpoint.number += 1;
        self.checkpoints.save(&self.checkpoint)?;
        source.release(&self.checkpoint.positions)?;
        let topic = self.report.entry(partition.topic.clone()).or_default();
        topic.objects += 1;
        topic.records += records;
        Ok(())
    }
}
