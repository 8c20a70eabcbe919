//! A home with a catalogue, a registry over it, and a stream that takes its rules from there.

use std::sync::Arc;

use tamis_catalog::Catalog;
use tamis_engine::{Step, Stream};
use tamis_model::Result;
use tamis_model::pseudonym::Pepper;
use tamis_plugin::{Plugin, Sandbox, SandboxSettings};
use tamis_registry::Registry;
use tamis_tests::components;
use tempfile::TempDir;

use super::books::{Blows, Books, Burnt, Content};
use super::script::{Asks, OF_FILES};
use crate::crashes::fuse::Fuse;
use crate::crashes::world::{Machine, World};
use crate::results::{Results, records};

/// Payments between two operations.
const PAYMENTS: i64 = 12;
/// Topics whose records say which version raised them.
const ALERTS: [&str; 4] = ["alerts_fraud_payments", "alerts_advanced_fraud", "alerts_psp_payments", "shadow_alerts"];

/// What outlives a process, but its home: where plugins run, and what was compiled.
pub struct Shop {
    machine: Machine,
    sandbox: Arc<Sandbox>,
    /// The plugins of the home's files.
    plugins: Vec<Arc<Plugin>>,
    _cache: TempDir,
}

impl Shop {
    pub fn new() -> Self {
        let cache = tempfile::tempdir().unwrap();
        let settings = SandboxSettings::new(Pepper::new(b"pepper"));
        let sandbox = Sandbox::new(SandboxSettings { cache_dir: Some(cache.path().to_owned()), ..settings }).unwrap();
        let plugins = OF_FILES.map(|name| components::load(&sandbox, name)).to_vec();
        Self { machine: Machine::without_rules(), sandbox, plugins, _cache: cache }
    }
}

/// A home, and the process that is at work on it.
pub struct Home<'a> {
    shop: &'a Shop,
    world: World<'a>,
    books: Books,
    process: Option<Process>,
    fed: i64,
}

struct Process {
    registry: Registry,
    stream: Stream,
}

impl<'a> Home<'a> {
    /// An empty home with a new process.
    pub fn new(shop: &'a Shop) -> Self {
        let world = World::empty(&shop.machine);
        let path = world.home().join(tamis_catalog::FILE);
        let books = shop.machine.runtime.block_on(async {
            Catalog::open(&path).await.unwrap().close().await;
            Books::open(&path).await
        });
        let mut home = Self { shop, world, books, process: None, fed: 0 };
        home.start();
        home
    }

    /// The process dies, if one is there, and a new one opens everything anew, as a host does.
    pub fn start(&mut self) {
        self.process = None;
        let registry = self.registry();
        self.block_on(registry.catalog().close_dead_uploads(8)).unwrap();
        let rules = self.block_on(registry.rule_set()).unwrap();
        self.process = Some(Process { stream: self.world.tail(rules).unwrap(), registry });
    }

    fn registry(&self) -> Registry {
        let (machine, home) = (&self.shop.machine, self.world.home());
        self.block_on(async {
            let catalog = Catalog::open(&home.join(tamis_catalog::FILE)).await.unwrap();
            let (sandbox, components) = (Arc::clone(&self.shop.sandbox), home.join("components"));
            let registry = Registry::open(sandbox, catalog, components, machine.schemas.clone()).await.unwrap();
            self.shop.plugins.iter().for_each(|plugin| registry.keep_loaded(plugin));
            registry
        })
    }

    /// Some payments come.
    pub fn feed(&mut self) {
        self.world.feed(self.fed..self.fed + PAYMENTS);
        self.fed += PAYMENTS;
    }

    /// The stream takes the rules and judges all that has come, with a checkpoint behind each batch.
    pub fn judge(&mut self) {
        let runtime = &self.shop.machine.runtime;
        let Process { registry, stream } = self.process.as_mut().unwrap();
        stream.swap_rules(&runtime.block_on(registry.rule_set()).unwrap()).unwrap().unwrap();
        // The first time may be before it has looked for partitions.
        let mut waited = 0;
        while waited < 2 {
            match stream.step().unwrap() {
                Step::Waited => waited += 1,
                Step::Judged => waited = 0,
                Step::Looked | Step::Checkpointed => {}
                Step::Finished => panic!("more may come"),
            }
        }
        assert!(stream.trips().is_empty(), "no version is stopped but by the script");
    }

    /// The process dies, and the last one comes to the end of the input. What the home holds.
    pub fn end(mut self) -> Results {
        self.process = None;
        let rules = self.block_on(self.registry().rule_set()).unwrap();
        let mut stream = self.world.open(rules, &Fuse::holding()).unwrap();
        while stream.step().unwrap() != Step::Finished {}
        drop(stream);
        let mut results = self.world.results();
        for topic in ALERTS {
            let alerts = records(self.world.home(), topic).into_iter().map(|mut record| {
                record["value"].as_object_mut().unwrap().remove("generated_at");
                record["value"].to_string()
            });
            let mut alerts: Vec<_> = alerts.collect();
            alerts.sort();
            results.insert(format!("versions of topic {topic}"), alerts);
        }
        results
    }

    pub fn seen(&self, asks: &Asks) -> Option<u64> {
        self.block_on(asks.seen(&self.process.as_ref().unwrap().registry)).unwrap()
    }

    pub fn ask(&self, asks: &Asks, seen: Option<u64>) -> Result<()> {
        self.block_on(asks.ask(&self.process.as_ref().unwrap().registry, seen))
    }

    pub fn mark(&mut self) {
        self.shop.machine.runtime.block_on(self.books.mark());
    }

    pub fn content(&mut self) -> Content {
        self.shop.machine.runtime.block_on(self.books.content())
    }

    pub fn set_fuse(&mut self, blows: Option<Blows>) {
        self.shop.machine.runtime.block_on(self.books.set_fuse(blows));
    }

    pub fn burnt(&mut self) -> Burnt {
        self.shop.machine.runtime.block_on(self.books.burnt())
    }

    fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.shop.machine.runtime.block_on(work)
    }
}
