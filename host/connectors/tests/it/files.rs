//! Bounded files against the contract of sources.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use tamis_connectors::FileSource;
use tamis_connectors::files::{FileSettings, Framing};
use tamis_engine::conformance::{SourceHarness, source_contract};
use tamis_engine::{Chunk, Source};
use tamis_model::position::Partition;
use tamis_model::time::Millis;

/// Files `0`, `1`, … of lines, each of many gzip members when they are compressed.
struct Files {
    folder: tempfile::TempDir,
    files: BTreeMap<u32, File>,
    framing: Framing,
    is_gzip: bool,
}

impl Files {
    fn name(&self, number: u32) -> String {
        format!("{number}{}", if self.is_gzip { ".gz" } else { "" })
    }
}

impl SourceHarness for Files {
    fn append(&mut self, partition: &Partition, _: Millis, value: &str) {
        let path = self.folder.path().join(self.name(partition.number));
        let file = self.files.entry(partition.number).or_insert_with(|| File::create(path).unwrap());
        if self.is_gzip {
            let mut member = GzEncoder::new(file, Compression::fast());
            writeln!(member, "{value}").unwrap();
            member.finish().unwrap();
        } else {
            writeln!(file, "{value}").unwrap();
        }
    }

    fn open(&mut self) -> Box<dyn Source> {
        let files = self.files.keys().map(|number| self.folder.path().join(self.name(*number))).collect();
        let settings = FileSettings { chunk_bytes: 7, ..FileSettings::new(self.framing) };
        Box::new(FileSource::new("payments", files, settings))
    }

    fn bounded(&self) -> bool {
        true
    }

    fn values(&self, chunk: &Chunk) -> Vec<String> {
        str::from_utf8(chunk.records()).unwrap().lines().map(str::to_owned).collect()
    }
}

#[test]
fn keep_the_contract() {
    for (framing, is_gzip) in
        [(Framing::Lines, false), (Framing::Csv, false), (Framing::Lines, true), (Framing::Csv, true)]
    {
        source_contract(|| {
            let folder = tempfile::tempdir().unwrap();
            Files { folder, files: BTreeMap::new(), framing, is_gzip }
        });
    }
}
