//! The checkpoint store on a disk.

use std::fs;

use tamis_connectors::FileCheckpoints;
use tamis_engine::CheckpointStore;
use tamis_engine::conformance::{CheckpointHarness, checkpoint_contract};

struct Folder(tempfile::TempDir);

impl CheckpointHarness for Folder {
    fn open(&mut self) -> Box<dyn CheckpointStore> {
        Box::new(FileCheckpoints::open(self.0.path()).unwrap())
    }

    fn damage_latest(&mut self) -> bool {
        let paths = fs::read_dir(self.0.path()).unwrap().map(|entry| entry.unwrap().path());
        let latest = paths.max().unwrap();
        let mut bytes = fs::read(&latest).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(latest, bytes).unwrap();
        true
    }
}

#[test]
fn keeps_the_contract() {
    checkpoint_contract(|| Folder(tempfile::tempdir().unwrap()));
}
