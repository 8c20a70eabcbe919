//! What the sandbox costs: the same rule linked into this process and as its component, on the same batches.
//!
//! Both sides judge the same decoded columns, the keyed rule with the same state of each key; grouping rows and looking up states is
//! the host's part on either side and is not in the figures.

use std::collections::HashMap;
use std::hint::black_box;

use arrow_array::ArrayRef;
use arrow_array::cast::AsArray;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use serde_json::{Value, json};
use tamis_engine::chunk::Chunk;
use tamis_engine::decode::{Decoded, Decoder, RecordDecoder};
use tamis_model::manifest::Manifest;
use tamis_model::rule::{Keyed, NOT_JUDGED, Rule};
use tamis_model::strings::StringsBuf;
use tamis_sdk::bindings::types as sdk;
use tamis_sdk::rule::RulePlugin;
use tamis_tests::components;
use tamis_tests::native::lower;
use tamis_tests::payments::{self, Numbers, Shape};

const EVENTS: u64 = 65_536;
const IDENTITIES: [&str; 3] = ["payment_id", "order_id", "customer_id"];

/// The decoded columns of a rule, then those that name an event and the one that groups events if there is one, in batches of
/// `rows_max`.
fn batches(manifest: &Manifest, rows_max: usize) -> Vec<Decoded> {
    let mut columns: Vec<&str> = manifest.columns().map(|column| column.name.as_str()).collect();
    for name in IDENTITIES.into_iter().chain(manifest.inputs[0].key.as_deref()) {
        if !columns.contains(&name) {
            columns.push(name);
        }
    }
    let schemas = tamis::topics::standard().expect("the published schemas are valid");
    let schema = schemas.iter().find(|schema| schema.name == "payments").expect("payments are published");
    let mut decoder = RecordDecoder::new(schema, &columns).expect("the rule reads payments");
    let mut numbers = Numbers::new(7);
    let mut chunk = Chunk::default();
    chunk.fill(|bytes| {
        for offset in 0..EVENTS {
            bytes.extend_from_slice(payments::line(&mut numbers, offset, Shape::Usual).as_bytes());
            bytes.push(b'\n');
        }
    });
    let mut from = 0;
    let mut decoded = Vec::new();
    while from < chunk.records().len() {
        let batch = decoder.decode(&chunk, from, rows_max);
        from += batch.consumed;
        decoded.push(batch);
    }
    decoded
}

/// What a plugin says of itself under a configuration.
fn manifest<P: RulePlugin>(config: &str) -> Manifest {
    let plugin = P::configure(config).expect("the configuration fits");
    serde_json::from_str(&plugin.describe()).expect("a plugin's manifest is a manifest")
}

/// A batch with the state that its keys have when it arrives: what both sides are handed.
struct Prepared {
    decoded: Decoded,
    groups: Vec<u32>,
    keys: StringsBuf,
    states: StringsBuf,
}

/// All batches in order; for a rule with a key, each with the state that the ones before it left.
fn prepared<P: RulePlugin>(manifest: &Manifest, config: &str, rows_max: usize) -> Vec<Prepared> {
    let declared = manifest.columns().count();
    let mut plugin = P::configure(config).expect("the configuration fits");
    let mut by_key = HashMap::new();
    let batch = |decoded: Decoded| {
        let mut batch =
            Prepared { decoded, groups: Vec::new(), keys: StringsBuf::default(), states: StringsBuf::default() };
        if let Some(key) = &manifest.inputs[0].key {
            batch.join(key, &by_key);
            let identities = identities(&batch.decoded);
            let outcome = plugin.apply(&lower(&keyed(&batch, declared, &identities))).expect("the rule judges");
            for (group, bounds) in outcome.states.offsets.windows(2).enumerate() {
                let state = &outcome.states.data[bounds[0] as usize..bounds[1] as usize];
                by_key.insert(batch.keys.as_strings().get(group).to_vec(), state.to_vec());
            }
        }
        batch
    };
    batches(manifest, rows_max).into_iter().map(batch).collect()
}

