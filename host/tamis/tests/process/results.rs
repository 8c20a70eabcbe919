//! What a home holds in the end: every row of alerts, dead letters and aggregates, wherever it stands.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tamis_connectors::SqliteWarehouse;
use tamis_connectors::warehouse::AlertFilter;

/// What another run of the same input may say otherwise: when, and which version of the same content.
const INCIDENTAL: [&str; 3] = ["generated_at", "rule_version", "lists"];
/// Differences of a place that are shown.
const SHOWN_MAX: usize = 3;

/// The rows of a home by place, as texts in order.
pub type Results = BTreeMap<String, Vec<String>>;

/// The records of a topic, partition by partition in the order of their offsets.
pub fn records(home: &Path, topic: &str) -> Vec<Value> {
    let mut files = files(&home.join("topics").join(topic), "jsonl");
    files.sort();
    // Behind the last line there may be the beginning of another, which is being written.
    let lines = |file: &PathBuf| {
        let text = fs::read_to_string(file).unwrap();
        json_lines(text.rfind('\n').map_or("", |end| &text[..end]))
    };
    files.iter().flat_map(lines).collect()
}

/// The files below a folder with this ending.
pub fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_str().unwrap().ends_with(ending) {
                found.push(path);
            }
        }
    }
    found
}

/// What the streams of a home left: topics (but those of the input), alerts in the lake and the warehouse, aggregates.
pub async fn results(home: &Path, inputs: &[&str]) -> Results {
    let mut results = Results::new();
    let mut add = |place: String, row: String| results.entry(place).or_default().push(row);
    for topic in names(&home.join("topics")).into_iter().filter(|topic| !inputs.contains(&topic.as_str())) {
        for mut record in records(home, &topic) {
            record.as_object_mut().unwrap().remove("offset");
            strip(&mut record["value"]);
            add(format!("topic {topic}"), record.to_string());
        }
    }
    let lake = home.join("lake");
    for file in visible(&lake.join("alerts"), ".jsonl.zst") {
        let text = zstd::decode_all(&*fs::read(&file).unwrap()).unwrap();
        for mut alert in json_lines(&String::from_utf8(text).unwrap()) {
            strip(&mut alert);
            add(format!("{} alerts in the lake", mode(&alert)), alert.to_string());
        }
    }
    for folder in ["aggregates", "shadow_aggregates"] {
        for file in visible(&lake.join(folder), ".jsonl") {
            for row in json_lines(&fs::read_to_string(&file).unwrap()) {
                add(folder.to_owned(), row.to_string());
            }
        }
    }
    let warehouse = SqliteWarehouse::open(&home.join("warehouse.db")).await.unwrap();
    let (alerts, _) = warehouse.alerts(&AlertFilter::default(), None, u32::MAX).await.unwrap();
    warehouse.close().await;
    for alert in alerts {
        let mut alert = serde_json::to_value(alert).unwrap();
        strip(&mut alert);
        add(format!("{} alerts in the warehouse", mode(&alert)), alert.to_string());
    }
    results.values_mut().for_each(|rows| rows.sort());
    results
}

/// Those rows that count, without what versions on trial said.
pub fn counting(results: &Results) -> Results {
    results
        .iter()
        .filter(|(place, _)| !place.contains("shadow"))
        .map(|(place, rows)| (place.clone(), rows.clone()))
        .collect()
}

/// Fails with the first differences of each place.
#[track_caller]
pub fn assert_same(found: &Results, expected: &Results, when: &str) {
    let places: BTreeSet<_> = found.keys().chain(expected.keys()).collect();
    let mut differences = String::new();
    for place in places {
        let (found, expected) = (rows(found, place), rows(expected, place));
        if found != expected {
            let (count, wanted) = (found.len(), expected.len());
            writeln!(differences, "{place}: {count} rows, expected {wanted}").unwrap();
            surplus(found, expected).for_each(|row| writeln!(differences, "  too much: {row}").unwrap());
            surplus(expected, found).for_each(|row| writeln!(differences, "  missing: {row}").unwrap());
        }
    }
    assert!(differences.is_empty(), "{when}:\n{differences}");
}

/// Fails when a place holds a row twice.
#[track_caller]
pub fn assert_each_once(results: &Results, when: &str) {
    for (place, rows) in results {
        let twice = rows.windows(2).find(|pair| pair[0] == pair[1]);
        assert!(twice.is_none(), "{when}: {place} holds twice: {}", twice.unwrap()[0]);
    }
}

fn rows<'a>(results: &'a Results, place: &str) -> &'a [String] {
    results.get(place).map_or(&[], Vec::as_slice)
}

/// Some rows that are in `rows` more often than in `others`.
fn surplus<'a>(rows: &'a [String], others: &'a [String]) -> impl Iterator<Item = &'a String> {
    let mut left: BTreeMap<&str, usize> = BTreeMap::new();
    others.iter().for_each(|row| *left.entry(row.as_str()).or_default() += 1);
    let is_surplus = move |row: &&String| match left.get_mut(row.as_str()) {
        Some(count) if *count > 0 => {
            *count -= 1;
            false
        }
        _ => true,
    };
    rows.iter().filter(is_surplus).take(SHOWN_MAX)
}

fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// Takes away what another run says otherwise.
pub fn strip(value: &mut Value) {
    if let Some(members) = value.as_object_mut() {
        INCIDENTAL.iter().for_each(|member| drop(members.remove(*member)));
    }
}

fn mode(alert: &Value) -> String {
    alert["mode"].as_str().unwrap().to_owned()
}

/// The files of a folder of the lake, without those that are staged.
fn visible(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut files = files(folder, ending);
    files.retain(|file| !file.strip_prefix(folder).unwrap().starts_with(".staged"));
    files
}

/// The folders in a folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_dir());
    entries.map(|entry| entry.file_name().into_string().unwrap()).collect()
}
