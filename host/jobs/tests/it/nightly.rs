//! Whole nights: idempotence, the gate, the lock, the record of a failure.

use std::sync::Arc;

use arrow_array::RecordBatch;
use serde_json::{Value, json};
use tamis_catalog::runs::RunState;
use tamis_connectors::ProcessLock;
use tamis_jobs::plans::{Plans, TransformPlan};
use tamis_model::transform::{Check, CheckResult, Transform};
use tamis_model::{Error, Result};

use crate::fakes;
use crate::home::Home;

const CLIENTS: &str = "client_id,pays,date_modification\nc1,FR,2026-01-01\nc2,BE,2026-01-01\n";
const REQUESTS: &str = "2026-03-18 GET / 200 40\n2026-03-19 GET / 500 10\n";

async fn home() -> Home {
    let home = Home::new(fakes::plans()).await;
    home.write("crm/clients.csv", CLIENTS, 100);
    home.write("nginx/access.log", REQUESTS, 100);
    home
}

/// The published rows of a table, as text; none when it was never published.
fn published(home: &Home, table: &str) -> Vec<String> {
    home.warehouse.rows(table).unwrap_or_default().iter().map(|row| format!("{row:?}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_night_run_twice_leaves_the_same_rows() {
    let home = home().await;
    let mut nights = Vec::new();
    for _ in 0..2 {
        let report = home.night().await.unwrap();
        assert_eq!((report.state, report.quality_score), (RunState::Succeeded, Some(100.0)));
        let lake = home.query("gold.kpi_web_jour", "SELECT * FROM gold.kpi_web_jour ORDER BY date").await;
        let tables: Vec<_> = report.tables.iter().map(|(table, _)| published(&home, table)).collect();
        nights.push((tables, lake, report.tables));
    }
    assert_eq!(nights[0], nights[1]);
    assert!(nights[0].0.iter().zip(&nights[0].2).all(|(rows, (_, count))| rows.len() as u64 == *count));
    let expected =
        [("dim_pays", 249), ("dim_client", 2), ("fact_evenement_web", 2), ("dim_date", 2), ("kpi_web_jour", 2)];
    assert_eq!(nights[0].2.iter().map(|(table, rows)| (table.as_str(), *rows)).collect::<Vec<_>>(), expected);
    assert!(!home.context.lake.join(".staging").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_gate_refuses_is_not_published() {
    let home = home().await;
    home.night().await.unwrap();
    let before = published(&home, "kpi_web_jour");
    // A day is added, but every client loses its row, and a table without rows blocks.
    home.write("nginx/more.log", "2026-03-20 GET / 200 5\n", 50);
    home.write("crm/clients.csv", "client_id,pays,date_modification\n", 50);
    let report = home.night().await.unwrap();
    assert_eq!(report.state, RunState::Gated);
    let refusal = report.refusal.unwrap();
    assert!(refusal.starts_with("1 blocking checks failed: check-volume of dim_client"), "{refusal}");
    assert_eq!(published(&home, "kpi_web_jour"), before);
    assert!(!home.query("gold.kpi_web_jour", "SELECT * FROM gold.kpi_web_jour").await.contains("2026-03-20"));
    assert_eq!(report.alerts.iter().map(|alert| alert.kind.as_str()).collect::<Vec<_>>(), ["gate_refused"]);
    let results = home.warehouse.quality_results(&report.run_id);
    let failed: Vec<_> = results.iter().filter(|result| !result.passed).collect();
    assert_eq!(failed.iter().map(|result| result.check_name.as_str()).collect::<Vec<_>>(), ["check-volume"]);
    assert_eq!(results, report.quality);
    let record = home.context.catalog.run(&report.run_id).await.unwrap().unwrap();
    assert_eq!(record.state, RunState::Gated);
    assert!(record.quality_score.unwrap() < 100.0);

    home.write("crm/clients.csv", CLIENTS, 25);
    assert_eq!(home.night().await.unwrap().state, RunState::Succeeded);
    assert_eq!(published(&home, "kpi_web_jour").len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_without_method_or_path_does_not_stop_the_publication() {
    let home = home().await;
    home.write("nginx/hostile.log", "2026-03-19 GET - 400 -\n2026-03-19 - / 400 1\n", 50);
    let report = home.night().await.unwrap();
    assert_eq!((report.state, report.refusal), (RunState::Succeeded, None));
    let failed = report.quality.iter().filter(|result| !result.passed);
    let failed: Vec<_> = failed.map(|result| (result.dataset.as_str(), result.column_name.as_deref())).collect();
    assert_eq!(failed, [("fact_evenement_web", Some("method")), ("fact_evenement_web", Some("path"))]);
    assert_eq!(published(&home, "fact_evenement_web").len(), 4);
}

/// A check that looks at everything and answers nothing.
struct Silent;

impl Check for Silent {
    fn configure(&mut self, _: &str) -> Result<()> {
        Ok(())
    }

    fn observe(&mut self, _: &RecordBatch) -> Result<()> {
        Ok(())
    }

    fn finish(&mut self) -> Result<Vec<CheckResult>> {
        Ok(Vec::new())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_says_nothing_does_not_pass() {
    let mut plans = fakes::plans();
    let volume = plans.checks.iter_mut().find(|check| check.name == "check-volume").unwrap();
    volume.make = Arc::new(|_| Ok(Box::new(Silent)));
    let home = Home::new(plans).await;
    home.write("crm/clients.csv", CLIENTS, 100);
    home.write("nginx/access.log", REQUESTS, 100);
    let report = home.night().await.unwrap();
    let refusal = report.refusal.unwrap();
    let expected = "5 blocking checks failed: check-volume of dim_client \
                    (0 results for the whole table instead of one result for the whole table); ";
    assert!(refusal.starts_with(expected), "{refusal}");
    assert_eq!(published(&home, "dim_client"), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_kept_with_its_causes() {
    let mut home = home().await;
    let broken: TransformPlan = TransformPlan {
        make: Arc::new(|_| -> Result<Box<dyn Transform>> {
            Err(Error::invalid("configure plugin", "silver/crm", "as_of is missing"))
        }),
        ..fakes::crm(json!({"which": "first"}))
    };
    home.context.plans = Plans { transforms: vec![broken], checks: fakes::checks(), ..Plans::default() };
    let error = home.night().await.unwrap_err();
    assert_eq!(error.chain(), "cannot configure plugin silver/crm: as_of is missing");
    let runs = home.context.catalog.runs(10).await.unwrap();
    assert_eq!((runs[0].state, runs[0].error.as_deref()), (RunState::Failed, Some(error.chain().as_str())));
    let alerts = home.context.catalog.operational_alerts(&runs[0].id).await.unwrap();
    assert_eq!(alerts[0].kind, "run_failed");

    home.context.plans = fakes::plans();
    assert_eq!(home.night().await.unwrap().state, RunState::Succeeded, "the next run repairs it");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_run_at_a_time() {
    let home = home().await;
    let lock = ProcessLock::acquire(&home.context.lock, "the test is at work").unwrap();
    assert!(home.night().await.unwrap_err().can_retry());
    assert_eq!(home.context.catalog.runs(10).await.unwrap(), [], "a run that did not begin leaves no record");
    drop(lock);
    home.night().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn sources_that_nobody_reads_and_files_that_cannot_be_read_are_shown() {
    let home = home().await;
    home.write("fax/page.tif", [0, 1, 2], 100);
    std::os::unix::fs::symlink("nowhere", home.context.drop.join("crm/gone.csv")).unwrap();
    let report = home.night().await.unwrap();
    assert_eq!(report.unread_sources, ["fax"]);
    assert_eq!(report.state, RunState::Partial);
    let events = home.context.catalog.run_events(&report.run_id).await.unwrap();
    let events: Vec<Value> = events.iter().map(|event| json!([event.event, event.subject])).collect();
    assert!(events.contains(&json!(["file_taken", "fax/page.tif"])), "{events:?}");
    assert!(events.contains(&json!(["source_unread", "fax"])), "{events:?}");
    assert_eq!(report.alerts.iter().map(|alert| alert.subject.as_str()).collect::<Vec<_>>(), ["crm/gone.csv"]);
}
