//! Rows of aggregates as files of JSON lines.

use std::fs;
use std::path::{Path, PathBuf};

use tamis_connectors::AggregateFiles;
use tamis_engine::conformance::{SinkHarness, sink_contract};
use tamis_engine::{Settle, Sink};
use tamis_model::Kind;
use tamis_model::aggregate::AggregateRow;
use tamis_model::time::Millis;

use super::{GATHERED, files, tick};

/// 2026-03-18T23:59:00Z and the minute behind it.
const MINUTES: [Millis; 2] = [1_773_878_340_000, 1_773_878_400_000];

fn row(name: &str, window: &str, window_start: Millis, shadow: bool, n: usize) -> AggregateRow {
    let json = format!("{{\"n\":{n},\"key\":\"é\"}}");
    AggregateRow { name: name.to_owned(), window: window.to_owned(), window_start, shadow, json }
}

fn sink(lake: &Path) -> AggregateFiles {
    AggregateFiles::open(lake, "streams", GATHERED).unwrap()
}

fn text(lake: &Path) -> String {
    files(lake).iter().map(|path| fs::read_to_string(lake.join(path)).unwrap()).collect()
}

fn numbers(lake: &Path) -> Vec<usize> {
    let rows = text(lake);
    rows.lines()
        .map(|row| serde_json::from_str::<serde_json::Value>(row).unwrap()["n"].as_u64().unwrap() as usize)
        .collect()
}

struct Aggregates(tempfile::TempDir);

impl SinkHarness<AggregateRow> for Aggregates {
    fn open(&mut self) -> Box<dyn Sink<AggregateRow>> {
        Box::new(sink(self.0.path()))
    }

    fn item(&self, n: usize) -> AggregateRow {
        row("volumes", ["1m", "5m"][n % 2], MINUTES[n / 2 % 2], n.is_multiple_of(3), n)
    }

    fn committed(&mut self) -> Vec<usize> {
        numbers(self.0.path())
    }
}

#[test]
fn aggregate_files_keep_the_contract() {
    sink_contract(|| Aggregates(tempfile::tempdir().unwrap()));
}

#[test]
fn rows_lie_by_name_window_and_date_and_those_of_trials_apart() {
    let lake = tempfile::tempdir().unwrap();
    let mut sink = sink(lake.path());
    let rows = [
        row("volumes", "1m", MINUTES[0], false, 0),
        row("volumes", "5m", MINUTES[0], false, 1),
        row("volumes", "1m", MINUTES[1], false, 2),
        row("volumes", "1m", MINUTES[0], true, 3),
        row("orders_by_country", "1m", -1, false, 4),
        row("volumes", "1m", MINUTES[0], false, 5),
    ];
    sink.write(&rows).unwrap();
    tick(&mut sink);
    assert!(files(lake.path()).is_empty(), "they are gathered");
    sink.settle(Settle::All).unwrap();
    let expected = [
        ("aggregates/orders_by_country/window=1m/event_date=1969-12-31/streams-00000000000000000000-0001.jsonl", "4"),
        ("aggregates/volumes/window=1m/event_date=2026-03-18/streams-00000000000000000000-0001.jsonl", "05"),
        ("aggregates/volumes/window=1m/event_date=2026-03-19/streams-00000000000000000000-0001.jsonl", "2"),
        ("aggregates/volumes/window=5m/event_date=2026-03-18/streams-00000000000000000000-0001.jsonl", "1"),
        ("shadow_aggregates/volumes/window=1m/event_date=2026-03-18/streams-00000000000000000000-0001.jsonl", "3"),
    ];
    assert_eq!(files(lake.path()), expected.iter().map(|(path, _)| PathBuf::from(path)).collect());
    for (path, numbers) in expected {
        let lines: String = numbers.chars().map(|n| format!("{{\"n\":{n},\"key\":\"é\"}}\n")).collect();
        assert_eq!(fs::read_to_string(lake.path().join(path)).unwrap(), lines, "{path}");
    }
}

#[test]
fn names_that_are_no_folders_are_refused() {
    let lake = tempfile::tempdir().unwrap();
    let mut sink = sink(lake.path());
    for (name, window) in
        [("../volumes", "1m"), ("a/b", "1m"), ("", "1m"), (".staged", "1m"), ("volumes", "1/m"), ("volumes", "")]
    {
        let error = sink.write(&[row(name, window, MINUTES[0], false, 0)]).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid, "{name} {window}");
    }
    assert!(AggregateFiles::open(lake.path(), "../streams", GATHERED).is_err());
    tick(&mut sink);
    sink.settle(Settle::All).unwrap();
    assert!(files(lake.path()).is_empty());
}
