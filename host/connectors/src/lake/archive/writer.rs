//! Records on their way into objects: cut, compressed while they come, and published whole.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use tamis_engine::decode::Origin;
use tamis_engine::{Chunk, Framing};
use tamis_model::error::Context;
use tamis_model::position::Partition;
use tamis_model::time::{Millis, utc_date};
use tamis_model::{Error, Kind, Result};

use super::super::json_lines::{self, JsonLines};
use super::reader::end_of;
use super::{ArchiveObject, DATE, FORM, archive_objects, object_name};
use crate::topics::line::{self, Parts};
use crate::topics::stamp::Stamp;
use crate::{durable, folders, plain_name};

/// Lines that are no records wait for the record behind them: so many bytes at most.
const PENDING_BYTES_MAX: usize = 128 << 20;
/// The file in a topic's archive that says where its records come from.
const ORIGIN: &str = ".origin";
/// Where they come from when they come from the home.
pub const ORIGIN_HOME: &str = "this home";
const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// The time of a record that has none, as Kafka writes it.
const TIMELESS: Millis = -1;

/// When an object is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArchiveSettings {
    /// Before it has more bytes than this, uncompressed; a longer record has an object of its own.
    pub object_bytes_max: u64,
    /// So long after its first record was taken, or when the clock's UTC date changes.
    pub interval_ms: i64,
}

/// Hears of an object that is durable: the partition, the offset behind its last record, and how many records it has.
pub type Closed<'a> = dyn FnMut(&Partition, i64, u64) -> Result<()> + 'a;

/// Writes the objects of topics, one partition beside the other. There is one writer of a topic at a time.
///
/// The partitions are apart: each has one object at most that is being written, below `bronze/.archive`, with a compressor of a few MiB.
pub struct ArchiveWriter {
    bronze: PathBuf,
    staging: PathBuf,
    settings: ArchiveSettings,
    tracks: BTreeMap<Partition, Track>,
}

/// A partition being archived.
#[derive(Default)]
struct Track {
    /// Records before it are in objects.
    next: i64,
    /// Lines that are no records, which go with the record behind them.
    pending: Vec<u8>,
    object: Option<Open>,
}

/// An object being written.
struct Open {
    first: i64,
    date: String,
    bytes: u64,
    records: u64,
    since: Millis,
    staged: PathBuf,
    lines: JsonLines,
}

impl ArchiveWriter {
    /// A writer below `bronze`. What another one left unfinished is removed.
    pub fn open(bronze: impl Into<PathBuf>, settings: ArchiveSettings) -> Result<Self> {
        let bronze = bronze.into();
        let staging = bronze.join(".archive");
        durable::create_folder(&staging).outage("create", staging.display())?;
        folders::remove_files(&staging, |_| true)?;
        Ok(Self { bronze, staging, settings, tracks: BTreeMap::new() })
    }

    /// Says where the records of these topics come from. An archive of the same topics from elsewhere is refused: its offsets are those of
    /// other records.
    pub fn of(self, origin: &str, topics: &[String]) -> Result<Self> {
        topics.iter().try_for_each(|topic| self.claim(origin, topic))?;
        Ok(self)
    }

