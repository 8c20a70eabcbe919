//! JSON lines that are staged in one log, exactly once, and dealt out into folders by what they are about.
//!
//! A stage costs one sync, however many folders its lines belong in, and a folder gets a file for what came together in a
//! while, not for every stage.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tamis_engine::Settle;
use tamis_model::error::Context;
use tamis_model::{Error, Kind, Result};

use super::json_lines::{self, Form, JsonLines};
use crate::{durable, folders, parallel, plain_name};

/// A log that is larger is dealt out at once.
const LOG_BYTES_MAX: u64 = 64 << 20;
/// Bytes of a log that are dealt out at a time.
const PART_BYTES: u64 = 64 << 20;
/// Between a line and the group before it; neither has one of its own.
const SEPARATOR: char = '\t';

/// What a stage describes: so much of this log counts.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Staged {
    log: u64,
    bytes: u64,
}

/// Lines on their way into `<folder>/<group>/<writer>-<log>-<part>.jsonl`, a group being a path of folders.
///
/// Until they settle they lie in a log, `<folder>/.staged/<writer>/<log>.lines`. What is dealt out of it has names that
/// follow from its content, so dealing again what a crash interrupted replaces files by themselves, or by what has more
/// lines behind. A log that is dealt out to its end becomes `<log>.dealt`, which stays until the next one does: a
/// checkpoint that still names the log is told by it that nothing is missing.
pub(super) struct GatheredLines {
    folder: PathBuf,
    staging: PathBuf,
    writer: String,
    form: Form,
    settle_after: Duration,
    /// The number of the present log; none until it is asked for.
    log: Option<u64>,
    /// Open when something was written since the last commit.
    output: Option<BufWriter<File>>,
    /// Of the log, what is still in the buffer included.
    bytes: u64,
    bytes_synced: u64,
    /// When the log got its first line, or this process found it.
    since: Option<Instant>,
}

impl GatheredLines {
    /// Lines below `folder`, which is created when missing. Each pipeline has a `writer` name of its own.
    pub fn open(folder: PathBuf, writer: &str, form: Form, settle_after: Duration) -> Result<Self> {
        plain_name::check("write files as", writer)?;
        let staging = folder.join(".staged").join(writer);
        durable::create_folder(&staging).outage("create", staging.display())?;
        let writer = writer.to_owned();
        let (log, output, bytes, bytes_synced, since) = (None, None, 0, 0, None);
        Ok(Self { folder, staging, writer, form, settle_after, log, output, bytes, bytes_synced, since })
    }

    /// Appends one line of JSON. The folders of the group have plain names.
    pub fn append(&mut self, group: &str, json: &str) -> Result<()> {
        debug_assert!(!group.contains([SEPARATOR, '\n']) && !json.contains('\n'));
        let log = self.number()?;
        let path = self.log_path(log);
        let output = match &mut self.output {
            Some(output) => output,
            closed => closed.insert(open_at(&path, self.bytes).outage("open", path.display())?),
        };
        writeln!(output, "{group}{SEPARATOR}{json}").outage("append to", path.display())?;
        self.bytes += (group.len() + SEPARATOR.len_utf8() + json.len() + 1) as u64;
        self.since.get_or_insert_with(Instant::now);
        Ok(())
    }

    /// Makes everything durable.
    pub fn stage(&mut self) -> Result<Staged> {
        let log = self.number()?;
        let path = self.log_path(log);
        if let Some(output) = self.output.as_mut().filter(|_| self.bytes > self.bytes_synced) {
            output.flush().and_then(|()| output.get_ref().sync_data()).outage("sync", path.display())?;
            if self.bytes_synced == 0 {
                durable::sync_folder(&self.staging).outage("sync", self.staging.display())?;
            }
            self.bytes_synced = self.bytes;
        }
        Ok(Staged { log, bytes: self.bytes })
    }

    /// Goes on with exactly what was staged.
    pub fn commit(&mut self, staged: &Staged) -> Result<()> {
        self.output = None;
        let names = folders::names(&self.staging)?;
        let present = log_name(staged.log);
        let is_dealt = names.contains(&dealt_name(staged.log));
        // Logs before it were dealt out, those behind it and what was about to be dealt were never committed.
        let stays = |name: &str| name.ends_with(DEALT) || (name == present && !is_dealt);
        folders::remove_files(&self.staging, |name| !stays(name))?;
        if is_dealt {
            self.begin(staged.log + 1);
            return Ok(());
        }
        if names.contains(&present) || staged.bytes > 0 {
            let path = self.staging.join(present);
            let file = File::options().write(true).open(&path).outage("open", path.display())?;
            durable::cut(&file, staged.bytes, &path)?;
        }
        (self.log, self.bytes, self.bytes_synced) = (Some(staged.log), staged.bytes, staged.bytes);
        self.since = if staged.bytes > 0 { self.since.or_else(|| Some(Instant::now())) } else { None };
        Ok(())
    }

