//! Silver of a topic: which record of a key stays, and what runs that died leave.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch};
use serde_json::json;
use tamis_connectors::lake::{ArchiveSettings, ArchiveWriter};
use tamis_engine::Chunk;
use tamis_jobs::nightly::silver_of_topics;
use tamis_jobs::plans::{Plans, TransformPlan};
use tamis_jobs::silver::SilverReport;
use tamis_model::Result;
use tamis_model::dead_letter::PluginRef;
use tamis_model::manifest::Manifest;
use tamis_model::position::Partition;
use tamis_model::transform::{Transform, Transformed};

use crate::fakes;
use crate::home::{Home, date};

const NOON: i64 = 1_773_835_200_000;
const ROWS: &str = "SELECT payment_id, n FROM silver.payments ORDER BY payment_id";

/// Keeps `payment_id` and `n` as they are; rejects what has no key.
struct Keys;

impl Transform for Keys {
    fn configure(&mut self, _: &str) -> Result<()> {
        Ok(())
    }

    fn apply(&mut self, rows: usize, columns: &[ArrayRef]) -> Result<Transformed> {
        let texts: Vec<_> = columns.iter().map(|column| column.as_string::<i32>()).collect();
        let (kept, rejected): (Vec<u32>, Vec<u32>) = (0..rows as u32).partition(|row| texts[0].is_valid(*row as usize));
        let column = |column: usize| {
            let cells = kept
                .iter()
                .map(|row| texts[column].is_valid(*row as usize).then(|| texts[column].value(*row as usize)));
            Arc::new(cells.collect::<arrow_array::StringArray>()) as ArrayRef
        };
        let rows = RecordBatch::try_from_iter([("payment_id", column(0)), ("n", column(1))]).unwrap();
        let rejected = rejected.into_iter().map(|row| (row, "no payment_id".to_owned())).collect();
        Ok(Transformed { rows, kept, rejected, filtered: vec![], nullified: vec![0; 2], poisoned: vec![] })
    }
}

fn payments() -> TransformPlan {
    let columns = json!([{"name": "payment_id", "type": "text"}, {"name": "n", "type": "text"}]);
    let manifest: Manifest = serde_json::from_value(json!({
        "name": "silver/payments", "version": "1.0.0", "title": "a fake", "world": "transform",
        "inputs": [{"source": "payments", "format": "records", "columns": columns}],
        "output": {"dataset": "silver.payments", "columns": columns, "key": ["payment_id"], "partition_by": ["n"]},
    }))
    .unwrap();
    let plugin = PluginRef { name: manifest.name.clone(), version: "1.0.0".to_owned(), sha256: "00".to_owned() };
    TransformPlan::new(&manifest, plugin, Arc::new(|_| Ok(Box::new(Keys)))).unwrap()
}

async fn home() -> Home {
    Home::new(Plans { transforms: vec![payments()], checks: fakes::checks(), ..Plans::default() }).await
}

/// Archives records of a partition as one object: time behind noon, and value.
fn archive(home: &Home, number: u32, records: &[(i64, &str)]) {
    let settings = ArchiveSettings { object_bytes_max: 1 << 20, interval_ms: 1_000 };
    let mut writer = ArchiveWriter::open(home.context.lake.join("bronze"), settings).unwrap();
    let partition = Partition { topic: "payments".to_owned(), number };
    let first = writer.resume(&partition, 0).unwrap();
    let mut chunk = Chunk::default();
    chunk.fill(|bytes| {
        for (offset, (time, value)) in (first..).zip(records) {
            let line =
                format!("{{\"offset\":{offset},\"timestamp\":{},\"key\":null,\"value\":{value}}}\n", NOON + time);
            bytes.extend_from_slice(line.as_bytes());
        }
    });
    writer.write(&partition, &chunk, NOON, &mut |_, _, _| Ok(())).unwrap();
    writer.close_all(&mut |_, _, _| Ok(())).unwrap();
}

async fn run(home: &Home) -> Option<SilverReport> {
    silver_of_topics(&home.context, &[], date("2026-03-20"), Arc::new(|_| {})).await.unwrap().pop()
}

/// Rows in, out, duplicates, rejected, of all files together.
fn counts(report: &SilverReport) -> [u64; 4] {
    let counts = report.counts();
    [counts.rows_in, counts.rows_out, counts.duplicates, counts.rejected]
}

async fn rows(home: &Home) -> Vec<String> {
    let table = home.query("silver.payments", ROWS).await;
    table.lines().skip(3).filter(|line| line.starts_with('|')).map(|line| line.replace([' ', '|'], "")).collect()
}