impl Prepared {
    /// Groups the rows by the column `key`, and looks up the state of each group.
    fn join(&mut self, key: &str, by_key: &HashMap<Vec<u8>, Vec<u8>>) {
        let keys = self.decoded.rows.column_by_name(key).expect("it is decoded").as_string::<i32>();
        let mut index: HashMap<&[u8], u32> = HashMap::new();
        for key in keys {
            let Some(key) = key.map(str::as_bytes) else {
                self.groups.push(NOT_JUDGED);
                continue;
            };
            let next = u32::try_from(index.len()).expect("a batch has less than 2^32 rows");
            let group = *index.entry(key).or_insert(next);
            if group == next {
                self.keys.push(key);
                self.states.push(by_key.get(key).map_or(&[], Vec::as_slice));
            }
            self.groups.push(group);
        }
    }
}

/// The plugin `name` under a configuration that overrides its defaults, as the benchmark `title`.
fn compare<P: RulePlugin>(criterion: &mut Criterion, name: &str, title: &str, overrides: &Value) {
    let plugin = components::load(&components::sandbox(), name);
    let config = plugin.effective_config(overrides).expect("the configuration fits");
    let plugin = plugin.configured(&config).expect("the configuration fits");
    let manifest = manifest::<P>(&config);
    let declared = manifest.columns().count();
    let mut group = criterion.benchmark_group(title);
    for rows_max in [256, 4096] {
        let batches = prepared::<P>(&manifest, &config, rows_max);
        let identities: Vec<_> = batches.iter().map(|batch| identities(&batch.decoded)).collect();
        let inputs = || batches.iter().zip(&identities).map(|(batch, ids)| keyed(batch, declared, ids));
        group.throughput(Throughput::Elements(EVENTS));
        let lowered: Vec<sdk::Keyed> = inputs().map(|rows| lower(&rows)).collect();
        let mut native = P::configure(&config).expect("the configuration fits");
        group.bench_function(BenchmarkId::new("native", rows_max), |bencher| {
            bencher.iter(|| lowered.iter().for_each(|rows| drop(black_box(native.apply(rows)))));
        });
        let mut sandboxed = plugin.rule(&config).expect("the configuration fits");
        group.bench_function(BenchmarkId::new("wasm", rows_max), |bencher| {
            bencher.iter(|| inputs().for_each(|rows| drop(black_box(sandboxed.apply(&rows)))));
        });
    }
    group.finish();
}

fn rules(criterion: &mut Criterion) {
    compare::<payment_direct_fraud::Plugin>(criterion, "payment-direct-fraud", "payment-direct-fraud", &Value::Null);
    compare::<card_testing::Plugin>(criterion, "card-testing", "card-testing", &Value::Null);
}

/// Conditions, by what they are made of.
const CONDITIONS: [(&str, &str); 4] = [
    ("comparisons", "amount > 500.0 && ip_country != billing_country && (risk_score > 60 || status == 'failed')"),
    // The rule payment-direct-fraud as a condition.
    (
        "fraud",
        "fraud_flag || risk_score > 70 || ip_country in ['NG', 'RU', 'KP', 'IR', 'UA', 'VN'] || status == 'failed' && risk_score > 40",
    ),
    ("pattern", "amount > 500.0 && user_agent.matches('(?i)bot|crawl|spider|headless|curl|python-requests')"),
    ("interpreted", "user_agent.lowerAscii().contains('curl')"),
];

fn expressions(criterion: &mut Criterion) {
    for (title, condition) in CONDITIONS {
        let config = json!({"condition": condition});
        compare::<expression::Plugin>(criterion, "expression", &format!("expression {title}"), &config);
    }
    let counts = json!({
        "condition": "amount > 500.0 && ip_country != billing_country && failed_10m > 3",
        "key": "customer_id",
        "counts": {"failed_10m": {"where": "status == 'failed'", "window_ms": 600_000}},
    });
    compare::<expression::Plugin>(criterion, "expression", "expression counts", &counts);
}

fn keyed<'a>(batch: &'a Prepared, declared: usize, identities: &'a [ArrayRef; 3]) -> Keyed<'a> {
    Keyed {
        rows: batch.decoded.rows.num_rows(),
        columns: &batch.decoded.rows.columns()[..declared],
        times: &batch.decoded.times,
        groups: &batch.groups,
        keys: batch.keys.as_strings(),
        states: batch.states.as_strings(),
        identities: (!batch.groups.is_empty()).then_some(identities),
        ..Keyed::default()
    }
}

fn identities(batch: &Decoded) -> [ArrayRef; 3] {
    IDENTITIES.map(|name| batch.rows.column_by_name(name).expect("it is decoded").clone())
}

criterion_group!(benches, rules, expressions);
criterion_main!(benches);
