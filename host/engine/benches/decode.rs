//! How fast bytes become columns: payments per second, and bytes per second of files.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tamis_engine::chunk::Chunk;
use tamis_engine::decode::json::record_parts;
use tamis_engine::decode::{CsvDecoder, Decoder, LineDecoder, RecordDecoder};
use tamis_model::schema::{Column, ColumnType};
use tamis_model::topic::TopicSchema;

#[path = "../tests/decode/payments.rs"]
mod payments;

use payments::{Numbers, Shape};

const PAYMENTS: &str = include_str!("../../../schemas/topics/payments.schema.json");
/// What the payment rules ask for: 12 of 21.
const COLUMNS: [&str; 12] = [
    "payment_id",
    "order_id",
    "customer_id",
    "session_id",
    "amount",
    "status",
    "psp",
    "risk_score",
    "fraud_flag",
    "ip_country",
    "device_fingerprint",
    "card_ref",
];
const ROWS_MAX: usize = 4096;
/// Chunks as the topic source makes them.
const CHUNK_BYTES: usize = 1 << 20;

/// About 30 000 payments, in chunks of whole lines.
fn chunks(shape: Shape) -> (u64, Vec<Chunk>) {
    let mut numbers = Numbers::new(7);
    let mut chunks = Vec::new();
    let mut offset = 0;
    for _ in 0..20 {
        let mut chunk = Chunk::default();
        chunk.fill(|bytes| {
            while bytes.len() < CHUNK_BYTES {
                bytes.extend_from_slice(payments::line(&mut numbers, offset, shape).as_bytes());
                bytes.push(b'\n');
                offset += 1;
            }
        });
        chunks.push(chunk);
    }
    (offset, chunks)
}

/// The same payments as frames.
fn framed(chunks: &[Chunk]) -> Vec<Chunk> {
    let frames = |chunk: &Chunk| {
        let mut framed = Chunk::default();
        framed.fill_frames(|frames| {
            for line in chunk.records().split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                let parts = record_parts(line);
                let offset = parts.offset.expect("it is a record");
                frames.push(offset, parts.timestamp, parts.key.as_deref(), parts.value.as_deref(), []);
            }
        });
        framed
    };
    chunks.iter().map(frames).collect()
}

/// Decodes everything and returns how many rows there were.
fn decode(decoder: &mut dyn Decoder, chunks: &[Chunk]) -> usize {
    let mut rows = 0;
    for chunk in chunks {
        let mut at = 0;
        while at < chunk.records().len() {
            let decoded = decoder.decode(chunk, at, ROWS_MAX);
            at += decoded.consumed;
            rows += black_box(decoded).rows.num_rows();
        }
    }
    rows
}

fn records(criterion: &mut Criterion) {
    let schema = TopicSchema::parse(PAYMENTS).expect("the published schema is valid");
    let decoder = || RecordDecoder::new(&schema, &COLUMNS).expect("the columns are members");
    for (name, shape) in [("usual", Shape::Usual), ("unknown", Shape::Unknown), ("shuffled", Shape::Shuffled)] {
        let (rows, chunks) = chunks(shape);
        let mut group = criterion.benchmark_group("payments");
        group.throughput(Throughput::Elements(rows));
        for (path, mut decoder) in [("vectorized", decoder()), ("portable", decoder().portable())] {
            assert_eq!(decode(&mut decoder, &chunks), rows as usize, "every payment is accepted");
            group.bench_function(BenchmarkId::new(path, name), |b| b.iter(|| decode(&mut decoder, &chunks)));
        }
        let (frames, mut decoder) = (framed(&chunks), decoder());
        assert_eq!(decode(&mut decoder, &frames), rows as usize, "every payment is accepted");
        group.bench_function(BenchmarkId::new("frames", name), |b| b.iter(|| decode(&mut decoder, &frames)));
        // What reading into a tree alone costs, without checks and columns.
        group.bench_function(BenchmarkId::new("serde_json value", name), |b| {
            b.iter(|| {
                for line in chunks.iter().flat_map(|chunk| chunk.records().split(|byte| *byte == b'\n')) {
                    black_box(serde_json::from_slice::<serde_json::Value>(line).ok());
                }
            });
        });
    }
}

fn files(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("files");
    let names = ["customer_id", "email", "age", "ville", "pays", "newsletter_optin"];
    let columns = names.map(|name| Column {
        name: name.to_owned(),
        column_type: ColumnType::Text,
        required: false,
        personal: false,
        pseudonym: false,
        json: false,
        fields: Vec::new(),
    });
    let mut csv = format!("{}\n", names.join(","));
    let mut log = String::new();
    for i in 0..20_000 {
        csv.push_str(&format!("C{i:09},client{i}@example.org,{},\"Saint-Étienne, Loire\",France,oui\n", i % 90));
        log.push_str(&format!(
            "203.0.113.{} - - [18/Mar/2026:14:00:00 +0100] \"GET /produits/{i}?utm=x HTTP/1.1\" 200 {} \"-\" \
             \"Mozilla/5.0 (X11; Linux x86_64; rv:123.0) Gecko/20100101 Firefox/123.0\" 0.{:03}\n",
            i % 256,
            i * 7,
            i % 1000
        ));
    }
    for (name, text) in [("csv", csv), ("lines", log)] {
        let mut chunk = Chunk::default();
        chunk.fill(|bytes| bytes.extend_from_slice(text.as_bytes()));
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(name, |b| {
            b.iter(|| {
                let mut decoder: Box<dyn Decoder> = match name {
                    "csv" => Box::new(CsvDecoder::new(&columns).expect("the columns are text")),
                    _ => Box::new(LineDecoder::new()),
                };
                decode(&mut *decoder, std::slice::from_ref(&chunk))
            });
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = records, files
}
criterion_main!(benches);
