//! Checkpoints in a folder: one file each, whole or not there, and the log of keyed state, which grows with each (`log.rs`).
//!
//! A file is `TAMISCKP`, the format's version (u32), the body's length (u64) and SHA-256, then the body: the length
//! (u32) of a JSON head, the head, and the encoded state blobs in the order of the head. Numbers are little-endian.
//! The head says where the log ends for this checkpoint.

mod home;
mod log;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tamis_engine::{Checkpoint, CheckpointStore, Keyed, Restored};
use tamis_model::error::Context;
use tamis_model::position::Positions;
use tamis_model::{Error, Kind, Result};

pub use self::home::{HomeCheckpoints, HomeMark};
use self::log::{Log, SEGMENT_BYTES};
use crate::durable;

const MAGIC: &[u8; 8] = b"TAMISCKP";
const VERSION: u32 = 2;
const HEADER_BYTES: usize = MAGIC.len() + 4 + 8 + 32;
const EXTENSION: &str = "checkpoint";
/// The last one, and the one before it for whoever has to look into an accident.
const KEPT: usize = 2;

/// The checkpoints of one pipeline, in a folder of their own. Keeps the last two.
///
/// A last checkpoint that does not read back is an error that names the file; nothing falls back to an older one, which
/// would deliver twice what came after it.
#[derive(Debug)]
pub struct FileCheckpoints {
    folder: PathBuf,
    /// The log of the last checkpoint; none = it has not been looked at, or a save failed and nobody knows how far it came.
    log: Option<Log>,
    segment_bytes: u64,
}

/// Everything of a checkpoint but its blobs.
#[derive(Serialize, Deserialize)]
struct Head {
    number: u64,
    positions: Positions,
    staged: BTreeMap<String, serde_json::Value>,
    /// Name and length of each blob.
    state: Vec<(String, usize)>,
    log: Log,
}

impl FileCheckpoints {
    /// A store in `folder`, which is created when missing.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self> {
        let folder = folder.into();
        durable::create_folder(&folder).outage("create", folder.display())?;
        Ok(Self { folder, log: None, segment_bytes: SEGMENT_BYTES })
    }

    fn path(&self, number: u64) -> PathBuf {
        self.folder.join(format!("{number:020}.{EXTENSION}"))
    }

    /// The numbers of the checkpoints that are there, ascending.
    fn numbers(&self) -> Result<Vec<u64>> {
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&self.folder).outage("list", self.folder.display())? {
            let path = entry.outage("list", self.folder.display())?.path();
            if path.extension().is_some_and(|extension| extension == EXTENSION) {
                let number = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
                numbers.push(number.ok_or_else(|| Error::new(Kind::Corrupt, "read the number of", path.display()))?);
            }
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Reads the last checkpoint.
    fn read(&self) -> Result<Option<(Checkpoint, Log)>> {
        let Some(number) = self.numbers()?.pop() else {
            return Ok(None);
        };
        let path = self.path(number);
        let bytes = fs::read(&path).outage("read", path.display())?;
        decode(&bytes).map(Some).corrupt("read checkpoint", path.display())
    }

    /// Takes the log of the last checkpoint, so that it is looked up again unless it is put back.
    fn take_log(&mut self) -> Result<Log> {
        match self.log.take() {
            Some(log) => Ok(log),
            None => Ok(self.read()?.map(|(_, log)| log).unwrap_or_default()),
        }
    }
}

impl CheckpointStore for FileCheckpoints {
    fn latest(&mut self) -> Result<Option<Checkpoint>> {
        let (checkpoint, log) = self.read()?.unzip();
        self.log = log;
        Ok(checkpoint)
    }

