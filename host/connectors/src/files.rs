//! Bounded files as a source: whole records of text or CSV, plain, gzip or zstd.

mod framing;
mod reading;

use std::path::{Path, PathBuf};

use tamis_engine::{Chunk, Read, Source};
use tamis_model::error::Context;
use tamis_model::position::{Partition, Positions};
use tamis_model::{Error, Kind, Result};

pub use self::framing::Framing;
use self::reading::OpenFile;

/// How much a [`FileSource`] reads at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileSettings {
    /// Where records end.
    pub framing: Framing,
    /// About how many bytes a chunk has.
    pub chunk_bytes: usize,
    /// A longer record is an error, so that memory stays bounded.
    pub record_bytes_max: usize,
}

impl FileSettings {
    /// The defaults: 1 MiB chunks, records up to 64 MiB.
    pub fn new(framing: Framing) -> Self {
        Self { framing, chunk_bytes: 1 << 20, record_bytes_max: 64 << 20 }
    }
}

/// Reads files from their beginning to their end. Files whose name ends in `.gz` are gzip, of one member or many, those in
/// `.zst` zstd.
///
/// File `i` of the list is the partition `<name>/<i>`. Positions count framed records from 0, blank lines and headers
/// included, because what a row is only the decoder knows. A last record needs no line break.
///
/// Errors of [`Source::read`]: `Kind::Corrupt` when a gzip is broken (length and CRC-32 of each member are checked at
/// its end), `Kind::Invalid` with file and byte when a record is longer than `record_bytes_max`.
#[derive(Debug)]
pub struct FileSource {
    name: String,
    files: Vec<PathBuf>,
    settings: FileSettings,
    positions: Positions,
    /// The file being read; files are usually read one after the other.
    open: Option<(u32, OpenFile)>,
    /// Files that were left for another one, or read to their end: how many records were handed out.
    left_at: Positions,
}

impl FileSource {
    /// A source over `files`, in this order.
    pub fn new(name: impl Into<String>, files: Vec<PathBuf>, settings: FileSettings) -> Self {
        let (positions, left_at) = (Positions::default(), Positions::default());
        Self { name: name.into(), files, settings, positions, open: None, left_at }
    }

    /// The partition of file `index`.
    pub fn partition(&self, index: u32) -> Partition {
        Partition { topic: self.name.clone(), number: index }
    }

    /// The path of a partition's file.
    pub fn path(&self, partition: &Partition) -> Option<&Path> {
        let ours = partition.topic == self.name;
        ours.then(|| self.files.get(partition.number as usize)).flatten().map(PathBuf::as_path)
    }

    /// Opens a file where it was left.
    fn enter(&mut self, partition: &Partition) -> Result<()> {
        let path = self.path(partition).ok_or_else(|| Error::new(Kind::Missing, "read file", partition))?;
        let skip = self.left_at.next(partition).max(self.positions.next(partition));
        let skip = u64::try_from(skip).invalid("open", path.display())?;
        let mut file = OpenFile::open(path, self.settings)?;
        file.skip(skip)?;
        if let Some((number, left)) = self.open.replace((partition.number, file)) {
            let left_partition = Partition { topic: self.name.clone(), number };
            self.left_at.set(&left_partition, left.records_read as i64);
        }
        Ok(())
    }
}

impl Source for FileSource {
    fn open(&mut self, positions: &Positions) -> Result<()> {
        self.positions = positions.clone();
        self.left_at = Positions::default();
        self.open = None;
        Ok(())
    }

    fn partitions(&mut self) -> Result<Vec<Partition>> {
        Ok((0..self.files.len() as u32).map(|index| self.partition(index)).collect())
    }

    fn read(&mut self, partition: &Partition, chunk: &mut Chunk) -> Result<Read> {
        if self.open.as_ref().is_none_or(|(number, _)| *number != partition.number || partition.topic != self.name) {
            self.enter(partition)?;
        }
        let (_, file) = self.open.as_mut().expect("the file was just entered");
        let found = chunk.fill(|bytes| file.read_records(bytes))?;
        Ok(if found { Read::Records } else { Read::Ended })
    }

    fn release(&mut self, _: &Positions) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    /// Reads one file in chunks of a few bytes and returns the chunks.
    fn chunks(path: &Path, framing: Framing, chunk_bytes: usize, from: i64) -> Result<Vec<String>> {
        let settings = FileSettings { framing, chunk_bytes, record_bytes_max: 64 };
        let mut source = FileSource::new("crm", vec![path.to_owned()], settings);
        let partition = source.partition(0);
        source.open(&Positions::from(vec![(partition.clone(), from)]))?;
        let (mut chunk, mut chunks) = (Chunk::default(), Vec::new());
        while source.read(&partition, &mut chunk)? == Read::Records {
            chunks.push(String::from_utf8(chunk.records().to_vec()).unwrap());
        }
        Ok(chunks)
    }

