//! A home with the real connectors, and the rules that change over it.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tamis_connectors::topics::{ReaderSettings, WriterSettings};
use tamis_connectors::{
    AggregateFiles, AlertFiles, AlertRows, FileCheckpoints, SqliteWarehouse, TopicReader, TopicWriter,
};
use tamis_engine::sinks::Sinks;
use tamis_engine::{Decisions, Role, RulePlan, RuleSet, Sink, Stream, StreamParts, StreamSettings, SystemClock};
use tamis_model::Result;
use tamis_model::alert::Alert;
use tamis_model::pseudonym::Pepper;
use tamis_model::topic::TopicSchema;
use tamis_registry::rule_plan;
use tamis_tests::components;
use tokio::runtime::Runtime;

use super::fuse::{Fuse, Fused};
use crate::results::{Results, results};

pub const RULES: [&str; 4] = ["payment-direct-fraud", "card-testing", "psp-error-rate", "payments-by-currency"];
const PIPELINE: &str = "streams";
/// 2026-03-18T12:00:00Z.
const NOON: i64 = 1_773_835_200_000;
pub const PAYMENTS: i64 = 360;
const PARTITIONS: i64 = 2;
/// Small, so that there are several batches.
const ROWS_MAX: usize = 72;
/// Short, so that some checkpoints deal out what was gathered and some do not.
const SETTLE_AFTER: Duration = Duration::from_millis(20);

/// What outlives a process, but its folders: the code of the rules, and threads for the warehouse.
pub struct Machine {
    rules: Vec<Arc<RulePlan>>,
    pub schemas: Vec<TopicSchema>,
    pub runtime: Runtime,
}

impl Machine {
    pub fn new() -> Self {
        let sandbox = components::sandbox();
        let plan = |name: &&str| {
            let plugin = components::load(&sandbox, name);
            Arc::new(rule_plan(name, &plugin, plugin.manifest().config.defaults.to_string()).unwrap())
        };
        Self { rules: RULES.iter().map(plan).collect(), ..Self::without_rules() }
    }

    /// One whose rules come from elsewhere.
    pub fn without_rules() -> Self {
        let schemas = tamis::topics::standard().unwrap();
        let schemas = schemas.into_iter().filter(|schema| schema.name == "payments").collect();
        Self { rules: Vec::new(), schemas, runtime: Runtime::new().unwrap() }
    }

    /// The rules after so many changes: in turn each gets a new version of the same content, that gets a shadow, and the shadow ends.
    pub fn rule_set(&self, changes: u32) -> RuleSet {
        let active = 1 + changes / 3 * 2;
        let as_version =
            |rule: &Arc<RulePlan>, version, role| Arc::new(RulePlan { version, role, ..RulePlan::clone(rule) });
        let actives = self.rules.iter().map(|rule| as_version(rule, active, Role::Active));
        let shadows = self.rules.iter().map(|rule| as_version(rule, active + 1, Role::Shadow));
        let rules = if changes % 3 == 1 { actives.chain(shadows).collect() } else { actives.collect() };
        RuleSet { revision: u64::from(changes) + 1, rules }
    }
}

/// The folders of a home.
pub struct World<'a> {
    machine: &'a Machine,
    folder: tempfile::TempDir,
}

impl<'a> World<'a> {
    /// A home whose payments have come, and nothing else.
    pub fn new(machine: &'a Machine) -> Self {
        let world = Self::empty(machine);
        world.feed(0..PAYMENTS);
        world
    }

    /// A home to which nothing has come yet.
    pub fn empty(machine: &'a Machine) -> Self {
        Self { machine, folder: tempfile::tempdir().unwrap() }
    }

    /// These payments come.
    pub fn feed(&self, payments: Range<i64>) {
        feed(&self.folder.path().join("topics"), payments);
    }

    pub fn home(&self) -> &Path {
        self.folder.path()
    }

    /// A new process: everything is opened anew. The input ends where it ends now.
    pub fn open(&self, rules: RuleSet, fuse: &Fuse) -> Result<Stream> {
        self.stream(rules, fuse, true)
    }