    fn restore(&mut self, take: &mut dyn FnMut(Restored<'_>) -> Result<()>) -> Result<()> {
        let log = self.take_log()?;
        log.read(&self.folder, take)?;
        self.log = Some(log);
        Ok(())
    }

    fn save(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        let numbers = self.numbers()?;
        let path = self.path(checkpoint.number);
        if let Some(last) = numbers.last().filter(|last| **last > checkpoint.number) {
            return Err(Error::invalid("save checkpoint", path.display(), format!("number {last} is there already")));
        }
        let before = self.take_log()?;
        let temporary = path.with_added_extension(durable::UNFINISHED);
        let older = numbers.iter().filter(|number| **number != checkpoint.number).rev().skip(KEPT - 1);
        for older in older.map(|number| self.path(*number)) {
            // Its room on the disk is used again: a file is quicker overwritten than removed and made.
            fs::rename(&older, &temporary).outage("use again", older.display())?;
        }
        let frames = before.append(&self.folder, &checkpoint.keyed, self.segment_bytes);
        let head = head(checkpoint, &frames.log);
        let body: Vec<&[u8]> =
            [head.as_slice()].into_iter().chain(checkpoint.state.values().map(Vec::as_slice)).collect();
        // Two waits for the disk at once; the checkpoint is there when its file has its name.
        let written = thread::scope(|scope| {
            let log = scope.spawn(|| frames.write());
            let head = write(&temporary, &body);
            log.join().expect("writing does not panic").and(head)
        });
        let saved = written.and_then(|()| fs::rename(&temporary, &path));
        saved.and_then(|()| durable::sync_folder(&self.folder)).outage("save checkpoint", path.display())?;
        self.log = Some(frames.log);
        // The checkpoint before this one is still there, and what it names stays.
        before.delete_older(&self.folder).outage("delete what is superfluous in", self.folder.display())
    }
}

/// Writes a file anew, over whatever it held.
fn write(path: &Path, body: &[&[u8]]) -> io::Result<()> {
    let mut file = File::options().write(true).create(true).truncate(false).open(path)?;
    file.write_all(&header(body))?;
    body.iter().try_for_each(|part| file.write_all(part))?;
    let length: usize = body.iter().map(|part| part.len()).sum();
    file.set_len((HEADER_BYTES + length) as u64)?;
    file.sync_all()
}

/// The JSON head behind its length.
fn head(checkpoint: &Checkpoint, log: &Log) -> Vec<u8> {
    let head = Head {
        number: checkpoint.number,
        positions: checkpoint.positions.clone(),
        staged: checkpoint.staged.clone(),
        state: checkpoint.state.iter().map(|(name, blob)| (name.clone(), blob.len())).collect(),
        log: log.clone(),
    };
    let json = serde_json::to_vec(&head).expect("a head is JSON");
    let length = u32::try_from(json.len()).expect("a head is smaller than 4 GiB");
    [length.to_le_bytes().as_slice(), &json].concat()
}

fn header(body: &[&[u8]]) -> Vec<u8> {
    let length: usize = body.iter().map(|part| part.len()).sum();
    let mut hash = Sha256::new();
    body.iter().for_each(|part| hash.update(part));
    [MAGIC.as_slice(), &VERSION.to_le_bytes(), &(length as u64).to_le_bytes(), &hash.finalize()].concat()
}

/// Reads a file back; the reason in words when it is not what was saved.
fn decode(bytes: &[u8]) -> Result<(Checkpoint, Log), String> {
    let (header, body) = bytes.split_at_checked(HEADER_BYTES).ok_or("it is shorter than its header")?;
    let (magic, rest) = header.split_at(MAGIC.len());
    let (version, rest) = rest.split_at(4);
    let (length, hash) = rest.split_at(8);
    if magic != MAGIC {
        return Err("it is not a checkpoint".to_owned());
    }
    if version != VERSION.to_le_bytes() {
        let found = u32::from_le_bytes(version.try_into().expect("it was split off as 4 bytes"));
        return Err(format!(
            "its format is version {found}, and this program reads version {VERSION}: go on with the Tamis that wrote it, \
             or move the folder away and all topics are judged again from their beginning"
        ));
    }
    if length != (body.len() as u64).to_le_bytes() {
        return Err("its length is not what its header says".to_owned());
    }
    if hash != Sha256::digest(body).as_slice() {
        return Err("its checksum is not what its header says".to_owned());
    }
    decode_body(body).ok_or_else(|| "its head does not describe its body".to_owned())
}

fn decode_body(body: &[u8]) -> Option<(Checkpoint, Log)> {
    let (length, rest) = body.split_first_chunk::<4>()?;
    let (head, mut blobs) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    let Head { number, positions, staged, state: lengths, log } = serde_json::from_slice(head).ok()?;
    let mut state = BTreeMap::new();
    for (name, length) in lengths {
        let (blob, rest) = blobs.split_at_checked(length)?;
        state.insert(name, blob.to_vec());
        blobs = rest;
    }
    let keyed = log.owners().map(|owner| (owner.clone(), Keyed::default())).collect();
    let checkpoint = Checkpoint { number, positions, staged, state, keyed };
    blobs.is_empty().then_some((checkpoint, log))
}

#[cfg(test)]
mod tests {
    use tamis_engine::entries::Entries;

    use super::*;

    fn checkpoint(number: u64) -> Checkpoint {
        Checkpoint { number, state: BTreeMap::from([("rule".to_owned(), vec![0, 255])]), ..Checkpoint::default() }
    }

