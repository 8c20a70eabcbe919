//! The demo, as a newcomer runs it: generated day, streams, nightly run, publication; twice.

use std::path::Path;

use clap::Parser;
use tamis::cli::Cli;
use tamis_catalog::{Catalog, PageQuery};
use tamis_connectors::warehouse::{AlertFilter, StoredAlert};
use tamis_connectors::{DeltaTables, SqliteWarehouse};

use crate::oracle::RULES;

const DATASETS: [&str; 7] = [
    "silver.crm",
    "silver.nginx",
    "gold.dim_client",
    "gold.dim_date",
    "gold.dim_pays",
    "gold.fact_evenement_web",
    "gold.kpi_web_jour",
];

const ALERT_TOPICS: [&str; 6] = [
    "alerts_fraud_payments",
    "alerts_advanced_fraud",
    "alerts_psp_payments",
    "alerts_fraud_crossed",
    "alerts_orders",
    "alerts_kyc",
];

/// The rules that are replayed: one of each shape, over each topic.
const REPLAYED: [&str; 7] = [
    "payment-direct-fraud",
    "card-testing",
    "card-wallet",
    "psp-error-rate",
    "amount-mismatch",
    "cross-velocity",
    "kyc-minor-rate",
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
        let tables = DeltaTables::new(home.join("lake"));
        let mut rows = Vec::new();
        for dataset in DATASETS {
            rows.push(tables.row_count(dataset).await.unwrap());
        }
        let (alerts, _) = warehouse.alerts(&AlertFilter::default(), None, u32::MAX).await.unwrap();
        (alerts, rows)
    });
    let topics = ALERT_TOPICS.iter().chain(&["dead_letters"]);
    let records = topics.map(|topic| ((*topic).to_owned(), lines(home, topic).lines().count())).collect();
    Left { alerts, rows, records }
}

/// The record lines of a topic.
fn lines(home: &Path, topic: &str) -> String {
    std::fs::read_to_string(home.join("topics").join(topic).join("0/00000000000000000000.jsonl")).unwrap()
}

fn assert_alerts_fit_their_schema(home: &Path) {
    let schema = serde_json::from_str(include_str!("../../../schemas/alert.schema.json")).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    for topic in ALERT_TOPICS {
        for line in lines(home, topic).lines() {
            let record: serde_json::Value = serde_json::from_str(line).unwrap();
            let misfit = schema.iter_errors(&record["value"]).next();
            assert!(misfit.is_none(), "{}: {line}", misfit.unwrap());
        }
    }
}

/// How many alerts a backtest over the day of the demo counts, in the order of the rules.
fn replayed(home: &Path, rules: &[&str]) -> Vec<(String, u64)> {
    std::fs::write(home.join("pepper"), "any").unwrap();
    std::fs::write(home.join("tamis.toml"), "pepper_file = \"pepper\"").unwrap();
    for rule in rules {
        tamis(home, &["backtest", "--rule", rule, "--from", "2026-03-19", "--to", "2026-03-20"]);
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut backtests = runtime.block_on(async {
        let catalog = Catalog::open(&home.join("tamis.db")).await.unwrap();
        catalog.backtests(&PageQuery { cursor: None, limit: 100 }).await.unwrap().items
    });
    backtests.reverse();
    let total = |report: serde_json::Value| {
        let version = &report["version"];
        (version["rule"].as_str().unwrap().to_owned(), version["alerts"]["total"].as_u64().unwrap())
    };
    backtests.into_iter().map(|backtest| total(backtest.report.unwrap())).collect()
}

#[test]
fn a_second_run_with_the_same_seed_leaves_the_same_alerts_and_tables() {
    let folder = tempfile::tempdir().unwrap();
    let success = format!("{:?}", std::process::ExitCode::SUCCESS);
    assert_eq!(tamis(folder.path(), &["demo", "--once", "--seed", "7"]), success);
    let first = left(folder.path());
    let count = |rule: &str| first.alerts.iter().filter(|alert| alert.rule == rule).count() as u64;
    let silent: Vec<_> = RULES.iter().filter(|rule| count(rule) == 0).collect();
    assert!(silent.is_empty(), "{silent:?}");
    let in_topics: usize = first.records.iter().filter(|(topic, _)| topic != "dead_letters").map(|(_, n)| n).sum();
    assert_eq!(in_topics, first.alerts.len(), "each alert stands once in its topic and once in the warehouse");
    assert!(first.rows.iter().all(|rows| *rows > 0), "{:?}", first.rows);
    assert_alerts_fit_their_schema(folder.path());

    assert_eq!(tamis(folder.path(), &["demo", "--once", "--seed", "7"]), success);
    assert_eq!(left(folder.path()), first);
    assert_eq!(tamis(folder.path(), &["runs"]), success);
    let raised = REPLAYED.map(|rule| (rule.to_owned(), count(rule)));
    assert_eq!(replayed(folder.path(), &REPLAYED), raised, "a backtest over the day counts what was raised on it");
    assert_eq!(left(folder.path()), first, "and leaves everything as it was");
}
