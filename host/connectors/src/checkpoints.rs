//! Checkpoints in a folder: one file each, whole or not there.
//!
//! A file is `TAMISCKP`, the format's version (u32), the body's length (u64) and SHA-256, then the body: the length
//! (u32) of a JSON head, the head, and the encoded state blobs in the order of the head. Numbers are little-endian.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::thread;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tamis_engine::{Checkpoint, CheckpointStore};
use tamis_model::error::Context;
use tamis_model::position::Positions;
use tamis_model::{Error, Kind, Result};

use crate::durable;

const MAGIC: &[u8; 8] = b"TAMISCKP";
const VERSION: u32 = 1;
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
}

/// Everything of a checkpoint but its blobs.
#[derive(Serialize, Deserialize)]
struct Head {
    number: u64,
    positions: Positions,
    staged: BTreeMap<String, serde_json::Value>,
    /// Name and length of each blob.
    state: Vec<(String, usize)>,
}

impl FileCheckpoints {
    /// A store in `folder`, which is created when missing.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self> {
        let folder = folder.into();
        durable::create_folder(&folder).outage("create", folder.display())?;
        Ok(Self { folder })
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
}

impl CheckpointStore for FileCheckpoints {
    fn latest(&mut self) -> Result<Option<Checkpoint>> {
        let Some(number) = self.numbers()?.pop() else {
            return Ok(None);
        };
        let path = self.path(number);
        let bytes = fs::read(&path).outage("read", path.display())?;
        decode(&bytes).map(Some).corrupt("read checkpoint", path.display())
    }

    fn save(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        let numbers = self.numbers()?;
        let path = self.path(checkpoint.number);
        if let Some(last) = numbers.last().filter(|last| **last > checkpoint.number) {
            return Err(Error::invalid("save checkpoint", path.display(), format!("number {last} is there already")));
        }
        let temporary = path.with_added_extension(durable::UNFINISHED);
        let older = numbers.iter().filter(|number| **number != checkpoint.number).rev().skip(KEPT - 1);
        for older in older.map(|number| self.path(*number)) {
            // Its room on the disk is used again: a large file is quicker overwritten than removed and made.
            fs::rename(&older, &temporary).outage("use again", older.display())?;
        }
        let head = head(checkpoint);
        let body: Vec<&[u8]> =
            [head.as_slice()].into_iter().chain(checkpoint.state.values().map(Vec::as_slice)).collect();
        let saved = write(&temporary, &body).and_then(|()| fs::rename(&temporary, &path));
        saved.and_then(|()| durable::sync_folder(&self.folder)).outage("save checkpoint", path.display())
    }
}

/// Writes a file anew, over whatever it held; it is hashed while it is written.
fn write(path: &Path, body: &[&[u8]]) -> io::Result<()> {
    let mut file = File::options().write(true).create(true).truncate(false).open(path)?;
    let length: usize = body.iter().map(|part| part.len()).sum();
    let header = thread::scope(|scope| {
        let header = scope.spawn(|| header(body));
        file.seek(SeekFrom::Start(HEADER_BYTES as u64))?;
        body.iter().try_for_each(|part| file.write_all(part))?;
        io::Result::Ok(header.join().expect("hashing does not panic"))
    })?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&header)?;
    file.set_len((HEADER_BYTES + length) as u64)?;
    file.sync_all()
}

/// The JSON head behind its length.
fn head(checkpoint: &Checkpoint) -> Vec<u8> {
    let head = Head {
        number: checkpoint.number,
        positions: checkpoint.positions.clone(),
        staged: checkpoint.staged.clone(),
        state: checkpoint.state.iter().map(|(name, blob)| (name.clone(), blob.len())).collect(),
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
fn decode(bytes: &[u8]) -> Result<Checkpoint, String> {
    let (header, body) = bytes.split_at_checked(HEADER_BYTES).ok_or("it is shorter than its header")?;
    let (magic, rest) = header.split_at(MAGIC.len());
    let (version, rest) = rest.split_at(4);
    let (length, hash) = rest.split_at(8);
    if magic != MAGIC {
        return Err("it is not a checkpoint".to_owned());
    }
    if version != VERSION.to_le_bytes() {
        return Err(format!("its format is not version {VERSION}"));
    }
    if length != (body.len() as u64).to_le_bytes() {
        return Err("its length is not what its header says".to_owned());
    }
    if hash != Sha256::digest(body).as_slice() {
        return Err("its checksum is not what its header says".to_owned());
    }
    decode_body(body).ok_or_else(|| "its head does not describe its body".to_owned())
}

fn decode_body(body: &[u8]) -> Option<Checkpoint> {
    let (length, rest) = body.split_first_chunk::<4>()?;
    let (head, mut blobs) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    let head: Head = serde_json::from_slice(head).ok()?;
    let mut state = BTreeMap::new();
    for (name, length) in head.state {
        let (blob, rest) = blobs.split_at_checked(length)?;
        state.insert(name, blob.to_vec());
        blobs = rest;
    }
    let checkpoint = Checkpoint { number: head.number, positions: head.positions, staged: head.staged, state };
    blobs.is_empty().then_some(checkpoint)
}

#[cfg(test)]
mod tests {
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
}
