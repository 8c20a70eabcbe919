//! What the sandbox costs: the same rule linked into this process and as its component, on the same batches.
//!
//! Both sides judge decoded columns; the keyed rule's state goes through the same map by key before and after each call.

use std::collections::HashMap;
use std::hint::black_box;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tamis_engine::decode::{Decoded, Decoder, RecordDecoder};
use tamis_engine::source::Chunk;
use tamis_model::manifest::Manifest;
use tamis_model::rule::{Keyed, NOT_JUDGED, Rule};
use tamis_model::strings::StringsBuf;
use tamis_sdk::bindings::types as sdk;
use tamis_sdk::rule::RulePlugin;
use tamis_tests::components;
use tamis_tests::native::lower;

#[allow(dead_code, reason = "shared with the benchmark of decoding, which needs all of it")]
#[path = "../../host/engine/tests/decode/payments.rs"]
mod payments;

use payments::{Numbers, Shape};

const EVENTS: u64 = 65_536;
const IDENTITIES: [&str; 3] = ["payment_id", "order_id", "customer_id"];

/// The decoded columns of a rule, in batches of `rows_max`.
fn batches(manifest: &Manifest, rows_max: usize) -> Vec<Decoded> {
    let columns: Vec<&str> = manifest.columns().map(|column| column.name.as_str()).chain(IDENTITIES).collect();
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

fn manifest<P: RulePlugin>() -> Manifest {
    serde_json::from_str(&P::manifest()).expect("a plugin's manifest is a manifest")
}

/// A rule without state: columns in, row indices out.
fn stateless(criterion: &mut Criterion) {
    type Plugin = payment_direct_fraud::Plugin;
    let manifest = manifest::<Plugin>();
    let config = manifest.config.defaults.to_string();
    let plugin = components::load(&components::sandbox(), "payment-direct-fraud");
    let mut group = criterion.benchmark_group("payment-direct-fraud");
    for rows_max in [256, 4096] {
        let batches = batches(&manifest, rows_max);
        let declared = manifest.columns().count();
        let columns: Vec<Vec<ArrayRef>> = batches.iter().map(|b| b.rows.columns()[..declared].to_vec()).collect();
        let keyed = |i: usize| Keyed {
            rows: batches[i].rows.num_rows(),
            columns: &columns[i],
            times: &batches[i].times,
            ..Keyed::default()
        };
        group.throughput(Throughput::Elements(EVENTS));
        let lowered: Vec<sdk::Keyed> = (0..batches.len()).map(|i| lower(&keyed(i))).collect();
        let mut native = Plugin::configure(&config).expect("the defaults are valid");
        group.bench_function(BenchmarkId::new("native", rows_max), |bencher| {
            bencher.iter(|| lowered.iter().for_each(|rows| drop(black_box(native.apply(rows)))));
        });
        let mut sandboxed = plugin.rule(&config).expect("the defaults are valid");
        group.bench_function(BenchmarkId::new("wasm", rows_max), |bencher| {
            bencher.iter(|| (0..batches.len()).for_each(|i| drop(black_box(sandboxed.apply(&keyed(i))))));
        });
    }
    group.finish();
}

/// The groups of a batch, and the state of each key as it goes from batch to batch.
#[derive(Default)]
struct States {
    by_key: HashMap<Vec<u8>, Vec<u8>>,
    groups: Vec<u32>,
    keys: StringsBuf,
    states: StringsBuf,
}

impl States {
    fn join(&mut self, keys: &ArrayRef) {
        let keys = keys.as_string::<i32>();
        let mut index: HashMap<&[u8], u32> = HashMap::with_capacity(keys.len());
        self.groups.clear();
        self.keys.clear();
        self.states.clear();
        for row in 0..keys.len() {
            if keys.is_null(row) {
                self.groups.push(NOT_JUDGED);
                continue;
            }
            let key = keys.value(row).as_bytes();
            let next = u32::try_from(index.len()).expect("a batch has less than 2^32 rows");
            let group = *index.entry(key).or_insert(next);
            if group == next {
                self.keys.push(key);
                self.states.push(self.by_key.get(key).map_or(&[], Vec::as_slice));
            }
            self.groups.push(group);
        }
    }

    fn write_back(&mut self, offsets: &[u32], data: &[u8]) {
        for (group, bounds) in offsets.windows(2).enumerate() {
            let key = self.keys.as_strings().get(group);
            let state = &data[bounds[0] as usize..bounds[1] as usize];
            match self.by_key.get_mut(key) {
                Some(old) => {
                    old.clear();
                    old.extend_from_slice(state);
                }
                None => drop(self.by_key.insert(key.to_vec(), state.to_vec())),
            }
        }
    }
}

/// A sliding window by key: state in and out with each batch.
fn sliding(criterion: &mut Criterion) {
    type Plugin = card_testing::Plugin;
    let manifest = manifest::<Plugin>();
    let config = manifest.config.defaults.to_string();
    let plugin = components::load(&components::sandbox(), "card-testing");
    let declared = manifest.columns().count();
    let mut group = criterion.benchmark_group("card-testing");
    for rows_max in [256, 4096] {
        let batches = batches(&manifest, rows_max);
        group.throughput(Throughput::Elements(EVENTS));
        let mut native = Plugin::configure(&config).expect("the defaults are valid");
        let lowered: Vec<sdk::Keyed> = batches
            .iter()
            .map(|batch| {
                let identities = identities(batch, declared);
                lower(&Keyed { identities: Some(&identities), ..keyed(batch, declared, &States::default()) })
            })
            .collect();
        group.bench_function(BenchmarkId::new("native", rows_max), |bencher| {
            bencher.iter_batched(
                || lowered.clone(),
                |lowered| {
                    let mut states = States::default();
                    for (mut rows, batch) in lowered.into_iter().zip(&batches) {
                        states.join(batch.rows.column(0));
                        rows.groups.clone_from(&states.groups);
                        rows.keys = strings(&states.keys);
                        rows.states = strings(&states.states);
                        let outcome = native.apply(&rows).expect("the rule judges");
                        states.write_back(&outcome.states.offsets, &outcome.states.data);
                    }
                },
                criterion::BatchSize::LargeInput,
            );
        });
        let mut sandboxed = plugin.rule(&config).expect("the defaults are valid");
        group.bench_function(BenchmarkId::new("wasm", rows_max), |bencher| {
            bencher.iter(|| {
                let mut states = States::default();
                for batch in &batches {
                    states.join(batch.rows.column(0));
                    let identities = identities(batch, declared);
                    let rows = Keyed { identities: Some(&identities), ..keyed(batch, declared, &states) };
                    let outcome = sandboxed.apply(&rows).expect("the rule judges");
                    states.write_back(&outcome.states.offsets, &outcome.states.data);
                }
            });
        });
    }
    group.finish();
}

fn keyed<'a>(batch: &'a Decoded, declared: usize, states: &'a States) -> Keyed<'a> {
    Keyed {
        rows: batch.rows.num_rows(),
        columns: &batch.rows.columns()[..declared],
        times: &batch.times,
        groups: &states.groups,
        keys: states.keys.as_strings(),
        states: states.states.as_strings(),
        ..Keyed::default()
    }
}

fn identities(batch: &Decoded, declared: usize) -> [ArrayRef; 3] {
    [0, 1, 2].map(|i| batch.rows.column(declared + i).clone())
}

fn strings(strings: &StringsBuf) -> sdk::Strings {
    sdk::Strings { offsets: strings.offsets.clone(), data: strings.data.clone() }
}

criterion_group!(benches, stateless, sliding);
criterion_main!(benches);
