//! A frame says what the same record's line says.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use proptest::prelude::*;
use tamis_engine::Chunk;
use tamis_engine::decode::{Decoder as _, Origin};
use tamis_model::topic::TopicSchema;

use crate::damage::{damage, other_line, replace};
use crate::differential::{Told, chunk, columns, decoded, decoders, schemas};
use crate::payments::{self, Numbers, Shape};

/// A record as a broker has it.
#[derive(Clone, Debug)]
struct Sent {
    timestamp: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, Vec<u8>)>,
}

/// The records' lines, values and keys in base64: what comes of any bytes.
fn lines(records: &[Sent]) -> Chunk {
    let mut text = String::new();
    for (offset, record) in records.iter().enumerate() {
        let base64 = |bytes: &Option<Vec<u8>>| match bytes {
            None => "null".to_owned(),
            Some(bytes) => format!("\"{}\"", BASE64_STANDARD.encode(bytes)),
        };
        let headers = record.headers.iter().map(|(name, value)| (name, BASE64_STANDARD.encode(value)));
        let headers = serde_json::to_string(&headers.collect::<Vec<_>>()).unwrap();
        let (key, value, timestamp) = (base64(&record.key), base64(&record.value), record.timestamp);
        text.push_str(&format!(
            "{{\"offset\":{offset},\"timestamp\":{timestamp},\"key_base64\":{key},\"value_base64\":{value},\"headers\":{headers}}}\n"
        ));
    }
    chunk(text.as_bytes())
}

fn frames(records: &[Sent]) -> Chunk {
    let mut chunk = Chunk::default();
    chunk.fill_frames(|frames| {
        for (offset, record) in records.iter().enumerate() {
            let headers = record.headers.iter().map(|(name, value)| (name.as_bytes(), value.as_slice()));
            let (key, value) = (record.key.as_deref(), record.value.as_deref());
            frames.push(offset as i64, Some(record.timestamp), key, value, headers);
        }
    });
    chunk
}

/// Both framings give the same rows and refusals, in batches of any size, and dead letters the same parts.
fn check(schema: &TopicSchema, kept: &[&str], records: &[Sent], rows_max: usize) -> Result<(), TestCaseError> {
    let (lines, frames) = (lines(records), frames(records));
    let outcomes = |told: &[Told]| told.iter().map(|(outcome, ..)| outcome.clone()).collect::<Vec<_>>();
    let parts = |chunk: &Chunk, told: &[Told]| {
        let record = |(_, start, end): &Told| chunk.record(Origin { offset: 0, start: *start, end: *end });
        told.iter().map(record).collect::<Vec<_>>()
    };
    for mut decoder in decoders(schema, kept) {
        let expected = decoded(&mut decoder, &lines, usize::MAX);
        prop_assert_eq!(expected.len(), records.len());
        for rows_max in [rows_max, usize::MAX] {
            let told = decoded(&mut decoder, &frames, rows_max);
            prop_assert_eq!(outcomes(&told), outcomes(&expected));
            prop_assert_eq!(parts(&frames, &told), parts(&lines, &expected));
        }
        let message = |chunk: &Chunk, decoder: &mut tamis_engine::decode::RecordDecoder| {
            let refused = decoder.decode(chunk, 0, usize::MAX).refused;
            refused.into_iter().map(|refused| refused.message).collect::<Vec<_>>()
        };
        prop_assert_eq!(message(&frames, &mut decoder), message(&lines, &mut decoder));
    }
    Ok(())
}

fn bytes(length: std::ops::Range<usize>) -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), length)
}

/// What stands around a value.
fn envelopes() -> impl Strategy<Value = (i64, Option<Vec<u8>>, Vec<(String, Vec<u8>)>)> {
    let headers = proptest::collection::vec((".{0,5}", bytes(0..6)), 0..3);
    (-1_i64..i64::MAX, proptest::option::of(bytes(0..9)), headers)
}

