//! Whatever the bytes are, every way of decoding says what the reference says.

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float64Type, Int64Type};
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use proptest::prelude::*;
use tamis_engine::chunk::Chunk;
use tamis_engine::decode::{Decoded, Decoder, RecordDecoder};
use tamis_model::topic::TopicSchema;

use crate::damage::{damage, other_line, replace};
use crate::payments::{self, Numbers, Shape};
use crate::reference::{self, Cell, Outcome};

const PAYMENTS: &str = include_str!("../../../../schemas/topics/payments.schema.json");
const ORDERS: &str = include_str!("../../../../schemas/topics/orders.schema.json");
const KYC_DECISIONS: &str = include_str!("../../../../schemas/topics/kyc_decisions.schema.json");

pub fn schemas() -> [TopicSchema; 3] {
    [PAYMENTS, ORDERS, KYC_DECISIONS].map(|json| TopicSchema::parse(json).expect("published schemas are valid"))
}

/// All members that can be columns.
pub fn columns(schema: &TopicSchema) -> Vec<&str> {
    schema.fields.iter().filter(|field| field.column_type().is_some()).map(|field| field.name.as_str()).collect()
}

/// A row or a refusal, with the span of its line.
pub type Told = (Outcome, u32, u32);

pub fn chunk(records: &[u8]) -> Chunk {
    let mut chunk = Chunk::default();
    chunk.fill(|bytes| bytes.extend_from_slice(records));
    chunk
}

/// What the reference says of each line that is not blank.
pub fn expected(schema: &TopicSchema, columns: &[&str], records: &[u8]) -> Vec<Told> {
    let mut told = Vec::new();
    let mut start = 0;
    for line in records.split(|byte| *byte == b'\n') {
        let end = start + line.len();
        let outcome = match reference::decode_line(schema, line) {
            Outcome::Row { offset, time, values } => {
                let index = |name: &&str| {
                    schema.fields.iter().position(|field| field.name == **name).expect("columns are members")
                };
                let values = columns.iter().map(|name| values[index(name)].clone()).collect();
                Outcome::Row { offset, time, values }
            }
            other => other,
        };
        if outcome != Outcome::Blank {
            told.push((outcome, start as u32, end as u32));
        }
        start = end + 1;
    }
    told
}

/// Every way of decoding there is.
pub fn decoders(schema: &TopicSchema, columns: &[&str]) -> [RecordDecoder; 2] {
    let decoder = || RecordDecoder::new(schema, columns).expect("columns are members");
    [decoder(), decoder().portable()]
}

/// What the decoder says, `rows_max` lines at a time.
pub fn decoded(decoder: &mut RecordDecoder, chunk: &Chunk, rows_max: usize) -> Vec<Told> {
    let mut told = Vec::new();
    let mut at = 0;
    while at < chunk.records().len() {
        let batch = decoder.decode(chunk, at, rows_max);
        assert!(batch.consumed > 0);
        assert!(batch.origins.len() + batch.refused.len() <= rows_max);
        assert_eq!((batch.rows.num_rows(), batch.times.len()), (batch.origins.len(), batch.origins.len()));
        at += batch.consumed;
        tell(&batch, &mut told);
    }
    told
}

fn tell(batch: &Decoded, told: &mut Vec<Told>) {
    let mut refused = batch.refused.iter().peekable();
    for row in 0..=batch.origins.len() {
        while let Some(refusal) = refused.next_if(|refusal| refusal.after_row as usize == row) {
            // Messages about a member begin with its name; all others have no colon, or are about JSON.
            let field = match refusal.message.split_once(':') {
                Some((field, _)) if refusal.reason != "invalid_json" => field.to_owned(),
                _ => String::new(),
            };
            let offset = Some(refusal.origin.offset).filter(|offset| *offset >= 0);
            let outcome = Outcome::Refused { offset, time: refusal.time, reason: refusal.reason, field };
            told.push((outcome, refusal.origin.start, refusal.origin.end));
        }
        if let Some(origin) = batch.origins.get(row) {
            let outcome =
                Outcome::Row { offset: origin.offset, time: batch.times[row], values: cells(&batch.rows, row) };
            told.push((outcome, origin.start, origin.end));
        }
    }
    assert!(refused.next().is_none(), "refusals are in order");
}

fn cells(rows: &RecordBatch, row: usize) -> Vec<Cell> {
    rows.columns().iter().map(|column| cell(column, row)).collect()
}

