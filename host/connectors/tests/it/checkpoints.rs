//! The checkpoint store on a disk.

use std::fs;
use std::path::PathBuf;

use tamis_connectors::FileCheckpoints;
use tamis_engine::CheckpointStore;
use tamis_engine::conformance::{CheckpointHarness, checkpoint_contract};

struct Folder(tempfile::TempDir);

impl Folder {
    /// Files with this ending, by name.
    fn files(&self, extension: &str) -> Vec<PathBuf> {
        let paths = fs::read_dir(self.0.path()).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = paths.filter(|path| path.extension().is_some_and(|found| found == extension)).collect();
        files.sort();
        files
    }
}

impl CheckpointHarness for Folder {
    fn open(&mut self) -> Box<dyn CheckpointStore> {
        Box::new(FileCheckpoints::open(self.0.path()).unwrap())
    }

    fn damage_latest(&mut self, n: usize) -> bool {
        let (head, log) = (self.files("checkpoint").pop().unwrap(), self.files("entries").pop().unwrap());
        let head_bytes = fs::read(&head).unwrap();
        let log_bytes = fs::read(&log).unwrap();
        let flipped = |bytes: &[u8], at: usize| {
            let mut bytes = bytes.to_vec();
            bytes[at] ^= 1;
            bytes
        };
        match n {
            0 => fs::write(&head, flipped(&head_bytes, head_bytes.len() / 2)).unwrap(),
            // Whichever byte of the log it is: spread over it, and the last.
            1..=20 => fs::write(&log, flipped(&log_bytes, log_bytes.len() * (n - 1) / 20)).unwrap(),
            21 => fs::write(&log, flipped(&log_bytes, log_bytes.len() - 1)).unwrap(),
            22 => fs::write(&log, &log_bytes[..log_bytes.len() - 1]).unwrap(),
            23 => fs::write(&log, b"").unwrap(),
            24 => fs::remove_file(&log).unwrap(),
            _ => return false,
        }
        true
    }

    fn interrupt_save(&mut self) -> bool {
        let (head, log) = (self.files("checkpoint").pop().unwrap(), self.files("entries").pop().unwrap());
        let begun = [fs::read(&log).unwrap(), b"what was not saved to its end".to_vec()].concat();
        fs::write(log, begun).unwrap();
        fs::write(head.with_added_extension("tmp"), b"TAMIS").unwrap();
        true
    }
}

#[test]
fn keeps_the_contract() {
    checkpoint_contract(|| Folder(tempfile::tempdir().unwrap()));
}