    /// Deals the log out if it is time.
    pub fn settle(&mut self, what: Settle) -> Result<()> {
        let has_waited = self.since.is_some_and(|since| since.elapsed() >= self.settle_after);
        if self.bytes > 0 && (what == Settle::All || has_waited || self.bytes >= LOG_BYTES_MAX) {
            let log = self.number()?;
            self.deal(log)?;
            self.begin(log + 1);
        }
        Ok(())
    }

    /// Deals out the log that is there, whether or not all of it was committed: no checkpoint speaks for it any more.
    pub fn deal_left(&self) -> Result<()> {
        let names = folders::names(&self.staging)?;
        let left = names.iter().filter_map(|name| Some((name, name.strip_suffix(LOG)?.parse::<u64>().ok()?)));
        let Some((name, log)) = left.min_by_key(|(_, log)| *log) else { return Ok(()) };
        let path = self.staging.join(name);
        let bytes = fs::read(&path).outage("read", path.display())?;
        // What is not a whole line was on its way.
        let whole = memchr::memrchr(b'\n', &bytes).map_or(0, |end| end + 1);
        let file = File::options().write(true).open(&path).outage("open", path.display())?;
        durable::cut(&file, whole as u64, &path)?;
        self.deal(log)
    }

    fn begin(&mut self, log: u64) {
        self.log = Some(log);
        (self.output, self.bytes, self.bytes_synced, self.since) = (None, 0, 0, None);
    }

    fn deal(&self, log: u64) -> Result<()> {
        let path = self.log_path(log);
        let mut lines = BufReader::new(File::open(&path).outage("open", path.display())?);
        // A line may end behind the part.
        let mut bytes = Vec::with_capacity(self.bytes.min(PART_BYTES) as usize + json_lines::BUFFER_BYTES);
        for part in 1.. {
            bytes.clear();
            let read = lines.by_ref().take(PART_BYTES).read_to_end(&mut bytes);
            read.and_then(|_| lines.read_until(b'\n', &mut bytes)).outage("read", path.display())?;
            if bytes.is_empty() {
                break;
            }
            let text = str::from_utf8(&bytes).corrupt("deal out", path.display())?;
            self.deal_part(text, &format!("{}-{log:020}-{part:04}{}", self.writer, self.form.extension()))?;
        }
        let dealt = self.staging.join(dealt_name(log));
        fs::rename(&path, &dealt).outage("rename", path.display())?;
        durable::sync_folder(&self.staging).outage("sync", self.staging.display())?;
        folders::remove_files(&self.staging, |name| name != dealt_name(log))
    }

    /// Writes the lines of each group into a file of that name.
    fn deal_part(&self, text: &str, name: &str) -> Result<()> {
        let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for line in text.lines() {
            let split = line.split_once(SEPARATOR);
            let (group, json) = split.ok_or_else(|| Error::new(Kind::Corrupt, "deal out", self.staging.display()))?;
            groups.entry(group).or_default().push(json);
        }
        parallel::each(groups.into_iter().enumerate().collect(), |(number, (group, lines))| {
            let staged = self.staging.join(format!("{number}-{name}"));
            let mut file = JsonLines::create(staged.clone(), self.form)?;
            lines.iter().try_for_each(|json| file.append_text(json))?;
            file.finish()?;
            json_lines::publish(&staged, &self.folder.join(group).join(name))
        })
    }

    fn log_path(&self, log: u64) -> PathBuf {
        self.staging.join(log_name(log))
    }

    /// The number of the present log. A pipeline that goes on from a checkpoint knows it from there; one that starts
    /// without looks for a number that no file of its name has.
    fn number(&mut self) -> Result<u64> {
        if let Some(log) = self.log {
            return Ok(log);
        }
        let staged = folders::names(&self.staging)?;
        let mut last = staged.iter().filter_map(|name| name.split('.').next()?.parse().ok()).max();
        folders::visit_files(&self.folder, &mut |name| last = last.max(log_of(name, &self.writer)))?;
        Ok(*self.log.insert(last.map_or(0, |last: u64| last + 1)))
    }
}

/// The ending of logs.
const LOG: &str = ".lines";
/// The ending of logs that were dealt out.
const DEALT: &str = ".dealt";

fn log_name(log: u64) -> String {
    format!("{log:020}{LOG}")
}

fn dealt_name(log: u64) -> String {
    format!("{log:020}{DEALT}")
}

fn log_of(file: &str, writer: &str) -> Option<u64> {
    let rest = file.strip_prefix(writer)?.strip_prefix('-')?;
    rest.split('-').next()?.parse().ok()
}

fn open_at(path: &Path, bytes: u64) -> std::io::Result<BufWriter<File>> {
    let mut file = File::options().write(true).create(true).truncate(false).open(path)?;
    file.set_len(bytes)?;
    file.seek(SeekFrom::Start(bytes))?;
    Ok(BufWriter::with_capacity(json_lines::BUFFER_BYTES, file))
}