fn payment(id: &str, n: &str) -> String {
    format!(r#"{{"payment_id":"{id}","n":"{n}"}}"#)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_in_arrival_order_wins_whenever_it_comes() {
    let home = home().await;
    assert_eq!(run(&home).await, None);
    // p1 twice in a partition: the lower offset counts, whatever its time. p2 in both: the lower time.
    archive(
        &home,
        0,
        &[(10, &payment("p1", "1")), (5, &payment("p1", "2")), (20, &payment("p2", "3")), (0, "[]"), (0, "{}")],
    );
    archive(&home, 1, &[(15, &payment("p2", "4")), (30, &payment("p3", "5"))]);
    let first = run(&home).await.unwrap();
    assert_eq!(counts(&first), [7, 3, 2, 2]);
    assert_eq!(rows(&home).await, ["p11", "p24", "p35"]);
    assert_eq!(run(&home).await, None);
    // Later: a lower time in another partition wins (p1, p3), one in a partition that has had the key does not (p2).
    archive(&home, 1, &[(9, &payment("p1", "6")), (1, &payment("p2", "7"))]);
    archive(&home, 2, &[(29, &payment("p3", "8")), (40, &payment("p4", "9"))]);
    let second = run(&home).await.unwrap();
    assert_eq!(counts(&second), [4, 1, 3, 0]);
    assert_eq!(rows(&home).await, ["p16", "p24", "p38", "p49"]);
    // What beat another one is beaten by an earlier one still, and equal times go to the lower partition.
    archive(&home, 3, &[(9, &payment("p1", "10")), (28, &payment("p3", "11"))]);
    assert_eq!(counts(&run(&home).await.unwrap()), [2, 0, 2, 0]);
    assert_eq!(rows(&home).await, ["p16", "p24", "p311", "p49"]);
    let paths: Vec<_> = second.files.iter().map(|file| file.original_path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "payments/event_date=2026-03-18/payments+1+00000000000000000002.jsonl.zst",
            "payments/event_date=2026-03-18/payments+2+00000000000000000000.jsonl.zst",
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_without_a_row_are_taken_once_too() {
    let home = home().await;
    archive(&home, 0, &[(0, "{}")]);
    assert_eq!(counts(&run(&home).await.unwrap()), [1, 0, 0, 1]);
    assert_eq!(run(&home).await, None);
    archive(&home, 0, &[(0, &payment("p1", "1"))]);
    assert_eq!(counts(&run(&home).await.unwrap()), [1, 1, 0, 0]);
    archive(&home, 0, &[(0, &payment("p1", "2"))]);
    assert_eq!(counts(&run(&home).await.unwrap()), [1, 0, 1, 0]);
    assert_eq!((run(&home).await, rows(&home).await), (None, vec!["p11".to_owned()]));
}

/// A run makes three commits at most: coordinates, rows that are beaten, rows that are new. It dies behind each of them, and the next one
/// finds more objects than it did.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_died_between_two_commits_is_done_again() {
    for died_behind in ["nothing", "coordinates", "rows beaten", "everything"] {
        for more in [false, true] {
            let home = home().await;
            let silver = home.context.lake.join("silver");
            archive(&home, 0, &[(10, &payment("p1", "1")), (10, &payment("p2", "2"))]);
            run(&home).await.unwrap();
            let before = home.folder.path().join("before");
            copy(&silver, &before);
            archive(&home, 1, &[(5, &payment("p1", "3")), (15, &payment("p2", "4")), (1, &payment("p3", "5"))]);
            run(&home).await.unwrap();
            if died_behind != "everything" {
                replace(&silver.join("payments"), &before.join("payments"));
            }
            if died_behind == "nothing" {
                replace(&silver.join("payments_arrivals"), &before.join("payments_arrivals"));
            }
            if died_behind == "rows beaten" {
                home.context.tables.remove("silver.payments", "payment_id", &["p1".to_owned()]).await.unwrap();
            }
            if more {
                archive(&home, 1, &[(7, &payment("p1", "6")), (1, &payment("p4", "7"))]);
                archive(&home, 2, &[(0, &payment("p2", "8"))]);
            }
            let ran = run(&home).await;
            assert_eq!(ran.is_some(), more || died_behind != "everything");
            let expected: &[&str] = if more { &["p13", "p28", "p35", "p47"] } else { &["p13", "p22", "p35"] };
            assert_eq!(rows(&home).await, expected, "died behind {died_behind}, more objects: {more}");
            assert_eq!(run(&home).await, None);
        }
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(|entry| entry.unwrap()) {
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to.join(entry.file_name())),
            false => drop(fs::copy(entry.path(), to.join(entry.file_name())).unwrap()),
        }
    }
}

fn replace(there: &Path, by: &Path) {
    fs::remove_dir_all(there).unwrap();
    copy(by, there);
}
