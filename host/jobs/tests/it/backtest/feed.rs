//! Two hours of a shop in topic files, and what a stream over all of them raises.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, LazyLock};

use serde_json::{Value, json};
use tamis_connectors::topics::{ReaderSettings, TopicReader, TopicWriter, Topics, WriterSettings};
use tamis_engine::memory::{ManualClock, MemoryCheckpoints, MemorySink};
use tamis_engine::rules::RulePlan;
use tamis_engine::{Decisions, RuleSet, Sinks, Step, Stream, StreamParts, StreamSettings};
use tamis_jobs::backtest::{Backtest, BacktestContext, BacktestReport, Bounds, Margins, Window, backtest};
use tamis_model::aggregate::AggregateRow;
use tamis_model::alert::Alert;
use tamis_model::pseudonym::Pepper;
use tamis_model::time::Millis;
use tamis_model::topic::TopicSchema;
use tamis_plugin::{Plugin, Sandbox, SandboxSettings};
use tamis_registry::rule_plan;

/// When the first event happens: 2026-03-18T12:00:00Z.
pub const NOON: Millis = 1_773_835_200_000;
pub const MINUTE_MS: Millis = 60_000;
/// How long events happen.
pub const LENGTH_MS: Millis = 120 * MINUTE_MS;
/// A window in the middle that no tumbling window is aligned to.
pub const MIDDLE: Window = Window { from: NOON + 41 * MINUTE_MS, to: NOON + 73 * MINUTE_MS };

/// Topics that lie in files.
pub struct Shop {
    pub folder: tempfile::TempDir,
    pub records: u64,
}

/// The shop that most tests look at, and do not change.
pub static SHOP: LazyLock<Shop> = LazyLock::new(|| Shop::open(4_000));

/// Numbers that look like chance.
struct Dice(u64);

impl Dice {
    /// From 0 to `sides` - 1.
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

impl Shop {
    /// A shop with so many payments, in many small segments of three partitions. Times are out of order, some late, some records broken.
    pub fn open(payments: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let partitions = BTreeMap::from([("payments".to_owned(), 3)]);
        let settings = WriterSettings { partitions, segment_bytes_max: 40_000, ..WriterSettings::default() };
        let mut writer = TopicWriter::open(folder.path().join("topics"), "test", settings).unwrap();
        let mut dice = Dice(payments);
        let mut records = 0;
        for n in 0..payments {
            let now = NOON + LENGTH_MS * n as i64 / payments as i64;
            let time = now - if dice.roll(40) == 0 { 45_000 } else { dice.roll(9_000) as i64 };
            let amount = 10 + dice.roll(400);
            let payment = payment(n, amount, &mut dice);
            let partition = dice.roll(3) as u32;
            writer.append("payments", partition, time, None, Some(payment.to_string().as_bytes())).unwrap();
            records += 1;
            if dice.roll(3) == 0 {
                // Some orders come long after their payment.
                let at = now - if dice.roll(2) == 0 { 0 } else { 20 * MINUTE_MS };
                let total = if dice.roll(2) == 0 { amount } else { amount + 40 };
                let order = json!({"event_id": format!("e{n}"), "event_type": "created", "order_id": format!("o{}", n - dice.roll(n.min(300) + 1)), "total": total});
                writer.append("orders", 0, at.max(NOON), None, Some(order.to_string().as_bytes())).unwrap();
                records += 1;
            }
        }
        writer.flush().unwrap();
        Self { folder, records }
    }

    pub fn topics(&self) -> PathBuf {
        self.folder.path().join("topics")
    }

    /// The alerts of a stream over the whole history, by id, with their times.
    pub fn live(&self, plan: &RulePlan) -> BTreeMap<String, String> {
        self.stream(plan).0.into_iter().map(|alert| (alert.alert_id, alert.event_time)).collect()
    }

    /// What a stream over the whole history raises and emits.
    pub fn stream(&self, plan: &RulePlan) -> (Vec<Alert>, Vec<AggregateRow>) {
        let (alerts, rows) = (MemorySink::<Alert>::new(), MemorySink::<AggregateRow>::new());
        let topics = ReaderSettings::new(["payments", "orders"]).until_end();
        let mut stream = Stream::open(StreamParts {
            settings: StreamSettings { bounded: true, ..StreamSettings::default() },
            source: Box::new(TopicReader::new(self.topics(), topics).unwrap()),
            schemas: schemas(),
            rules: RuleSet { revision: 1, rules: vec![Arc::new(plan.clone())] },
            sinks: Sinks {
                records: Box::new(MemorySink::new()),
                alerts: vec![("test".to_owned(), Box::new(alerts.clone()))],
                aggregates: Some(Box::new(rows.clone())),
            },
            checkpoints: Box::new(MemoryCheckpoints::new()),
            clock: Arc::new(ManualClock::new(NOON)),
            decisions: Decisions::default(),
        })
        .unwrap();
        while stream.step().unwrap() != Step::Finished {}
        (alerts.content(), rows.content())
    }