    /// The same, but more may come, and nothing fails.
    pub fn tail(&self, rules: RuleSet) -> Result<Stream> {
        self.stream(rules, &Fuse::holding(), false)
    }

    fn stream(&self, rules: RuleSet, fuse: &Fuse, bounded: bool) -> Result<Stream> {
        let (home, pepper, runtime) = (self.folder.path(), Pepper::new(b"pepper"), &self.machine.runtime);
        let warehouse = Arc::new(runtime.block_on(SqliteWarehouse::open(&home.join("warehouse.db")))?);
        let lake = AlertFiles::open(home.join("lake/alerts"), PIPELINE, pepper.clone(), SETTLE_AFTER)?;
        let rows = AlertRows::new(warehouse, runtime.handle().clone(), PIPELINE, pepper);
        let records = TopicWriter::open(home.join("topics"), PIPELINE, WriterSettings::default())?;
        let aggregates = AggregateFiles::open(&home.join("lake"), PIPELINE, SETTLE_AFTER)?;
        let topics = ReaderSettings { chunk_bytes: 64 << 10, ..ReaderSettings::new(["payments"]) };
        let topics = if bounded { topics.until_end() } else { topics };
        let alerts: Vec<(String, Box<dyn Sink<Alert>>)> = vec![
            ("lake".to_owned(), Box::new(fused("lake", lake, fuse))),
            ("warehouse".to_owned(), Box::new(fused("warehouse", rows, fuse))),
        ];
        Stream::open(StreamParts {
            settings: StreamSettings {
                rows_max: ROWS_MAX,
                bounded,
                checkpoint_interval_ms: 0,
                ..StreamSettings::default()
            },
            source: Box::new(fused("source", TopicReader::new(home.join("topics"), topics)?, fuse)),
            schemas: self.machine.schemas.clone(),
            rules,
            sinks: Sinks {
                records: Box::new(fused("records", records, fuse)),
                alerts,
                aggregates: Some(Box::new(fused("aggregates", aggregates, fuse))),
            },
            checkpoints: Box::new(fused("checkpoints", FileCheckpoints::open(home.join("checkpoints"))?, fuse)),
            clock: Arc::new(SystemClock),
            decisions: Decisions::default(),
        })
    }

    /// What it holds.
    pub fn results(&self) -> Results {
        self.machine.runtime.block_on(results(self.folder.path(), &["payments"]))
    }
}

fn fused<D>(name: &'static str, device: D, fuse: &Fuse) -> Fused<D> {
    Fused { name, device, fuse: fuse.clone() }
}

/// Payments in two partitions, a quarter of an hour in 360: risky ones, bursts within a session, providers that fail, late ones, and
/// some that cannot be decoded.
fn feed(folder: &Path, payments: Range<i64>) {
    let mut topics = TopicWriter::open(folder, "feed", WriterSettings::default()).unwrap();
    for n in payments {
        let in_burst = n % 40 >= 30;
        let session = if in_burst { format!("burst{}", n / 40) } else { format!("s{n}") };
        let time = if in_burst { NOON + (n / 40 * 40 + 30) * 2_500 + n % 40 * 100 } else { NOON + n * 2_500 };
        let late = if n % 53 == 52 { 60_000 } else { 0 };
        let risk = if n % 20 == 3 { 90 } else { 10 };
        let status = if n % 4 == 0 { "failed" } else { "succeeded" };
        let method = if n % 29 == 28 { "barter" } else { "card" };
        let (psp, currency) = (n % 3, if n % 2 == 0 { "EUR" } else { "USD" });
        let value = format!(
            r#"{{"payment_id":"p{n}","session_id":"{session}","customer_id":"c{session}","amount":{n}.50,"currency":"{currency}","method":"{method}","status":"{status}","psp":"psp{psp}","risk_score":{risk},"ip_country":"FR"}}"#
        );
        let partition = if in_burst { n / 40 % PARTITIONS } else { n % PARTITIONS };
        let key = Some(session.as_bytes());
        topics.append("payments", u32::try_from(partition).unwrap(), time - late, key, Some(value.as_bytes())).unwrap();
    }
    topics.flush().unwrap();
}
