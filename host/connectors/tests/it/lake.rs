//! Alerts, aggregates and quarantine as files of JSON lines.

mod aggregates;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tamis_connectors::{AlertFiles, QuarantineFiles};
use tamis_engine::Sink;
use tamis_engine::conformance::{SinkHarness, sink_contract};
use tamis_engine::transform::QuarantinedRow;
use tamis_model::alert::Alert;
use tamis_model::pseudonym::{Form, Pepper};

use crate::alert;

/// The visible files below a folder, by their path in it.
fn files(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).into_iter().flatten() {
            let entry = entry.unwrap();
            if entry.file_name().to_str().unwrap().starts_with('.') {
                continue;
            }
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else {
                found.insert(entry.path().strip_prefix(folder).unwrap().to_owned());
            }
        }
    }
    found
}

fn lines(path: &Path) -> Vec<Value> {
    let text = zstd::decode_all(fs::File::open(path).unwrap()).unwrap();
    String::from_utf8(text).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn all_lines(folder: &Path) -> Vec<Value> {
    files(folder).iter().flat_map(|path| lines(&folder.join(path))).collect()
}

fn alert_files(folder: &Path) -> AlertFiles {
    AlertFiles::open(folder, "streams", Pepper::new(b"pepper")).unwrap()
}

struct Alerts(tempfile::TempDir);

impl SinkHarness<Alert> for Alerts {
    fn open(&mut self) -> Box<dyn Sink<Alert>> {
        Box::new(alert_files(self.0.path()))
    }

    fn item(&self, n: usize) -> Alert {
        alert(
            ["card-testing", "fraud-bin"][n % 2],
            n,
            ["2026-03-18T14:00:00.000Z", "2026-03-19T00:00:00.000Z"][n / 2 % 2],
        )
    }

    fn committed(&mut self) -> Vec<usize> {
        let number = |alert: &Value| alert["alert_id"].as_str().unwrap().rsplit('-').next().unwrap().parse().unwrap();
        all_lines(self.0.path()).iter().map(number).collect()
    }
}

#[test]
fn alert_files_keep_the_contract() {
    sink_contract(|| Alerts(tempfile::tempdir().unwrap()));
}

#[test]
fn alerts_lie_by_rule_and_date_without_personal_values() {
    let folder = tempfile::tempdir().unwrap();
    let mut sink = alert_files(folder.path());
    let (first, second) = ("2026-03-18T23:59:59.999Z", "2026-03-19T00:00:00.000Z");
    sink.write(&[alert("card-testing", 0, first), alert("card-testing", 1, second), alert("fraud-bin", 2, first)])
        .unwrap();
    assert!(files(folder.path()).is_empty());
    let staged = sink.stage().unwrap();
    assert!(files(folder.path()).is_empty());
    sink.commit(&staged).unwrap();
    let expected = [
        "card-testing/event_date=2026-03-18/streams-00000000000000000000-0001.jsonl.zst",
        "card-testing/event_date=2026-03-19/streams-00000000000000000000-0002.jsonl.zst",
        "fraud-bin/event_date=2026-03-18/streams-00000000000000000000-0003.jsonl.zst",
    ];
    assert_eq!(files(folder.path()), expected.map(PathBuf::from).into());
    let stored = &lines(&folder.path().join(expected[0]))[0];
    let pseudo = |value: &str| Pepper::new(b"pepper").pseudo(value, Form::Short);
    assert_eq!(stored["customer_id"], pseudo("c1"));
    assert_eq!(stored["key"], pseudo("device-0"));
    assert_eq!(stored["context"], json!({"count": 4, "ip": pseudo("10.0.0.1")}));
    assert_eq!(stored["payment_id"], "p0");
}

/// More partitions than files may be open at a time: every alert arrives all the same.
#[test]
fn a_year_of_alerts_in_one_stage() {
    let folder = tempfile::tempdir().unwrap();
    let mut sink = alert_files(folder.path());
    let dates: Vec<String> =
        (0..100).map(|day| format!("2026-{:02}-{:02}T00:00:00.000Z", day / 28 + 1, day % 28 + 1)).collect();
    for round in 0..2 {
        let alerts = dates.iter().enumerate().map(|(n, date)| alert("fraud-bin", round * 100 + n, date));
        sink.write(&alerts.collect::<Vec<_>>()).unwrap();
    }
    let staged = sink.stage().unwrap();
    sink.commit(&staged).unwrap();
    let ids: BTreeSet<String> = all_lines(folder.path()).iter().map(|alert| alert["alert_id"].to_string()).collect();
    assert_eq!(ids.len(), 200);
    assert_eq!(all_lines(folder.path()).len(), 200);
    assert_eq!(fs::read_dir(folder.path().join("fraud-bin")).unwrap().count(), 100);
}

/// Without a checkpoint nothing that is there is overwritten.
#[test]
fn a_pipeline_that_starts_over_uses_new_names() {
    let folder = tempfile::tempdir().unwrap();
    for n in 0..2 {
        let mut sink = alert_files(folder.path());
        let nothing = sink.stage().unwrap();
        sink.commit(&nothing).unwrap();
        sink.write(&[alert("fraud-bin", n, "2026-03-18T14:00:00.000Z")]).unwrap();
        let staged = sink.stage().unwrap();
        sink.commit(&staged).unwrap();
    }
    assert_eq!(all_lines(folder.path()).len(), 2);
}

#[test]
fn rules_do_not_leave_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let mut sink = alert_files(folder.path());
    assert!(sink.write(&[alert("../fraud-bin", 0, "2026-03-18T14:00:00.000Z")]).is_err());
    assert!(sink.write(&[alert("fraud-bin", 0, "yesterday")]).is_err());
}

