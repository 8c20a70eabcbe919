//! Silver: versions, duplicates, broken files, accounting.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use tamis_catalog::run_details::RunFile;
use tamis_catalog::runs::RunState;
use tamis_jobs::plans::Plans;

use crate::fakes;
use crate::home::Home;

const HEADER: &str = "client_id,age,pays,statut,date_modification\n";

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn counts(file: &RunFile) -> (&str, [u64; 5]) {
    let c = file.counts;
    (&file.original_path, [c.rows_in, c.rows_out, c.duplicates, c.filtered, c.rejected])
}

async fn home(keep: Value) -> Home {
    Home::new(Plans { transforms: vec![fakes::crm(keep)], checks: fakes::checks(), ..Plans::default() }).await
}

const ROWS: &str = "SELECT client_id, age, pays FROM silver.crm ORDER BY client_id";

#[tokio::test(flavor = "multi_thread")]
async fn the_latest_row_of_a_key_stays_and_the_loser_s_file_is_charged() {
    let home = home(json!({"which": "latest", "by": "date_modification"})).await;
    // In file order: a.csv, b/c.csv.gz. c1: b is later. c2: equal dates, the last stays. c3: null is oldest. c4: within one file.
    home.write("crm/a.csv", format!("{HEADER}c1,1,FR,,2026-01-01\nc2,2,FR,,2026-01-05\nc3,3,,,2026-01-01\n"), 100);
    let second = "c1,11,DE,,2026-01-02\nc2,22,DE,,2026-01-05\nc3,33,DE,,\nc4,4,BE,,\nc4,44,BE,,\n,5,FR,,\nc5,x,FR,,\nc6,6,FR,bot,\n";
    home.write("crm/b/c.csv.gz", gzip(&format!("{HEADER}{second}")), 100);
    let report = home.night().await.unwrap();
    let crm = &report.sources[0];
    assert_eq!(
        crm.files.iter().map(counts).collect::<Vec<_>>(),
        [("a.csv", [3, 1, 2, 0, 0]), ("b/c.csv.gz", [8, 4, 2, 1, 1])]
    );
    assert_eq!(crm.nullified.iter().map(|(c, n)| (c.as_str(), *n)).collect::<Vec<_>>(), [("age", 1)]);
    let expected = "\
+-----------+-----+------+
| client_id | age | pays |
+-----------+-----+------+
| c1        | 11  | DE   |
| c2        | 22  | DE   |
| c3        | 3   |      |
| c4        | 44  | BE   |
| c5        |     | FR   |
+-----------+-----+------+";
    assert_eq!(home.query("silver.crm", ROWS).await, expected);
    assert!(home.folder.path().join("lake/silver/crm/pays=__HIVE_DEFAULT_PARTITION__").is_dir());

    let again = home.night().await.unwrap();
    assert_eq!(again.sources, report.sources);
    assert_eq!(home.query("silver.crm", ROWS).await, expected);
    assert_eq!(home.context.catalog.run_files(&again.run_id).await.unwrap(), report.sources[0].files);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_row_of_a_key_stays_when_the_plugin_says_so() {
    let home = home(json!({"which": "first"})).await;
    home.write("crm/b.csv", format!("{HEADER}c1,2,FR,,\nc2,3,FR,,\n"), 100);
    home.write("crm/a.csv", format!("{HEADER}c1,1,FR,,\nc1,9,FR,,\n"), 50);
    let report = home.night().await.unwrap();
    let files: Vec<_> = report.sources[0].files.iter().map(counts).collect();
    assert_eq!(files, [("a.csv", [2, 1, 1, 0, 0]), ("b.csv", [2, 1, 1, 0, 0])]);
    let ages = home.query("silver.crm", "SELECT age FROM silver.crm ORDER BY client_id").await;
    assert_eq!(ages, "+-----+\n| age |\n+-----+\n| 1   |\n| 3   |\n+-----+");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changes_late_counts_in_its_new_version_alone() {
    let home = home(json!({"which": "first"})).await;
    home.write("crm/a.csv", format!("{HEADER}c1,1,FR,,\nc2,2,FR,,\n"), 100);
    home.night().await.unwrap();
    home.write("crm/a.csv", format!("{HEADER}c1,7,FR,,\n"), 50);
    let report = home.night().await.unwrap();
    assert_eq!(report.sources[0].files.iter().map(counts).collect::<Vec<_>>(), [("a.csv", [1, 1, 0, 0, 0])]);
    let ages = home.query("silver.crm", "SELECT age FROM silver.crm").await;
    assert_eq!(ages, "+-----+\n| age |\n+-----+\n| 7   |\n+-----+");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_gzip_is_set_aside_whole_and_the_others_go_on() {
    let home = home(json!({"which": "first"})).await;
    let mut broken = gzip(&format!("{HEADER}{}", "c1,1,FR,,\n".repeat(10_000)));
    broken.truncate(broken.len() - 4);
    home.write("crm/a.csv.gz", broken, 100);
    home.write("crm/b.csv", format!("{HEADER}c2,2,FR,,\n,3,FR,,\n"), 100);
    let report = home.night().await.unwrap();
    assert_eq!(report.state, RunState::Partial);
    let crm = &report.sources[0];
    assert_eq!(crm.files.iter().map(counts).collect::<Vec<_>>(), [("a.csv.gz", [0; 5]), ("b.csv", [2, 1, 0, 0, 1])]);
    assert_eq!(crm.quarantined().map(|(file, _)| file.original_path.as_str()).collect::<Vec<_>>(), ["a.csv.gz"]);
    let kinds: Vec<_> = report.alerts.iter().map(|alert| (alert.kind.as_str(), alert.subject.as_str())).collect();
    assert_eq!(kinds, [("file_quarantined", "crm/a.csv.gz"), ("rejected_share", "crm/b.csv")]);

    let part = home.folder.path().join(format!("lake/quarantine/crm/run={}/part-0.jsonl.zst", report.run_id));
    let lines = unpacked(&part);
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let named: Vec<_> = lines.iter().map(|line| (line["file"].as_str().unwrap(), line["row"].as_i64())).collect();
    assert_eq!(named, [("a.csv.gz", None), ("b.csv", Some(2))]);
    assert_eq!(lines[1]["raw"], ",3,FR,,");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_rows_than_memory_are_deduplicated_on_disk() {
    const CLIENTS: u64 = 15_000;
    const VERSIONS: u64 = 20;
    let mut home = home(json!({"which": "latest", "by": "date_modification"})).await;
    home.context.memory_bytes_max = 40 << 20;
    let mut csv = "client_id,age,ville,pays,date_modification\n".to_owned();
    for row in 0..VERSIONS * CLIENTS {
        let (client, version) = (row % CLIENTS, row / CLIENTS);
        let digest = format!("{:032x}", client.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        csv.push_str(&format!(
            "{digest},{version},{digest}{digest}{digest}{digest},FR,2026-01-{:02}\n",
            VERSIONS - version
        ));
    }
    home.write("crm/a.csv", csv, 100);
    let report = home.night().await.unwrap();
    let files: Vec<_> = report.sources[0].files.iter().map(counts).collect();
    assert_eq!(files, [("a.csv", [VERSIONS * CLIENTS, CLIENTS, (VERSIONS - 1) * CLIENTS, 0, 0])]);
    let ages = home.query("silver.crm", "SELECT DISTINCT age FROM silver.crm").await;
    assert_eq!(ages, "+-----+\n| age |\n+-----+\n| 0   |\n+-----+");
}

fn unpacked(path: &std::path::Path) -> String {
    let bytes = std::fs::read(path).unwrap();
    String::from_utf8(zstd::decode_all(&bytes[..]).unwrap()).unwrap()
}
