//! What a feed comes to that hosts read in different ways, and what of it another way may say otherwise.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tamis_connectors::topics::{ReaderSettings, WriterSettings};
use tamis_connectors::{TopicReader, TopicWriter};
use tamis_engine::Sink;
use tamis_engine::decode::json::RecordParts;
use tamis_model::dead_letter::DEAD_LETTERS;
use tamis_model::record::Record;
use tokio::sync::OnceCell;

use crate::day::{BROKEN, PARTS, TOPICS, closing, parts, plugins};
use crate::kafka::{all, is_place};
use crate::process::Home;
use crate::results::{Results, results, strip};

/// What an alert says of a window whose events are of several partitions depends on how these are interleaved: it has what had arrived when it
/// was raised. These windows are of a key that is not the records', or of two topics.
const INTERLEAVED: [(&str, &[&str]); 3] =
    [("shared-device", &["distinct"]), ("shared-ip", &["distinct"]), ("cross-velocity", &["payments", "orders"])];

/// A feed, and what it comes to.
pub struct Reference {
    pub parts: Vec<Vec<Record>>,
    pub results: Results,
}

impl Reference {
    /// The same for all tests of this process.
    pub async fn get() -> &'static Self {
        static REFERENCE: OnceCell<Reference> = OnceCell::const_new();
        REFERENCE.get_or_init(Self::find).await
    }

    async fn find() -> Self {
        let parts = parts();
        let names = plugins();
        let home = Home::with(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let feed = parts.concat();
        let mut topics = TopicWriter::open(home.path().join("topics"), "feed", WriterSettings::default()).unwrap();
        topics.write(&[&feed[..], &closing(&feed, 1)].concat()).unwrap();
        drop(topics);
        let judged = home.run(&["run", "streams", "--until-end"]);
        assert_eq!(judged.iter().filter_map(|row| row["late"].as_u64()).sum::<u64>(), 0, "{judged:?}");
        let mut results = told_at_home(home.path()).await;
        for entry in fs::read_dir(home.path().join("topics")).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let settings = ReaderSettings::new([&name]).until_end();
            let records = all(&mut TopicReader::new(home.path().join("topics"), settings).unwrap());
            if !TOPICS.contains(&&*name) {
                results.insert(format!("topic {name}"), told(&name, records.into_iter().flatten()));
            }
        }
        assert_speaks_of_all(&results, &names);
        Self { parts, results }
    }
}

/// Each rule has raised something, each aggregate has rows, and of each topic there are dead letters: what there is none of is not compared.
fn assert_speaks_of_all(results: &Results, plugins: &[String]) {
    let members = |place: &str, member: &str| -> BTreeSet<String> {
        let rows = results[place].iter().map(|row| serde_json::from_str::<Value>(row).unwrap());
        rows.map(|row| row[member].as_str().unwrap().replace('_', "-")).collect()
    };
    let rules = members("live alerts in the warehouse", "rule");
    let aggregates = members("aggregates", "name");
    assert_eq!((rules.len(), aggregates.len()), (18, 2), "{rules:?} and {aggregates:?}");
    assert!(plugins.iter().all(|name| rules.contains(name) || aggregates.contains(name)), "{rules:?}");
    let letters = &results[&format!("topic {DEAD_LETTERS}")];
    assert!(letters.len() >= TOPICS.len() * BROKEN.len() * PARTS, "{letters:?}");
}

/// What a home has in lake and warehouse.
pub async fn told_at_home(home: &Path) -> Results {
    let mut results = results(home, &[]).await;
    results.retain(|place, _| !place.starts_with("topic "));
    for (_, rows) in results.iter_mut().filter(|(place, _)| place.contains("alerts")) {
        rows.iter_mut().for_each(|row| *row = alert(serde_json::from_str(row).unwrap()).to_string());
        rows.sort();
    }
    results
}

/// The records of a topic of alerts or dead letters without what another way may say otherwise.
pub fn told(topic: &str, records: impl Iterator<Item = RecordParts>) -> Vec<String> {
    let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
    let told = |record: RecordParts| {
        let headers = record.headers.iter().filter(|(name, _)| !is_place(name));
        let headers: Vec<_> = headers.map(|(name, value)| json!([name, text(value)])).collect();
        let value = record.value.map(|value| match topic {
            DEAD_LETTERS => text(&value).into(),
            _ => alert(serde_json::from_slice(&value).unwrap()),
        });
        let key = record.key.as_deref().map(text);
        json!({"timestamp": record.timestamp, "key": key, "value": value, "headers": headers}).to_string()
    };
    let mut told: Vec<_> = records.map(told).collect();
    told.sort();
    told
}

/// An alert without what another way may say otherwise.
fn alert(mut alert: Value) -> Value {
    strip(&mut alert);
    for (rule, members) in INTERLEAVED {
        if alert["rule"] == rule {
            members.iter().for_each(|member| _ = alert["context"].as_object_mut().unwrap().remove(*member).unwrap());
        }
    }
    alert
}
