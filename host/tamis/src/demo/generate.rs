//! Puts a generated day where real data would arrive: files into `drop/`, records into `topics/`.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use tamis_model::error::Context;
use tamis_model::{Error, Result};

use super::inlet::{Inlet, TOPICS};
use super::payments::{self, Payments};
use super::{DAY, Event, Scale, crm, incidents, kyc, nginx};
use crate::home::Home;
use crate::plan::Plan;

const SOURCES: [&str; 2] = ["nginx", "crm"];
/// Events between two looks at the progress.
const PROGRESS_EVERY: u64 = 1_000;

/// What a demo home was made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// Everything follows from it.
    pub seed: u64,
    /// How many times the usual volume.
    pub scale: Scale,
    /// Whether everything is there; a demo that was interrupted on the way begins anew.
    pub complete: bool,
}

/// Generates the day into `home`, unless the very same is there already. `observer` gets events done and all in all.
///
/// # Errors
/// `Kind::Invalid` for a home with data of others, or with a day of another seed or scale.
pub fn generate(home: &Home, seed: u64, scale: Scale, observer: &mut dyn FnMut(u64, u64)) -> Result<()> {
    let day = Day { seed, scale };
    day.once(home, || day.records(&mut Inlet::of_home(home)?, observer))
}

/// The same with its records in Kafka, when their topics are `new` there.
pub(super) fn generate_for(plan: &Plan, day: Day, new: bool, observer: &mut dyn FnMut(u64, u64)) -> Result<()> {
    day.once(&plan.home, || Ok(()))?;
    if new { day.records(&mut Inlet::of(plan)?, observer) } else { Ok(()) }
}

/// The payments of a day, in the order in which they arrive.
pub fn payments(seed: u64, scale: Scale) -> impl Iterator<Item = Event> {
    incidents::among(Payments::new(seed, scale, "pay").day(), incidents::of_payments(seed, scale))
}

/// The same of orders.
pub fn orders(seed: u64, scale: Scale) -> impl Iterator<Item = Event> {
    incidents::among(super::orders::day(seed, scale), incidents::of_orders(seed, scale))
}

/// A day that can be generated.
#[derive(Clone, Copy)]
pub(super) struct Day {
    pub seed: u64,
    pub scale: Scale,
}

impl Day {
    /// Writes its files into `home`, and whatever `records` writes, unless that is done.
    fn once(self, home: &Home, records: impl FnOnce() -> Result<()>) -> Result<()> {
        let marker = Marker { seed: self.seed, scale: self.scale, complete: true };
        match read_marker(home)? {
            Some(found) if found == marker => return Ok(()),
            Some(found) if found.complete => {
                let reason =
                    format!("it holds a day of seed {} and scale {}; choose another --home", found.seed, found.scale.0);
                return Err(Error::invalid("generate a day in", home.root().display(), reason));
            }
            Some(_) => clear(home)?,
            None => refuse_foreign(home)?,
        }
        write_marker(home, Marker { complete: false, ..marker })?;
        files(home, self.seed, self.scale)?;
        records()?;
        write_marker(home, marker)
    }

    /// Its records, topic by topic.
    fn records(self, inlet: &mut Inlet, observer: &mut dyn FnMut(u64, u64)) -> Result<()> {
        let Self { seed, scale } = self;
        let total = scale.of(payments::PER_DAY + super::orders::PER_DAY + kyc::PER_DAY);
        let mut done = 0;
        let events = payments(seed, scale).map(|event| ("payments", event));
        let events = events.chain(orders(seed, scale).map(|event| ("orders", event)));
        for (topic, event) in events.chain(kyc::day(seed, scale).map(|event| ("kyc_decisions", event))) {
            inlet.take(topic, &event)?;
            done += 1;
            if done % PROGRESS_EVERY == 0 {
                observer(done.min(total), total);
            }
        }
        inlet.flush()?;
        observer(total, total);
        Ok(())
    }
}

fn files(home: &Home, seed: u64, scale: Scale) -> Result<()> {
    let log = home.drop().join("nginx").join(format!("access-{DAY}.log"));
    write_file(&log, |out| nginx::write(seed, scale, out))?;
    let export = home.drop().join("crm").join(format!("export-{DAY}.csv"));
    write_file(&export, |out| crm::write(seed, scale, out))
}

fn write_file(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> Result<()> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).outage("create folder", folder.display())?;
    let written = File::create(path).map(BufWriter::new).and_then(|mut out| {
        write(&mut out)?;
        out.flush()
    });
    written.outage("write", path.display())
}

fn read_marker(home: &Home) -> Result<Option<Marker>> {
    let path = home.demo_marker();
    match fs::read(&path) {
        Ok(json) => serde_json::from_slice(&json).corrupt("read", path.display()).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).outage("read", path.display()),
    }
}

fn write_marker(home: &Home, marker: Marker) -> Result<()> {
    let path = home.demo_marker();
    let json = serde_json::to_vec(&marker).invalid("encode", path.display())?;
    let beside = path.with_extension("tmp");
    fs::write(&beside, json).and_then(|()| fs::rename(&beside, &path)).outage("write", path.display())
}

/// Removes what an interrupted generation left; the marker says that it is the demo's own.
fn clear(home: &Home) -> Result<()> {
    let topics = TOPICS.iter().map(|(topic, _)| home.topics().join(topic));
    for folder in topics.chain(SOURCES.iter().map(|source| home.drop().join(source))) {
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).outage("remove", folder.display());
            }
            _ => {}
        }
    }
    Ok(())
}

/// The demo does not mix its data with anybody's own.
fn refuse_foreign(home: &Home) -> Result<()> {
    for folder in [home.drop(), home.topics()] {
        let mut entries = fs::read_dir(&folder).outage("list", folder.display())?;
        if entries.next().is_some() {
            let reason = format!("{} holds data that the demo did not make; choose another --home", folder.display());
            return Err(Error::invalid("generate a day in", home.root().display(), reason));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generated(seed: u64) -> (tempfile::TempDir, Home) {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path());
        home.create().unwrap();
        generate(&home, seed, Scale(1), &mut |_, _| {}).unwrap();
        (folder, home)
    }

    fn content(home: &Home) -> Vec<Vec<u8>> {
        [
            "drop/nginx/access-2026-03-19.log",
            "drop/crm/export-2026-03-19.csv",
            "topics/payments/2/00000000000000000000.jsonl",
        ]
        .iter()
        .map(|path| fs::read(home.root().join(path)).unwrap())
        .collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes_and_another_one_others() {
        let ((_a, a), (_b, b), (_c, c)) = (generated(7), generated(7), generated(8));
        assert!(content(&a) == content(&b));
        assert!(content(&a) != content(&c));
    }

    #[test]
    fn a_home_with_other_data_is_left_alone() {
        let (_folder, home) = generated(7);
        generate(&home, 7, Scale(1), &mut |_, _| panic!("it is there already")).unwrap();
        let error = generate(&home, 8, Scale(1), &mut |_, _| {}).unwrap_err();
        assert!(error.chain().contains("seed 7"), "{}", error.chain());

        fs::remove_file(home.demo_marker()).unwrap();
        let error = generate(&home, 7, Scale(1), &mut |_, _| {}).unwrap_err();
        assert!(error.chain().contains("did not make"), "{}", error.chain());
    }
}
