//! A day of the reference company, as the demo makes it, and the rules that judge it: hosts that work in different ways are compared over it.

use std::fs;

use serde_json::json;
use tamis::demo::{Scale, generate};
use tamis_connectors::TopicReader;
use tamis_connectors::topics::ReaderSettings;
use tamis_engine::decode::json::RecordParts;
use tamis_model::record::Record;

use crate::kafka::all;
use crate::process::components;

/// What the company's rules and aggregates read.
pub const TOPICS: [&str; 3] = ["payments", "orders", "kyc_decisions"];
const SEED: u64 = 7;
/// Behind the day: it closes all windows of it.
const LATER_MS: i64 = 2 * 86_400_000;

/// Stretches of the day by the part of the feed that they are in, from and to a time of the day. No event of one part can be behind the time that
/// a host comes to while it waits for the next one, because between them lies more than that takes.
const STRETCHES: [(usize, &str, &str); 7] = [
    (0, "10:39", "10:42"), // Express is most of what is ordered; payments for which the orders of 16:20 are too dear.
    (0, "11:40", "11:44"), // An order is cancelled that is paid at 13:42.
    (0, "13:00", "13:15"), // Customers pay one after the other with the same device.
    (1, "13:40", "13:44"),
    (1, "14:58", "15:03"), // Large orders are cancelled.
    (1, "16:15", "16:32"), // A customer orders and pays faster than people do.
    (2, "17:00", "17:30"), // Pupils try their luck.
];
/// Parts of the feed. A host that is killed has judged the first one, and dies while the second one is on its way.
pub const PARTS: usize = 3;
/// How far out of order events come: less than the ten seconds after which they are late.
const DISORDER_MS: i64 = 9_000;
/// What cannot be decoded: a tombstone, no JSON, no UTF-8, and what lacks all that is required.
pub const BROKEN: [Option<&[u8]>; 4] = [None, Some(b"{\"amount\":"), Some(b"{\"customer_id\":\"\xff\"}"), Some(b"{}")];

/// The rules and aggregates among the components.
pub fn plugins() -> Vec<String> {
    let files = fs::read_dir(components()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let names = files.filter_map(|file| file.strip_suffix(".wasm").map(str::to_owned));
    let is_rule = |name: &String| !["silver-", "check-", "expression"].iter().any(|other| name.starts_with(other));
    let rules: Vec<_> = names.filter(is_rule).collect();
    assert_eq!(rules.len(), 20, "{rules:?}");
    rules
}

/// The records of the day in the order of their times, so that none is late in any partition.
pub fn day() -> Vec<Record> {
    let folder = tempfile::tempdir().unwrap();
    let home = tamis::home::Home::new(folder.path());
    home.create().unwrap();
    generate(&home, SEED, Scale(1), &mut |_, _| {}).unwrap();
    let records = |topic: &'static str| {
        let settings = ReaderSettings::new([topic]).until_end();
        let records = all(&mut TopicReader::new(home.topics(), settings).unwrap());
        records.into_iter().flatten().map(move |parts| record(topic, parts))
    };
    let mut day: Vec<_> = TOPICS.into_iter().flat_map(records).collect();
    day.sort_by_key(|record| record.timestamp);
    day
}

/// Some of the day, part by part, as it arrives: out of order, with records that are broken, and with none that is late in any partition.
pub fn parts() -> Vec<Vec<Record>> {
    let day = day();
    let minute = |time: &str| time[..2].parse::<i64>().unwrap() * 60 + time[3..].parse::<i64>().unwrap();
    let part = |number: usize| {
        let stretches = STRETCHES.iter().filter(|(part, ..)| *part == number);
        let stretches: Vec<_> = stretches.map(|(_, from, to)| minute(from)..minute(to)).collect();
        let is_in = |record: &&Record| {
            let of_day = record.timestamp.rem_euclid(86_400_000) / 60_000;
            stretches.iter().any(|stretch| stretch.contains(&of_day))
        };
        let mut events: Vec<_> = day.iter().filter(is_in).cloned().enumerate().collect();
        // Neighbours are put off by times that are far from each other.
        events.sort_by_key(|(at, event)| event.timestamp + *at as i64 * 7_919 % DISORDER_MS);
        let mut events: Vec<_> = events.into_iter().map(|(_, event)| event).collect();
        assert!(!events.is_sorted_by_key(|event| event.timestamp));
        let amid = events.len() / 2;
        let time = events[amid].timestamp;
        let broken = TOPICS.iter().flat_map(|topic| BROKEN.iter().map(move |value| broken(topic, *value, time)));
        events.splice(amid..amid, broken);
        events
    };
    (0..PARTS).map(part).collect()
}

fn broken(topic: &str, value: Option<&[u8]>, timestamp: i64) -> Record {
    Record {
        topic: topic.to_owned(),
        partition: None,
        timestamp,
        key: Some(b"broken".to_vec()),
        value: value.map(<[u8]>::to_vec),
        value_is_json: false,
        headers: Vec::new(),
    }
}

/// For each partition of each topic a record that raises nothing, long after a day: they close its windows.
pub fn closing(day: &[Record], partitions: u32) -> Vec<Record> {
    let later = day.iter().map(|record| record.timestamp).max().unwrap() + LATER_MS;
    let of = |topic: &str, partition| {
        let value = Some(last(topic).into_bytes());
        let parts = RecordParts { timestamp: Some(later), value, ..RecordParts::default() };
        Record { partition: Some(partition), ..record(topic, parts) }
    };
    TOPICS.iter().flat_map(|topic| (0..partitions).map(|partition| of(topic, partition))).collect()
}

/// A record's value that raises nothing.
pub fn last(topic: &str) -> String {
    let value = match topic {
        "payments" => json!({"payment_id": "end", "amount": 1, "method": "sepa", "status": "pending"}),
        "orders" => json!({"event_id": "end", "event_type": "shipped", "order_id": "end"}),
        _ => json!({"event_id": "end", "kyc_ref": "end", "decision": "en_attente"}),
    };
    value.to_string()
}

fn record(topic: &str, parts: RecordParts) -> Record {
    Record {
        topic: topic.to_owned(),
        partition: None,
        timestamp: parts.timestamp.unwrap(),
        key: parts.key,
        value: parts.value,
        value_is_json: false,
        headers: Vec::new(),
    }
}
