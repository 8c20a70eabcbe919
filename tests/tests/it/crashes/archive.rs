//! The archive dies at every operation of its source and its checkpoints, and is cut otherwise afterwards: each record is in it once.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tamis_connectors::FileCheckpoints;
use tamis_connectors::lake::{ArchiveReader, ArchiveSettings, ArchiveWriter, archive_objects};
use tamis_connectors::topics::{ReaderSettings, TopicReader, TopicWriter, WriterSettings};
use tamis_engine::memory::ManualClock;
use tamis_engine::{Chunk, Read, Source};
use tamis_jobs::archive::{Archive, ArchiveReport};
use tamis_model::Result;
use tamis_model::position::{Partition, Positions};

use super::fuse::{Fails, Fuse, Fused};

const MIDNIGHT: i64 = 1_773_878_400_000;
const TOPICS: [&str; 1] = ["payments"];
const PARTITIONS: u32 = 2;
const RECORDS: i64 = 30;
/// Operations of an undisturbed run at least.
const OPERATIONS_MIN: u64 = 25;

/// Topics whose records go over midnight and back.
fn fill(home: &Path) {
    let mut writer = TopicWriter::open(home.join("topics"), "test", WriterSettings::default()).unwrap();
    for n in 0..RECORDS {
        let time = MIDNIGHT + (n - 15) * 1_000 + if n % 7 == 0 { 4_000 } else { 0 };
        for partition in 0..PARTITIONS {
            writer.append("payments", partition, time, None, Some(format!("{{\"n\":{n}}}").as_bytes())).unwrap();
        }
    }
    writer.flush().unwrap();
}

fn run(home: &Path, fuse: &Fuse, object_bytes_max: u64) -> Result<ArchiveReport> {
    let settings = ReaderSettings { chunk_bytes: 250, ..ReaderSettings::new(TOPICS).until_end() };
    let source = TopicReader::new(home.join("topics"), settings)?;
    let checkpoints = FileCheckpoints::open(home.join("checkpoints"))?;
    let settings = ArchiveSettings { object_bytes_max, interval_ms: 1_000 };
    let archive = Archive {
        source: Box::new(Fused { name: "source", device: source, fuse: fuse.clone() }),
        until_end: true,
        writer: ArchiveWriter::open(home.join("bronze"), settings)?,
        checkpoints: Box::new(Fused { name: "checkpoints", device: checkpoints, fuse: fuse.clone() }),
        clock: Arc::new(ManualClock::new(MIDNIGHT)),
    };
    let mut report = ArchiveReport::new();
    archive.run(&AtomicBool::new(false), &mut report).map(|()| report)
}

/// The lines of each partition.
fn lines(source: &mut dyn Source) -> Vec<String> {
    source.open(&Positions::default()).unwrap();
    let mut chunk = Chunk::default();
    let read = |number| {
        let (mut text, partition) = (String::new(), Partition { topic: "payments".to_owned(), number });
        while source.read(&partition, &mut chunk).unwrap() == Read::Records {
            text.push_str(str::from_utf8(chunk.records()).unwrap());
        }
        text
    };
    (0..PARTITIONS).map(read).collect()
}

/// What the objects hold, one behind the other, whatever a reader would leave out.
fn raw(bronze: &Path) -> Vec<String> {
    let text = |object: &tamis_connectors::lake::ArchiveObject| {
        String::from_utf8(zstd::decode_all(&*std::fs::read(&object.path).unwrap()).unwrap()).unwrap()
    };
    let partitions = archive_objects(bronze, "payments").unwrap();
    partitions.values().map(|objects| objects.iter().map(text).collect()).collect()
}

#[test]
fn each_record_is_archived_once_wherever_the_archive_dies() {
    let mut operations = 0;
    for fails in [Fails::Before, Fails::After] {
        for number in 0.. {
            let folder = tempfile::tempdir().unwrap();
            let home = folder.path();
            fill(home);
            let fuse = Fuse::blowing_at(number, fails);
            let died = run(home, &fuse, 300);
            let Some(blown) = fuse.blown() else {
                assert!(died.is_ok());
                operations = number;
                break;
            };
            assert!(died.is_err(), "{blown:?}");
            run(home, &Fuse::holding(), 450).unwrap();
            let settings = ReaderSettings::new(TOPICS).until_end();
            let expected = lines(&mut TopicReader::new(home.join("topics"), settings).unwrap());
            assert_eq!(raw(&home.join("bronze")), expected, "operation {number}, {blown:?}, failed {fails:?}");
            let mut archive = ArchiveReader::find(&home.join("bronze"), &TOPICS.map(str::to_owned)).unwrap();
            assert_eq!(lines(&mut archive), expected);
            assert_eq!(run(home, &Fuse::holding(), 450).unwrap(), ArchiveReport::new(), "nothing is left to do");
        }
    }
    assert!(operations >= OPERATIONS_MIN, "only {operations} operations were seen");
}