fn row(row: i64, raw: &[u8]) -> QuarantinedRow {
    let (reason, message) = ("surplus_cells".to_owned(), "27 cells for 26 columns".to_owned());
    QuarantinedRow { file: 1, row, reason, message, raw: raw.to_vec() }
}

fn quarantine(folder: &Path, run: &str) -> QuarantineFiles {
    let files = vec!["a.csv".to_owned(), "b.csv".to_owned()];
    QuarantineFiles::open(folder, "crm", run, files).unwrap()
}

struct Quarantine(tempfile::TempDir);

impl SinkHarness<QuarantinedRow> for Quarantine {
    fn open(&mut self) -> Box<dyn Sink<QuarantinedRow>> {
        Box::new(quarantine(self.0.path(), "run-1"))
    }

    fn item(&self, n: usize) -> QuarantinedRow {
        row(n as i64, b"x")
    }

    fn committed(&mut self) -> Vec<usize> {
        all_lines(self.0.path()).iter().map(|line| line["row"].as_u64().unwrap() as usize).collect()
    }
}

#[test]
fn quarantine_keeps_the_contract() {
    sink_contract(|| Quarantine(tempfile::tempdir().unwrap()));
}

#[test]
fn quarantined_rows_say_where_they_came_from() {
    let folder = tempfile::tempdir().unwrap();
    let mut sink = quarantine(folder.path(), "run-1");
    sink.write(&[row(7, "é".as_bytes()), row(8, b"\xff")]).unwrap();
    sink.write_file("c.csv.gz", "broken_gzip", "unexpected end").unwrap();
    let staged = sink.stage().unwrap();
    sink.commit(&staged).unwrap();
    let (reason, message) = ("surplus_cells", "27 cells for 26 columns");
    assert_eq!(
        lines(&folder.path().join("crm/run=run-1/part-0.jsonl.zst")),
        [
            json!({"file": "b.csv", "row": 7, "reason": reason, "message": message, "raw": "é"}),
            json!({"file": "b.csv", "row": 8, "reason": reason, "message": message, "raw_base64": "/w=="}),
            json!({"file": "c.csv.gz", "row": null, "reason": "broken_gzip", "message": "unexpected end"}),
        ]
    );
}

/// Raw rows of a run that died do not stay longer than to the next run of the source, and a commit leaves no folder.
#[test]
fn staged_rows_do_not_outlive_their_run() {
    let folder = tempfile::tempdir().unwrap();
    let staging = folder.path().join(".staged/crm");
    let mut dead = quarantine(folder.path(), "run-1");
    dead.write(&[row(1, b"x")]).unwrap();
    dead.stage().unwrap();
    drop(dead);
    assert_eq!(files(&staging).len(), 1);
    let mut sink = quarantine(folder.path(), "run-2");
    assert!(files(&staging).is_empty());
    sink.write(&[row(2, b"x")]).unwrap();
    let staged = sink.stage().unwrap();
    sink.commit(&staged).unwrap();
    assert!(!staging.exists());
    assert_eq!(files(folder.path()), [PathBuf::from("crm/run=run-2/part-0.jsonl.zst")].into());
}

/// The process died after the file was moved and before the folder was synced.
#[test]
fn a_commit_that_was_half_done_is_completed() {
    let folder = tempfile::tempdir().unwrap();
    let mut sink = alert_files(folder.path());
    let alerts = ["card-testing", "fraud-bin"].map(|rule| alert(rule, 0, "2026-03-18T14:00:00.000Z"));
    sink.write(&alerts).unwrap();
    let staged = sink.stage().unwrap();
    drop(sink);
    let (name, path) = staged["files"].as_object().unwrap().iter().next().unwrap();
    let moved = folder.path().join(path.as_str().unwrap());
    fs::create_dir_all(moved.parent().unwrap()).unwrap();
    fs::rename(folder.path().join(".staged/streams").join(name), &moved).unwrap();
    alert_files(folder.path()).commit(&staged).unwrap();
    assert_eq!(all_lines(folder.path()).len(), 2);
}

#[test]
fn a_run_begun_anew_replaces_its_quarantine_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    for (run, rows) in [("run-1", 1..4), ("run-2", 4..6), ("run-1", 1..1)] {
        let mut sink = quarantine(folder.path(), run);
        sink.write(&rows.map(|n| row(n, b"x")).collect::<Vec<_>>()).unwrap();
        let staged = sink.stage().unwrap();
        sink.commit(&staged).unwrap();
    }
    assert_eq!(files(folder.path()), [PathBuf::from("crm/run=run-2/part-0.jsonl.zst")].into());
}