    fn claim(&self, origin: &str, topic: &str) -> Result<()> {
        plain_name::check("archive topic", topic)?;
        let folder = self.bronze.join(topic);
        let path = folder.join(ORIGIN);
        let found = match fs::read_to_string(&path) {
            Ok(found) => found,
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error).outage("read", path.display()),
            // Before origins were written down there were only the topics of the home.
            Err(_) if !archive_objects(&self.bronze, topic)?.is_empty() => ORIGIN_HOME.to_owned(),
            Err(_) => {
                durable::create_folder(&folder).outage("create", folder.display())?;
                durable::replace_file(&path, &[origin.as_bytes()]).outage("write", path.display())?;
                return Ok(());
            }
        };
        if found == origin {
            return Ok(());
        }
        let reason = format!(
            "{} is the archive of {found}, and these are the records of {origin}: take another home",
            folder.display()
        );
        Err(Error::invalid("archive topic", topic, reason))
    }

    /// Whether a partition was resumed.
    pub fn knows(&self, partition: &Partition) -> bool {
        self.tracks.contains_key(partition)
    }

    /// Goes on with a partition whose archive is known to reach to `position`: an object that was made durable there before that could be
    /// saved counts, and one that is broken is written again. Returns the offset from which on records are taken.
    pub fn resume(&mut self, partition: &Partition, position: i64) -> Result<i64> {
        plain_name::check("archive topic", &partition.topic)?;
        let objects = archive_objects(&self.bronze, &partition.topic)?.remove(&partition.number).unwrap_or_default();
        let next = match objects.last().filter(|object| object.first >= position) {
            None => position,
            Some(ArchiveObject { first, path }) => match end_of(path) {
                Err(error) if error.kind() == Kind::Corrupt && *first == position => position,
                end => end?.max(position),
            },
        };
        self.tracks.insert(partition.clone(), Track { next, ..Track::default() });
        Ok(next)
    }

    /// Takes the records of a chunk that are not archived yet. Whatever has to be closed before them is, and `closed` hears of it.
    pub fn write(&mut self, partition: &Partition, chunk: &Chunk, now: Millis, closed: &mut Closed<'_>) -> Result<()> {
        let mut bytes = Vec::new();
        for origin in chunk.origins() {
            bytes.clear();
            let stamp = record_line(chunk, origin, &mut bytes);
            let track = self.track(partition)?;
            match stamp {
                None => track.hold(partition, &bytes)?,
                Some(stamp) if stamp.offset < track.next => track.pending.clear(),
                Some(stamp) => self.append(partition, stamp, &bytes, now, closed)?,
            }
        }
        Ok(())
    }

    /// Closes what is due.
    pub fn close_due(&mut self, now: Millis, closed: &mut Closed<'_>) -> Result<()> {
        let interval_ms = self.settings.interval_ms;
        let is_due = |open: &Open| now.saturating_sub(open.since) >= interval_ms || day(now) != day(open.since);
        self.close_where(is_due, closed)
    }

    /// Closes everything.
    pub fn close_all(&mut self, closed: &mut Closed<'_>) -> Result<()> {
        self.close_where(|_| true, closed)
    }

    fn close_where(&mut self, wanted: impl Fn(&Open) -> bool, closed: &mut Closed<'_>) -> Result<()> {
        let open = self.tracks.iter().filter(|(_, track)| track.object.as_ref().is_some_and(&wanted));
        let open: Vec<Partition> = open.map(|(partition, _)| partition.clone()).collect();
        open.iter().try_for_each(|partition| self.close(partition, closed))
    }

    fn track(&mut self, partition: &Partition) -> Result<&mut Track> {
        let missing = || Error::new(Kind::Missing, "archive partition", partition).because("it was not resumed");
        self.tracks.get_mut(partition).ok_or_else(missing)
    }

    fn append(
        &mut self,
        partition: &Partition,
        stamp: Stamp,
        line: &[u8],
        now: Millis,
        closed: &mut Closed<'_>,
    ) -> Result<()> {
        let (date, object_bytes_max) = (utc_date(stamp.time), self.settings.object_bytes_max);
        let track = self.track(partition)?;
        let pending = std::mem::take(&mut track.pending);
        let length = (pending.len() + line.len() + 1) as u64;
        let fits = |open: &Open| open.date == date && open.bytes.saturating_add(length) <= object_bytes_max;
        if track.object.as_ref().is_some_and(|open| !fits(open)) {
            self.close(partition, closed)?;
        }
        let staging = &self.staging;
        let track = self.tracks.get_mut(partition).expect("it was there before");
        let open = match &mut track.object {
            Some(open) => open,
            none => none.insert(Open::begin(staging, partition, stamp.offset, date, now)?),
        };
        for line in pending.split_inclusive(|byte| *byte == b'\n') {
            open.lines.append_line(line.strip_suffix(b"\n").unwrap_or(line))?;
        }
        open.lines.append_line(line)?;
        open.bytes += length;
        open.records += 1;
        track.next = stamp.offset.saturating_add(1);
        Ok(())
    }

    fn close(&mut self, partition: &Partition, closed: &mut Closed<'_>) -> Result<()> {
        let track = self.track(partition)?;
        let (next, Some(open)) = (track.next, track.object.take()) else { return Ok(()) };
        let Open { first, date, staged, lines, records, .. } = open;
        lines.finish()?;
        let folder = self.bronze.join(&partition.topic).join(format!("{DATE}{date}"));
        json_lines::publish(&staged, &folder.join(object_name(&partition.topic, partition.number, first)))?;
        closed(partition, next, records)
    }
}

impl Open {
    fn begin(staging: &Path, partition: &Partition, first: i64, date: String, now: Millis) -> Result<Self> {
        let staged = staging.join(object_name(&partition.topic, partition.number, first));
        let lines = JsonLines::create(staged.clone(), FORM)?;
        Ok(Self { first, date, bytes: 0, records: 0, since: now, staged, lines })
    }
}

impl Track {
    fn hold(&mut self, partition: &Partition, line: &[u8]) -> Result<()> {
        self.pending.extend_from_slice(line);
        self.pending.push(b'\n');
        if self.pending.len() > PENDING_BYTES_MAX {
            let reason = format!("{PENDING_BYTES_MAX} bytes behind offset {} are no records", self.next - 1);
            return Err(Error::new(Kind::Corrupt, "archive partition", partition).because(reason));
        }
        Ok(())
    }
}

/// Puts the line of a record into the empty `line`, without its line break. A record line stays as it is. Returns what tells where it
/// belongs; none when it is no record.
fn record_line(chunk: &Chunk, origin: Origin, line: &mut Vec<u8>) -> Option<Stamp> {
    if chunk.framing() == Framing::Lines {
        line.extend_from_slice(chunk.raw(origin));
        return Stamp::of(line);
    }
    let record = chunk.record(origin);
    let stamp = Stamp { offset: record.offset?, time: record.timestamp.unwrap_or(TIMELESS) };
    let (key, value) = (record.key.as_deref(), record.value.as_deref());
    line::append(
        line,
        stamp.offset,
        &Parts { timestamp: stamp.time, key, value, value_is_json: false, headers: &record.headers },
    );
    line.pop();
    Some(stamp)
}

fn day(time: Millis) -> i64 {
    time.div_euclid(DAY_MS)
}
