//! Alerts, aggregates and quarantine as files of JSON lines.

mod aggregates;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tamis_connectors::{AlertFiles, QuarantineFiles};
use tamis_engine::conformance::{SinkHarness, sink_contract};
use tamis_engine::transform::QuarantinedRow;
use tamis_engine::{Settle, Sink};
use tamis_model::Kind;
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

/// Long enough that nothing settles by itself.
const GATHERED: Duration = Duration::from_secs(3600);

fn alert_files(folder: &Path) -> AlertFiles {
    AlertFiles::open(folder, "streams", Pepper::new(b"pepper"), GATHERED).unwrap()
}

/// A checkpoint. What was staged.
fn tick<T>(sink: &mut dyn Sink<T>) -> Value {
    let staged = sink.stage().unwrap();
    sink.commit(&staged).unwrap();
    staged
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
    tick(&mut sink);
    sink.settle(Settle::Due).unwrap();
    assert!(files(folder.path()).is_empty(), "they are gathered");
    sink.settle(Settle::All).unwrap();
    let expected = [
        "card-testing/event_date=2026-03-18/streams-00000000000000000000-0001.jsonl.zst",
        "card-testing/event_date=2026-03-19/streams-00000000000000000000-0001.jsonl.zst",
        "fraud-bin/event_date=2026-03-18/streams-00000000000000000000-0001.jsonl.zst",
    ];
    assert_eq!(files(folder.path()), expected.map(PathBuf::from).into());
    let stored = &lines(&folder.path().join(expected[0]))[0];
    let pseudo = |value: &str| Pepper::new(b"pepper").pseudo(value, Form::Short);
    assert_eq!(stored["customer_id"], pseudo("c1"));
    assert_eq!(stored["key"], pseudo("device-0"));
    assert_eq!(stored["context"], json!({"count": 4, "ip": pseudo("10.0.0.1")}));
    assert_eq!(stored["payment_id"], "p0");
}

/// Many folders, and several checkpoints between: every alert arrives, and each folder has one file.
#[test]
fn a_year_of_alerts_settles_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut sink = alert_files(folder.path());
    let dates: Vec<String> =
        (0..100).map(|day| format!("2026-{:02}-{:02}T00:00:00.000Z", day / 28 + 1, day % 28 + 1)).collect();
    for round in 0..2 {
        let alerts = dates.iter().enumerate().map(|(n, date)| alert("fraud-bin", round * 100 + n, date));
        sink.write(&alerts.collect::<Vec<_>>()).unwrap();
        tick(&mut sink);
    }
    sink.settle(Settle::All).unwrap();
    let ids: BTreeSet<String> = all_lines(folder.path()).iter().map(|alert| alert["alert_id"].to_string()).collect();
    assert_eq!(ids.len(), 200);
    assert_eq!(all_lines(folder.path()).len(), 200);
    assert_eq!(files(folder.path()).len(), 100);
    assert_eq!(fs::read_dir(folder.path().join("fraud-bin")).unwrap().count(), 100);
}

#[test]
fn what_has_waited_settles() {
    let folder = tempfile::tempdir().unwrap();
    let mut sink = AlertFiles::open(folder.path(), "streams", Pepper::new(b"pepper"), Duration::ZERO).unwrap();
    for n in 0..3 {
        sink.write(&[alert("fraud-bin", n, "2026-03-18T14:00:00.000Z")]).unwrap();
        tick(&mut sink);
        sink.settle(Settle::Due).unwrap();
        assert_eq!(files(folder.path()).len(), n + 1);
    }
}

/// Without a checkpoint nothing that is there is overwritten, and nothing that is staged is taken for dealt out.
#[test]
fn a_pipeline_that_starts_over_uses_new_names() {
    let folder = tempfile::tempdir().unwrap();
    for n in 0..3 {
        if n == 2 {
            fs::remove_dir_all(folder.path().join("fraud-bin")).unwrap();
        }
        let mut sink = alert_files(folder.path());
        tick(&mut sink);
        sink.write(&[alert("fraud-bin", n, "2026-03-18T14:00:00.000Z")]).unwrap();
        let staged = tick(&mut sink);
        sink.settle(Settle::All).unwrap();
        drop(sink);
        alert_files(folder.path()).commit(&staged).unwrap();
        assert_eq!(all_lines(folder.path()).len(), [1, 2, 1][n], "the first two were removed by hand");
    }
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

/// The process died when it had moved some of the files: whichever they were, each alert is there once, and those that come later too.
#[test]
fn dealing_that_was_half_done_is_completed() {
    let rules = ["card-testing", "fraud-bin", "geo-mismatch"];
    for moved in 0..=rules.len() {
        let folder = tempfile::tempdir().unwrap();
        let alerts = |n| rules.map(|rule| alert(rule, n, "2026-03-18T14:00:00.000Z"));
        let mut sink = alert_files(folder.path());
        sink.write(&alerts(0)).unwrap();
        let staged = tick(&mut sink);
        let log = folder.path().join(".staged/streams/00000000000000000000.lines");
        let gathered = fs::read(&log).unwrap();
        sink.settle(Settle::All).unwrap();
        drop(sink);
        // Back to how it was before the log was seen to its end.
        fs::write(&log, gathered).unwrap();
        fs::remove_file(log.with_extension("dealt")).unwrap();
        for rule in &rules[moved..] {
            fs::remove_dir_all(folder.path().join(rule)).unwrap();
        }
        let mut sink = alert_files(folder.path());
        sink.commit(&staged).unwrap();
        sink.write(&alerts(1)).unwrap();
        tick(&mut sink);
        sink.settle(Settle::All).unwrap();
        let ids: BTreeSet<String> =
            all_lines(folder.path()).iter().map(|alert| alert["alert_id"].to_string()).collect();
        assert_eq!((ids.len(), all_lines(folder.path()).len()), (6, 6), "{moved} moved");
        assert_eq!(files(folder.path()).len(), 3, "{moved} moved");
    }
}

#[test]
fn lines_that_were_staged_and_are_gone_are_missed() {
    let folder = tempfile::tempdir().unwrap();
    let mut sink = alert_files(folder.path());
    sink.write(&[alert("fraud-bin", 0, "2026-03-18T14:00:00.000Z")]).unwrap();
    let staged = tick(&mut sink);
    drop(sink);
    let log = folder.path().join(".staged/streams/00000000000000000000.lines");
    let bytes = fs::read(&log).unwrap();
    fs::write(&log, &bytes[1..]).unwrap();
    let error = alert_files(folder.path()).commit(&staged).unwrap_err();
    assert_eq!(error.kind(), Kind::Corrupt);
    assert!(error.chain().contains(".lines"), "{}", error.chain());
    fs::remove_file(&log).unwrap();
    assert!(alert_files(folder.path()).commit(&staged).is_err());
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
