//! The demo, as a newcomer runs it: generated day, streams, nightly run, publication; twice.

use std::path::Path;

use clap::Parser;
use tamis::cli::Cli;
use tamis_connectors::warehouse::{AlertFilter, StoredAlert};
use tamis_connectors::{DeltaTables, SqliteWarehouse};
use tamis_model::rule::Severity;

const DATASETS: [&str; 7] = [
    "silver.crm",
    "silver.nginx",
    "gold.dim_client",
    "gold.dim_date",
    "gold.dim_pays",
    "gold.fact_evenement_web",
    "gold.kpi_web_jour",
];

/// Everything that the demo leaves for people.
#[derive(Debug, PartialEq)]
struct Left {
    alerts: Vec<StoredAlert>,
    rows: Vec<u64>,
    /// Record lines in the topics of alerts and dead letters.
    records: Vec<(String, usize)>,
}

fn tamis(home: &Path, arguments: &[&str]) -> String {
    let home = home.to_str().expect("a temporary folder is UTF-8");
    let code = tamis::run(Cli::parse_from([&["tamis", "--json", "--home", home], arguments].concat()));
    format!("{:?}", code.unwrap_or_else(|error| panic!("{}", error.chain())))
}

fn left(home: &Path) -> Left {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (alerts, rows) = runtime.block_on(async {
        let warehouse = SqliteWarehouse::open(&home.join("warehouse.db")).await.unwrap();
        let filter = AlertFilter { rule: None, severity_min: Severity::Info, limit: u32::MAX };
        let tables = DeltaTables::new(home.join("lake"));
        let mut rows = Vec::new();
        for dataset in DATASETS {
            rows.push(tables.row_count(dataset).await.unwrap());
        }
        (warehouse.alerts(&filter).await.unwrap(), rows)
    });
    let topics = ["alerts_fraud_payments", "alerts_advanced_fraud", "alerts_psp_payments", "dead_letters"];
    let lines = |topic: &str| {
        let segment = home.join("topics").join(topic).join("0/00000000000000000000.jsonl");
        std::fs::read_to_string(segment).unwrap().lines().count()
    };
    let records = topics.iter().map(|topic| ((*topic).to_owned(), lines(topic))).collect();
    Left { alerts, rows, records }
}

#[test]
fn a_second_run_with_the_same_seed_leaves_the_same_alerts_and_tables() {
    let folder = tempfile::tempdir().unwrap();
    let success = format!("{:?}", std::process::ExitCode::SUCCESS);
    assert_eq!(tamis(folder.path(), &["demo", "--once", "--seed", "7"]), success);
    let first = left(folder.path());
    for rule in ["payment-direct-fraud", "card-testing", "psp-error-rate"] {
        assert!(first.alerts.iter().any(|alert| alert.rule == rule), "no alert of {rule}");
    }
    let in_topics: usize = first.records.iter().filter(|(topic, _)| topic != "dead_letters").map(|(_, n)| n).sum();
    assert_eq!(in_topics, first.alerts.len(), "each alert stands once in its topic and once in the warehouse");
    assert!(first.rows.iter().all(|rows| *rows > 0), "{:?}", first.rows);

    assert_eq!(tamis(folder.path(), &["demo", "--once", "--seed", "7"]), success);
    assert_eq!(left(folder.path()), first);
    assert_eq!(tamis(folder.path(), &["runs"]), success);
}