/// The value of a record line.
fn value_of(line: &[u8]) -> Vec<u8> {
    tamis_engine::decode::json::record_parts(line).value.unwrap_or_default()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn records_of_topics_and_what_damage_makes_of_them(
        seed in any::<u64>(),
        records in proptest::collection::vec(
            (envelopes(), 0u8..9, proptest::collection::vec((0u8..16, any::<usize>(), any::<usize>()), 0..3)),
            1..9,
        ),
        rows_max in 1usize..9,
        kept in any::<u64>(),
    ) {
        let topic = (seed % 4).min(2) as usize;
        let schema = &schemas()[topic];
        let columns: Vec<_> = columns(schema).into_iter().enumerate().filter(|(i, _)| kept >> i & 1 == 1).map(|(_, c)| c).collect();
        let mut numbers = Numbers::new(seed);
        let sent = records.into_iter().enumerate().map(|(i, ((timestamp, key, headers), kind, damages))| {
            let line = match topic {
                0 => payments::line(&mut numbers, i as u64, [Shape::Usual, Shape::Unknown, Shape::Shuffled][usize::from(kind) % 3]),
                _ => other_line(&mut numbers, topic, i as u64),
            };
            let mut value = value_of(line.as_bytes());
            damages.iter().for_each(|(kind, a, b)| damage(&mut value, *kind, *a, *b));
            match kind {
                5 => replace(&mut value, ",", "\n , \r\n"),
                6 => value.splice(0..0, *b"\xef\xbb\xbf").for_each(drop),
                7 => value.extend_from_slice(b"\n{}"),
                _ => {}
            }
            let value = Some(value).filter(|_| kind != 8);
            Sent { timestamp, key, value, headers }
        });
        check(schema, &columns, &sent.collect::<Vec<_>>(), rows_max)?;
    }

    #[test]
    fn any_bytes_at_all(
        records in proptest::collection::vec((envelopes(), proptest::option::of(bytes(0..40))), 1..6),
    ) {
        let sent = records.into_iter().map(|((timestamp, key, headers), value)| Sent { timestamp, key, value, headers });
        check(&schemas()[0], &["payment_id"], &sent.collect::<Vec<_>>(), 2)?;
    }

    #[test]
    fn any_text_of_json_s_own_alphabet(value in r#"[\[\]{}":,0-9eE.\n trufals]{0,40}"#, end in r#"[}\] ,"\n]{0,3}"#) {
        let object = format!(r#"{{"payment_id":"p","amount":1,"method":"card","status":"failed","u":{value}}}{end}"#);
        let sent = |value: &str| Sent { timestamp: 5, key: None, value: Some(value.as_bytes().to_vec()), headers: Vec::new() };
        check(&schemas()[0], &["payment_id"], &[sent(&value), sent(&object), sent(&end)], 2)?;
    }
}

fn check_refused(timestamp: Option<i64>, value: Option<&[u8]>, expected: (&str, &str)) {
    let mut chunk = Chunk::default();
    chunk.fill_frames(|frames| frames.push(7, timestamp, Some(b"k"), value, [(&b"h"[..], &b"v"[..])]));
    for mut decoder in decoders(&schemas()[0], &["payment_id"]) {
        let refused = decoder.decode(&chunk, 0, 9).refused;
        assert_eq!(refused.len(), 1, "{value:?}");
        assert_eq!((refused[0].reason, refused[0].message.as_str()), expected);
        assert_eq!((refused[0].origin.offset, refused[0].time), (7, timestamp));
    }
}

#[test]
fn what_a_frame_is_refused_for() {
    check_refused(None, Some(b"{}"), ("invalid_record", "the record has no timestamp"));
    check_refused(None, None, ("tombstone", "the record has no value"));
    check_refused(Some(5), Some(b" null"), ("not_an_object", "the value is no JSON object"));
    check_refused(Some(5), Some(b"{}"), ("missing_field", "payment_id: required, and missing or null"));
    check_refused(Some(5), Some(b""), ("invalid_json", "not JSON: EOF while parsing a value at line 1 column 0"));
    check_refused(
        Some(5),
        Some(br#"{},"timestamp":1,"value":{}"#),
        ("invalid_json", "not JSON: trailing characters at line 1 column 3"),
    );
}