fn cell(column: &dyn Array, row: usize) -> Cell {
    match column.data_type() {
        _ if column.is_null(row) => Cell::Null,
        DataType::Utf8 => Cell::Text(column.as_string::<i32>().value(row).to_owned()),
        DataType::Int64 => Cell::Integer(column.as_primitive::<Int64Type>().value(row)),
        DataType::Float64 => Cell::Number(column.as_primitive::<Float64Type>().value(row)),
        DataType::Decimal128(18, 2) => Cell::Amount(column.as_primitive::<Decimal128Type>().value(row)),
        DataType::Boolean => Cell::Boolean(column.as_boolean().value(row)),
        other => panic!("no column is {other}"),
    }
}

/// All ways of decoding these lines agree with the reference, batches of any size and any choice of columns included.
fn check(schema: &TopicSchema, kept: &[&str], records: &[u8], rows_max: usize) -> Result<(), TestCaseError> {
    let expected = expected(schema, kept, records);
    let chunk = chunk(records);
    for mut decoder in decoders(schema, kept) {
        for rows_max in [rows_max, usize::MAX] {
            let decoded = decoded(&mut decoder, &chunk, rows_max);
            for (decoded, expected) in decoded.iter().zip(&expected) {
                let line = String::from_utf8_lossy(&records[expected.1 as usize..expected.2 as usize]);
                prop_assert_eq!(decoded, expected, "line {}", line);
            }
            prop_assert_eq!(decoded.len(), expected.len());
        }
    }
    Ok(())
}

/// Seed, topic, shape of each line, then what is done to it.
type Recipe = (u64, Vec<(u8, Vec<(u8, usize, usize)>)>);

fn recipes() -> impl Strategy<Value = Recipe> {
    let damages = proptest::collection::vec((0u8..16, any::<usize>(), any::<usize>()), 0..3);
    (any::<u64>(), proptest::collection::vec((0u8..5, damages), 1..12))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_decoder_says_what_the_reference_says(
        (seed, lines) in recipes(),
        rows_max in 1usize..9,
        kept in any::<u64>(),
        ended in any::<bool>(),
    ) {
        let topic = (seed % 4).min(2) as usize;
        let schema = &schemas()[topic];
        let columns: Vec<_> = columns(schema).into_iter().enumerate().filter(|(i, _)| kept >> i & 1 == 1).map(|(_, c)| c).collect();
        let mut numbers = Numbers::new(seed);
        let mut records = Vec::new();
        for (i, (shape, damages)) in lines.iter().enumerate() {
            let shape = [Shape::Usual, Shape::Unknown, Shape::Shuffled][usize::from(*shape) % 3];
            let mut line = match topic {
                0 => payments::line(&mut numbers, i as u64, shape),
                _ => other_line(&mut numbers, topic, i as u64),
            }
            .into_bytes();
            damages.iter().for_each(|(kind, a, b)| damage(&mut line, *kind, *a, *b));
            records.extend_from_slice(&line);
            if ended || i + 1 < lines.len() {
                records.push(b'\n');
            }
        }
        check(schema, &columns, &records, rows_max)?;
    }

    /// Not only damaged records: any text of JSON's own alphabet in place of a value.
    #[test]
    fn any_value_is_judged_like_the_reference_does(value in r#"[\[\]{}":,0-9eE.\\ntrufals u-]{0,40}"#, tail in r#"[}\] ,"]{0,3}"#) {
        let schema = &schemas()[0];
        let line = format!(r#"{{"offset":1,"timestamp":2,"value":{{"payment_id":"p","amount":1,"method":"card","status":"failed","u":{value}}}{tail}}}"#);
        check(schema, &["payment_id"], line.as_bytes(), 1)?;
        let line = format!("{{\"timestamp\":5,{value}\n{value}");
        check(schema, &["payment_id"], line.as_bytes(), 1)?;
    }

    /// Any bytes at all.
    #[test]
    fn any_bytes_are_judged_like_the_reference_does(records in proptest::collection::vec(any::<u8>(), 0..80)) {
        check(&schemas()[0], &["payment_id"], &records, 3)?;
    }
}

/// Chunks longer than a window of the UTF-8 check, with invalid bytes in one of them.
#[test]
fn one_bad_byte_in_a_long_chunk_changes_one_line() {
    let schema = &schemas()[0];
    let columns = columns(schema);
    let mut numbers = Numbers::new(3);
    let mut records = Vec::new();
    for offset in 0..400 {
        let mut line = payments::line(&mut numbers, offset, Shape::Unknown).into_bytes();
        if offset == 250 {
            let at = line.windows(7).position(|window| window == b"Mozilla").unwrap();
            line[at + 3] = 0xe2;
        }
        if offset == 300 {
            replace(&mut line, "Mozilla", &"é".repeat(40_000));
        }
        records.extend_from_slice(&line);
        records.push(b'\n');
    }
    check(schema, &columns, &records, 97).unwrap();
}
