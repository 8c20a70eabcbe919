//! Gold against figures computed by hand.

use std::sync::Arc;

use arrow_array::{ArrayRef, Decimal128Array, Int32Array, RecordBatch, StringArray};
use arrow_cast::pretty::pretty_format_batches;
use datafusion::datasource::MemTable;
use futures::TryStreamExt;
use tamis_jobs::datasets::{FACT_COMMANDE, SILVER_CRM};
use tamis_jobs::plans::Plans;
use tamis_jobs::session::Session;
use tamis_jobs::staging::conform;

use crate::fakes;
use crate::home::{Home, date};

#[tokio::test(flavor = "multi_thread")]
async fn web_figures_of_a_day() {
    let home = Home::new(Plans { transforms: vec![fakes::nginx()], checks: fakes::checks() }).await;
    // 2026-03-18: latencies 10, 20, 30, 40 and one unknown: the percentile lies at rank 2.85, 30 + 0.85 × 10.
    // 2026-03-20: 1 to 21: rank 19 exactly, so 20. The 19th has no request and still is in dim_date.
    let mut log = "2026-03-18 GET / 200 40\n2026-03-18 GET / 304 10\n2026-03-18 GET /p 404 30\n\
                   2026-03-18 POST / 503 20\n2026-03-18 GET / 500 -\n"
        .to_owned();
    (1..=21).for_each(|ms| log.push_str(&format!("2026-03-20 GET / 200 {ms}\n")));
    home.write("nginx/access.log", log, 100);
    let report = home.night().await.unwrap();
    assert_eq!(report.refusal, None);
    insta::assert_snapshot!(
        home.query("gold.kpi_web_jour", "SELECT * FROM gold.kpi_web_jour ORDER BY date").await,
        @"x"
    );
    let facts = "SELECT * FROM gold.fact_evenement_web WHERE date_id = 20260318 ORDER BY method, path";
    insta::assert_snapshot!(home.query("gold.fact_evenement_web", facts).await, @"x");
    insta::assert_snapshot!(
        home.query("gold.dim_date", "SELECT * FROM gold.dim_date ORDER BY date_id").await,
        @"x"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_the_crm() {
    let home = Home::new(fakes::plans()).await;
    let csv = "client_id,age,ville,pays,canal_acquisition,kyc_requis,kyc_valide,newsletter_optin,date_creation_crm\n\
               c1,41,Lyon,FR,Google Ads,true,true,true,2024-02-29\n\
               c2,,,,Réseaux sociaux,true,,false,\n\
               c3,17,Gent,BE,,,true,,2025-01-01\n";
    home.write("crm/clients.csv", csv, 100);
    home.write("nginx/access.log", "2026-03-18 GET / 200 40\n", 100);
    let report = home.night().await.unwrap();
    assert_eq!(report.refusal, None);
    assert_eq!(report.waiting, ["kpi_client_360"], "nobody knows yet what clients ordered");
    insta::assert_snapshot!(
        home.query("gold.dim_client", "SELECT * FROM gold.dim_client ORDER BY client_id").await,
        @"x"
    );
    let countries = "SELECT * FROM gold.dim_pays WHERE pays_id IN ('BE', 'CH', 'FR', 'US') ORDER BY pays_id";
    insta::assert_snapshot!(home.query("gold.dim_pays", countries).await, @"x");
}

fn orders(rows: &[(&str, &str, Option<i32>, i64, &str)]) -> RecordBatch {
    let text = |of: fn(&(&str, &str, Option<i32>, i64, &str)) -> String| -> ArrayRef {
        Arc::new(rows.iter().map(|row| Some(of(row))).collect::<StringArray>())
    };
    let dates: ArrayRef = Arc::new(rows.iter().map(|row| row.2).collect::<Int32Array>());
    let totals = rows.iter().map(|row| Some(i128::from(row.3))).collect::<Decimal128Array>();
    let totals: ArrayRef = Arc::new(totals.with_precision_and_scale(18, 2).unwrap());
    let schema = FACT_COMMANDE.schema();
    let columns = schema.fields().iter().map(|field| match field.name().as_str() {
        "commande_id" => text(|row| row.0.to_owned()),
        "client_id" => text(|row| row.1.to_owned()),
        "date_id" => Arc::clone(&dates),
        "montant_total" => Arc::clone(&totals),
        "statut" => text(|row| row.4.to_owned()),
        _ => arrow_array::new_null_array(field.data_type(), rows.len()),
    });
    RecordBatch::try_new(Arc::clone(&schema), columns.collect()).unwrap()
}

fn clients(ids: &[&str]) -> RecordBatch {
    let schema = SILVER_CRM.schema();
    let columns = schema.fields().iter().map(|field| match field.name().as_str() {
        "client_id" => Arc::new(StringArray::from(ids.to_vec())) as ArrayRef,
        "ville" => Arc::new(StringArray::from(vec!["Lyon"; ids.len()])) as ArrayRef,
        _ => arrow_array::new_null_array(field.data_type(), ids.len()),
    });
    RecordBatch::try_new(Arc::clone(&schema), columns.collect()).unwrap()
}

/// Ten clients that order and one that does not, so that each quintile has two.
#[tokio::test(flavor = "multi_thread")]
async fn scores_are_quintiles_over_clients_that_order() {
    let folder = tempfile::tempdir().unwrap();
    let session = Session::open(64 << 20, folder.path(), date("2026-03-20")).unwrap();
    let ids = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "none"];
    let mut rows = vec![
        ("o1", "a", Some(20260319), 10_00, "created"),
        ("o2", "a", Some(20260318), 10_00, "delivered"),
        ("o3", "a", Some(20260317), 0_05, "shipped"),
        ("o4", "a", Some(20260320), 999_00, "cancelled"),
        ("o5", "none", Some(20260320), 999_00, "cancelled"),
        ("o6", "stranger", Some(20260320), 999_00, "created"),
        ("o7", "b", None, 5_00, "created"),
    ];
    let names = ["o8", "o9", "o10", "o11", "o12", "o13", "o14", "o15"];
    for (number, (order, client)) in names.iter().zip(&ids[2..10]).enumerate() {
        rows.push((order, client, Some(20251201 + number as i32), 100_00 + number as i64, "delivered"));
    }
    for (name, batch) in [("silver.crm", clients(&ids)), ("gold.fact_commande", orders(&rows))] {
        session.add(name, Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]]).unwrap())).unwrap();
    }
    let sql = include_str!("../../sql/gold/kpi_client_360.sql");
    let batches: Vec<_> = session.query("kpi_client_360", sql).await.unwrap().try_collect().await.unwrap();
    let schema = tamis_jobs::datasets::KPI_CLIENT_360.schema();
    let batches: Vec<_> = batches.iter().map(|batch| conform(batch, &schema).unwrap()).collect();
    insta::assert_snapshot!(pretty_format_batches(&batches).unwrap(), @"x");
}