    /// Backtests over the shop that keep everything that is raised as examples.
    pub fn context(&self) -> BacktestContext {
        let bounds = Bounds { examples_max: 100_000, waiting_max: 100_000, ..Bounds::default() };
        BacktestContext { bounds, ..context(&self.topics()) }
    }
}

/// Backtests over topics.
pub fn context(topics: &Path) -> BacktestContext {
    let clock = Arc::new(ManualClock::new(NOON));
    BacktestContext {
        rows_max: 256,
        ..BacktestContext::new(&Topics::Folder(topics.to_owned()), schemas(), Pepper::new(b"pepper"), clock)
    }
}

fn payment(n: u64, amount: u64, dice: &mut Dice) -> Value {
    let any = |dice: &mut Dice, texts: &[&str]| texts[dice.roll(texts.len() as u64) as usize].to_owned();
    json!({
        "payment_id": format!("p{n}"),
        "order_id": format!("o{n}"),
        "customer_id": format!("c{}", dice.roll(500)),
        "session_id": if dice.roll(50) == 0 { Value::Null } else { format!("s{}", dice.roll(60)).into() },
        "amount": amount,
        "method": if dice.roll(100) == 0 { "barter".to_owned() } else { any(dice, &["card", "paypal"]) },
        "status": any(dice, &["succeeded", "succeeded", "succeeded", "failed"]),
        "psp": any(dice, &["psp-a", "psp-b", "psp-c"]),
        "currency": any(dice, &["EUR", "USD"]),
        "risk_score": dice.roll(101),
        "ip_country": any(dice, &["FR", "DE", "NG"]),
    })
}

pub fn schemas() -> Vec<TopicSchema> {
    let payments = include_str!("../../../../../schemas/topics/payments.schema.json");
    let orders = include_str!("../../../../../schemas/topics/orders.schema.json");
    [payments, orders].map(|schema| TopicSchema::parse(schema).unwrap()).into()
}

/// The sandbox of the tests.
pub static SANDBOX: LazyLock<Arc<Sandbox>> =
    LazyLock::new(|| Sandbox::new(SandboxSettings::new(Pepper::new(b"pepper"))).unwrap());

/// The bytes of a plugin of `plugins/`.
pub fn component(name: &str) -> Vec<u8> {
    let folder = std::env::var_os("TAMIS_PLUGINS");
    let folder =
        folder.expect("TAMIS_PLUGINS names the folder of built plugins; `cargo xtask test` builds them and sets it");
    let path = PathBuf::from(folder).join(name).with_extension("wasm");
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn load(name: &str) -> Arc<Plugin> {
    SANDBOX.load(&component(name)).unwrap_or_else(|error| panic!("{name}: {}", error.chain()))
}

/// A plugin put to work under its own name.
pub fn plan(plugin: &str, overrides: Value) -> RulePlan {
    let plugin = load(plugin);
    let config = plugin.effective_config(&overrides).unwrap_or_else(|error| panic!("{}", error.chain()));
    rule_plan(&plugin.manifest().name, &plugin, config).unwrap()
}

/// A rule of each kind, with settings that make it fire now and then: stateless, sliding, tumbling, a join.
pub fn rules() -> [RulePlan; 4] {
    [
        plan("payment-direct-fraud", json!({"risk_score_max": 90})),
        plan("card-testing", json!({"attempts_max": 1, "window_ms": 40_000})),
        plan("psp-error-rate", json!({"window_ms": 5 * MINUTE_MS, "error_percent_max": 27})),
        plan("amount-mismatch", json!({})),
    ]
}

/// A backtest of one version that reads what it needs.
pub fn whole(version: RulePlan, window: Window) -> Backtest {
    let margins = Margins::of(&version);
    Backtest { version, compared_with: None, window, margins }
}

/// Runs it to its end.
pub fn run(context: &BacktestContext, what: &Backtest) -> BacktestReport {
    backtest(context, what, &AtomicBool::new(false), &mut |_| {}).unwrap_or_else(|error| panic!("{}", error.chain()))
}

/// The ids and times of the alerts of the version that was tried: the bounds are those of [`Shop::context`].
pub fn raised(report: &BacktestReport) -> BTreeMap<String, String> {
    let alerts = &report.version.alerts;
    let raised: BTreeMap<_, _> =
        alerts.examples.iter().map(|alert| (alert.alert_id.clone(), alert.event_time.clone())).collect();
    assert_eq!(raised.len() as u64, alerts.total, "every alert is an example");
    raised
}

/// Those whose time lies in a window.
pub fn within(alerts: &BTreeMap<String, String>, window: Window) -> BTreeMap<String, String> {
    let (from, to) = (tamis_model::time::rfc3339_millis(window.from), tamis_model::time::rfc3339_millis(window.to));
    alerts
        .iter()
        .filter(|(_, time)| **time >= from && **time < to)
        .map(|(id, time)| (id.clone(), time.clone()))
        .collect()
}