    #[test]
    fn keeps_the_last_two_and_goes_forward_only() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = FileCheckpoints::open(folder.path()).unwrap();
        for number in [0, 1, 1, 2, 7] {
            store.save(&checkpoint(number)).unwrap();
        }
        assert_eq!(store.numbers().unwrap(), [2, 7]);
        assert_eq!(store.save(&checkpoint(6)).unwrap_err().kind(), Kind::Invalid);
        assert_eq!(store.latest().unwrap(), Some(checkpoint(7)));
    }

    #[test]
    fn a_save_that_was_interrupted_does_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = FileCheckpoints::open(folder.path()).unwrap();
        store.save(&checkpoint(1)).unwrap();
        fs::write(folder.path().join("00000000000000000002.checkpoint.tmp"), b"TAMIS").unwrap();
        assert_eq!(store.latest().unwrap(), Some(checkpoint(1)));
        store.save(&checkpoint(2)).unwrap();
        assert_eq!(store.latest().unwrap(), Some(checkpoint(2)));
    }

    /// Every flipped byte and every length is found out, and the error names the file.
    #[test]
    fn damage_is_found_wherever_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = FileCheckpoints::open(folder.path()).unwrap();
        store.save(&checkpoint(1)).unwrap();
        store.save(&checkpoint(2)).unwrap();
        let path = store.path(2);
        let whole = fs::read(&path).unwrap();
        let flips = (0..whole.len()).map(|at| {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            bytes
        });
        let lengths = (0..whole.len()).map(|length| whole[..length].to_vec());
        for bytes in flips.chain(lengths).chain([[whole.as_slice(), &[0]].concat()]) {
            fs::write(&path, bytes).unwrap();
            let error = store.latest().unwrap_err();
            assert_eq!(error.kind(), Kind::Corrupt);
            assert!(error.to_string().contains("00000000000000000002.checkpoint"), "{error}");
        }
    }

    #[test]
    fn one_of_another_format_says_what_can_be_done() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = FileCheckpoints::open(folder.path()).unwrap();
        store.save(&checkpoint(1)).unwrap();
        let mut bytes = fs::read(store.path(1)).unwrap();
        bytes[MAGIC.len()] = 1;
        fs::write(store.path(1), bytes).unwrap();
        let error = FileCheckpoints::open(folder.path()).unwrap().latest().unwrap_err();
        let words = "its format is version 1, and this program reads version 2: go on with the Tamis that wrote it";
        assert!(error.chain().contains(words), "{}", error.chain());
    }

    /// 200 keys of which a few change, and an owner that never does: the log stays as large as a few rounds of all keys.
    #[test]
    fn the_log_does_not_grow_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = FileCheckpoints { segment_bytes: 1000, ..FileCheckpoints::open(folder.path()).unwrap() };
        let entries = |keys: &mut dyn Iterator<Item = u64>, value: u64| {
            let mut entries = Entries::default();
            keys.for_each(|key| entries.put(&[key as u8], &[&value.to_be_bytes()]));
            entries
        };
        let whole = |keys: u64| Keyed { whole: true, changes: entries(&mut (0..keys), 0), ..Keyed::default() };
        let foreign = folder.path().join("notes.entries");
        fs::write(&foreign, "not of the log").unwrap();
        let segments = || fs::read_dir(folder.path()).unwrap().count() - KEPT - 1;
        let mut segments_max = 0;
        for number in 0..300_u64 {
            let busy = Keyed {
                changes: entries(&mut (0..10).map(|n| (number * 7 + n) % 200), number),
                repeated: entries(&mut (0..10).map(|n| (number * 10 + n) % 200), number),
                round_ends: number % 20 == 19,
                whole: false,
            };
            let still = Keyed { repeated: entries(&mut (0..1), 0), round_ends: true, ..Keyed::default() };
            let keyed = if number == 0 { [whole(200), whole(1)] } else { [busy, still] };
            let keyed = ["busy", "still"].map(str::to_owned).into_iter().zip(keyed).collect();
            store.save(&Checkpoint { number, keyed, ..Checkpoint::default() }).unwrap();
            segments_max = segments().max(segments_max);
            if number % 50 == 49 {
                let segment_bytes = store.segment_bytes;
                store = FileCheckpoints { segment_bytes, ..FileCheckpoints::open(folder.path()).unwrap() };
                store.restore(&mut |_| Ok(())).unwrap();
            }
        }
        assert!((6..16).contains(&segments_max), "{segments_max} segments of 1000 bytes");
        assert!(foreign.exists(), "only segments are deleted");
    }
}
