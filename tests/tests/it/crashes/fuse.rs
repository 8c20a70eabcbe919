//! Devices behind a fuse: of all operations on them, one fails.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tamis_engine::{Checkpoint, CheckpointStore, Chunk, Read, Restored, Settle, Sink, Source, Staging};
use tamis_model::position::{Partition, Positions};
use tamis_model::{Error, Kind, Result};

/// When an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fails {
    /// It has done nothing.
    Before,
    /// It was done, and the answer is lost.
    After,
}

/// An operation: the device and what it was asked to do.
pub type Operation = (&'static str, &'static str);

/// Counts operations, and blows at one of them. Clones are the same fuse.
#[derive(Clone)]
pub struct Fuse(Arc<Mutex<Burnt>>);

struct Burnt {
    blows_at: Option<u64>,
    fails: Fails,
    done: u64,
    blown: Option<Operation>,
}

impl Fuse {
    /// The operation with this number fails, from 0.
    pub fn blowing_at(number: u64, fails: Fails) -> Self {
        Self(Arc::new(Mutex::new(Burnt { blows_at: Some(number), fails, done: 0, blown: None })))
    }

    /// Nothing fails.
    pub fn holding() -> Self {
        Self(Arc::new(Mutex::new(Burnt { blows_at: None, fails: Fails::Before, done: 0, blown: None })))
    }

    /// The operation that failed.
    pub fn blown(&self) -> Option<Operation> {
        self.0.lock().unwrap().blown
    }

    fn burn<T>(&self, operation: Operation, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let fails = {
            let mut burnt = self.0.lock().unwrap();
            let blows = burnt.blows_at == Some(burnt.done);
            burnt.done += 1;
            if blows {
                burnt.blown = Some(operation);
            }
            blows.then_some(burnt.fails)
        };
        let blown = || Error::new(Kind::Outage, operation.1, operation.0).because("its fuse is blown");
        match fails {
            None => work(),
            Some(Fails::Before) => Err(blown()),
            Some(Fails::After) => work().and(Err(blown())),
        }
    }
}

/// A device behind a fuse.
pub struct Fused<D> {
    pub name: &'static str,
    pub device: D,
    pub fuse: Fuse,
}

impl<D> Fused<D> {
    fn burn<T>(&mut self, what: &'static str, work: impl FnOnce(&mut D) -> Result<T>) -> Result<T> {
        let Self { name, device, fuse } = self;
        fuse.burn((name, what), || work(device))
    }
}

impl<D: Source> Source for Fused<D> {
    fn open(&mut self, positions: &Positions) -> Result<()> {
        self.burn("open", |source| source.open(positions))
    }

    fn partitions(&mut self) -> Result<Vec<Partition>> {
        self.burn("partitions", Source::partitions)
    }

    fn read(&mut self, partition: &Partition, chunk: &mut Chunk) -> Result<Read> {
        self.burn("read", |source| source.read(partition, chunk))
    }

    fn release(&mut self, positions: &Positions) -> Result<()> {
        self.burn("release", |source| source.release(positions))
    }
}

impl<T, D: Sink<T>> Sink<T> for Fused<D> {
    fn write(&mut self, output: &[T]) -> Result<()> {
        self.burn("write", |sink| sink.write(output))
    }

    fn stage(&mut self) -> Result<Value> {
        self.burn("stage", Sink::stage)
    }

    /// Blows where it is waited for.
    fn begin_stage(&mut self) -> Result<Staging> {
        let (staging, name, fuse) = (self.device.begin_stage()?, self.name, self.fuse.clone());
        Ok(Box::new(move || fuse.burn((name, "stage"), staging)))
    }

    fn commit(&mut self, staged: &Value) -> Result<()> {
        self.burn("commit", |sink| sink.commit(staged))
    }

    fn settle(&mut self, what: Settle) -> Result<()> {
        self.burn("settle", |sink| sink.settle(what))
    }
}

impl<D: CheckpointStore> CheckpointStore for Fused<D> {
    fn latest(&mut self) -> Result<Option<Checkpoint>> {
        self.burn("latest", CheckpointStore::latest)
    }

    fn restore(&mut self, take: &mut dyn FnMut(Restored<'_>) -> Result<()>) -> Result<()> {
        self.burn("restore", |store| store.restore(take))
    }

    fn save(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        self.burn("save", |store| store.save(checkpoint))
    }
}

/// How often each operation has failed.
#[derive(Default)]
pub struct Swept(pub BTreeMap<Operation, u64>);

impl Swept {
    pub fn add(&mut self, operation: Operation) {
        *self.0.entry(operation).or_default() += 1;
    }

    /// How many there were.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }
}