    fn file(folder: &tempfile::TempDir, name: &str, bytes: &[u8]) -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn chunks_hold_whole_records_whatever_their_size() {
        let folder = tempfile::tempdir().unwrap();
        let csv = "\u{feff}\"a\nb\",c\n1,\"x\n\"\"y\"\"\n\"\r\n\n5 \" tall,\n2,\"last";
        let path = file(&folder, "a.csv", csv.as_bytes());
        let records = ["\u{feff}\"a\nb\",c\n", "1,\"x\n\"\"y\"\"\n\"\r\n", "\n", "5 \" tall,\n", "2,\"last"];
        for chunk_bytes in 1..=64 {
            let read = chunks(&path, Framing::Csv, chunk_bytes, 0).unwrap();
            assert_eq!(read.concat(), csv, "{chunk_bytes}");
            let mut ends = records.iter().scan(0, |end, record| {
                *end += record.len();
                Some(*end)
            });
            let mut read_to = 0;
            for chunk in read {
                read_to += chunk.len();
                assert!(ends.any(|end| end == read_to), "a chunk of {chunk_bytes} bytes ends at {read_to}");
            }
            for from in 0..=5 {
                let read = chunks(&path, Framing::Csv, chunk_bytes, from).unwrap().concat();
                assert_eq!(read, records[from as usize..].concat(), "{chunk_bytes} bytes, from {from}");
            }
        }
    }

    #[test]
    fn gzip_has_members_and_names_decide() {
        let folder = tempfile::tempdir().unwrap();
        let bytes = [gzip(b"one\ntw"), gzip(b"o\nthree")].concat();
        let path = file(&folder, "a.log.gz", &bytes);
        assert_eq!(chunks(&path, Framing::Lines, 5, 0).unwrap().concat(), "one\ntwo\nthree");
        assert_eq!(chunks(&path, Framing::Lines, 5, 2).unwrap().concat(), "three");
        let plain = file(&folder, "b.log", b"one\n");
        assert_eq!(chunks(&plain, Framing::Lines, 5, 0).unwrap(), ["one\n"]);
        assert_eq!(chunks(&file(&folder, "empty.log", b""), Framing::Lines, 5, 0).unwrap(), [""; 0]);
    }

    #[test]
    fn broken_gzip_is_corrupt() {
        let folder = tempfile::tempdir().unwrap();
        let whole = gzip(&b"some line\n".repeat(100));
        let mut flipped = whole.clone();
        *flipped.last_mut().unwrap() ^= 1;
        let mut wrong_crc = whole.clone();
        let crc = wrong_crc.len() - 8;
        wrong_crc[crc] ^= 1;
        for (name, bytes) in
            [("cut", &whole[..whole.len() - 9]), ("length", &flipped), ("crc", &wrong_crc), ("text", b"x")]
        {
            let path = file(&folder, &format!("{name}.gz"), bytes);
            let error = chunks(&path, Framing::Lines, 5, 0).unwrap_err();
            assert_eq!(error.kind(), Kind::Corrupt, "{name}");
            assert!(error.to_string().contains(name), "{error}");
        }
        let error = chunks(&folder.path().join("none.gz"), Framing::Lines, 5, 0).unwrap_err();
        assert_eq!(error.kind(), Kind::Outage);
    }

    #[test]
    fn a_record_without_an_end_does_not_fill_the_memory() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(&folder, "a.csv", format!("a\n\"{}", "x".repeat(100)).as_bytes());
        let error = chunks(&path, Framing::Csv, 8, 0).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid);
        assert!(error.to_string().ends_with("a.csv byte 2"), "{error}");
    }

    #[test]
    fn files_can_be_read_in_turns() {
        let folder = tempfile::tempdir().unwrap();
        let files = vec![file(&folder, "a", b"1\n2\n3\n"), file(&folder, "b", b"4\n5\n")];
        let settings = FileSettings { chunk_bytes: 2, ..FileSettings::new(Framing::Lines) };
        let mut source = FileSource::new("logs", files, settings);
        source.open(&Positions::default()).unwrap();
        let (mut chunk, mut read) = (Chunk::default(), Vec::new());
        for number in [0, 1, 0, 1, 0, 1, 0] {
            let partition = source.partition(number);
            if source.read(&partition, &mut chunk).unwrap() == Read::Records {
                read.extend_from_slice(chunk.records());
            }
        }
        assert_eq!(String::from_utf8(read).unwrap(), "1\n4\n2\n5\n3\n");
    }
}
