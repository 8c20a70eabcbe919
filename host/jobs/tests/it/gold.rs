//! Gold against figures computed by hand.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, Decimal128Array, Int32Array, RecordBatch, StringArray};
use arrow_cast::pretty::pretty_format_batches;
use datafusion::datasource::MemTable;
use futures::TryStreamExt;
use tamis_jobs::datasets::{DIM_CLIENT, Dataset, FACT_COMMANDE, KPI_CLIENT_360, SILVER_CRM};
use tamis_jobs::plans::Plans;
use tamis_jobs::session::Session;
use tamis_jobs::staging::{StagedFile, StagingFolder, conform};

use crate::fakes;
use crate::home::{Home, date};

#[tokio::test(flavor = "multi_thread")]
async fn web_figures_of_a_day() {
    let home = Home::new(Plans { transforms: vec![fakes::nginx()], checks: fakes::checks(), ..Plans::default() }).await;
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
        @r"
        +------------+-------------+---------------+----------+----------+----------+----------+----------------+
        | date       | nb_requetes | disponibilite | taux_2xx | taux_3xx | taux_4xx | taux_5xx | latence_p95_ms |
        +------------+-------------+---------------+----------+----------+----------+----------+----------------+
        | 2026-03-18 | 5           | 60.0          | 20.0     | 20.0     | 20.0     | 40.0     | 38.5           |
        | 2026-03-20 | 21          | 100.0         | 100.0    | 0.0      | 0.0      | 0.0      | 20.0           |
        +------------+-------------+---------------+----------+----------+----------+----------+----------------+
        "
    );
    let facts = "SELECT * FROM gold.fact_evenement_web WHERE date_id = 20260318 ORDER BY method, path";
    insta::assert_snapshot!(home.query("gold.fact_evenement_web", facts).await, @r"
        +----------------------------------+----------+--------+------+-------------+--------------------+--------------------+
        | evenement_id                     | date_id  | method | path | nb_requetes | taux_erreur        | latence_moyenne_ms |
        +----------------------------------+----------+--------+------+-------------+--------------------+--------------------+
        | bbb4b04a0a01ce320d26eeebf2c5af3c | 20260318 | GET    | /    | 3           | 33.333333333333336 | 25.0               |
        | a8821251ec1dab262e721d2696d1cbaa | 20260318 | GET    | /p   | 1           | 100.0              | 30.0               |
        | 6294e684554f35eab5cafb9344928fcb | 20260318 | POST   | /    | 1           | 100.0              | 20.0               |
        +----------------------------------+----------+--------+------+-------------+--------------------+--------------------+
        ");
    insta::assert_snapshot!(
        home.query("gold.dim_date", "SELECT * FROM gold.dim_date ORDER BY date_id").await,
        @r"
        +----------+------------+------+--------------+-------------+---------+-----------+-------+----------------+-----------+
        | date_id  | date       | jour | jour_semaine | semaine_iso | mois    | trimestre | annee | est_jour_ouvre | est_ferie |
        +----------+------------+------+--------------+-------------+---------+-----------+-------+----------------+-----------+
        | 20260318 | 2026-03-18 | 18   | 3            | 12          | 2026-03 | 1         | 2026  | true           | false     |
        | 20260319 | 2026-03-19 | 19   | 4            | 12          | 2026-03 | 1         | 2026  | true           | false     |
        | 20260320 | 2026-03-20 | 20   | 5            | 12          | 2026-03 | 1         | 2026  | true           | false     |
        +----------+------------+------+--------------+-------------+---------+-----------+-------+----------------+-----------+
        "
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
        @r"
        +-----------+---------+-------+-----+----------------+--------+-----------------+------------+------------------+-------------------+-------------+
        | client_id | pays_id | ville | age | segment_client | statut | canal_id        | kyc_statut | newsletter_optin | date_creation_crm | segment_rfm |
        +-----------+---------+-------+-----+----------------+--------+-----------------+------------+------------------+-------------------+-------------+
        | c1        | FR      | Lyon  | 41  |                |        | google-ads      | valide     | true             | 2024-02-29        | perdus      |
        | c2        |         |       |     |                |        | reseaux-sociaux | non_valide | false            |                   | perdus      |
        | c3        | BE      | Gent  | 17  |                |        |                 | non_requis |                  | 2025-01-01        | perdus      |
        +-----------+---------+-------+-----+----------------+--------+-----------------+------------+------------------+-------------------+-------------+
        "
    );
    let countries = "SELECT * FROM gold.dim_pays WHERE pays_id IN ('BE', 'CH', 'FR', 'US') ORDER BY pays_id";
    insta::assert_snapshot!(home.query("gold.dim_pays", countries).await, @r"
        +---------+------------+--------+-------+
        | pays_id | nom        | zone   | ue    |
        +---------+------------+--------+-------+
        | BE      | Belgique   | ue     | true  |
        | CH      | Suisse     | europe | false |
        | FR      | France     | france | true  |
        | US      | États-Unis | monde  | false |
        +---------+------------+--------+-------+
        ");
}

const KPI_CLIENT_360_SQL: &str = include_str!("../../sql/gold/kpi_client_360.sql");
const DIM_CLIENT_SQL: &str = include_str!("../../sql/gold/dim_client.sql");

/// Order, client, `date_id`, total in cents, state.
type Order<'a> = (&'a str, &'a str, Option<i32>, i64, &'a str);

fn orders(rows: &[Order<'_>]) -> RecordBatch {
    let text = |of: fn(&Order<'_>) -> String| -> ArrayRef {
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
    let batches: Vec<_> =
        session.query("kpi_client_360", KPI_CLIENT_360_SQL).await.unwrap().try_collect().await.unwrap();
    let schema = KPI_CLIENT_360.schema();
    let batches: Vec<_> = batches.iter().map(|batch| conform(batch, &schema).unwrap()).collect();
    insta::assert_snapshot!(pretty_format_batches(&batches).unwrap(), @r"
        +-----------+--------------+---------------+--------------+------------------------+---------------+---------+---------+---------+-------------+--------------------+--------------+-------------------+
        | client_id | nb_commandes | montant_total | panier_moyen | date_derniere_commande | recence_jours | r_score | f_score | m_score | segment_rfm | lifetime_value_eur | risque_churn | completude_profil |
        +-----------+--------------+---------------+--------------+------------------------+---------------+---------+---------+---------+-------------+--------------------+--------------+-------------------+
        | a         | 3            | 20.05         | 6.68         | 2026-03-19             | 1             | 5       | 5       | 1       | fideles     |                    | false        | 12.5              |
        | b         | 1            | 5.00          | 5.00         |                        |               | 1       | 1       | 1       | perdus      |                    | false        | 12.5              |
        | c         | 1            | 100.00        | 100.00       | 2025-12-01             | 109           | 1       | 1       | 2       | perdus      |                    | true         | 12.5              |
        | d         | 1            | 100.01        | 100.01       | 2025-12-02             | 108           | 2       | 2       | 2       | perdus      |                    | true         | 12.5              |
        | e         | 1            | 100.02        | 100.02       | 2025-12-03             | 107           | 2       | 2       | 3       | perdus      |                    | true         | 12.5              |
        | f         | 1            | 100.03        | 100.03       | 2025-12-04             | 106           | 3       | 3       | 3       | potentiels  |                    | true         | 12.5              |
        | g         | 1            | 100.04        | 100.04       | 2025-12-05             | 105           | 3       | 3       | 4       | potentiels  |                    | true         | 12.5              |
        | h         | 1            | 100.05        | 100.05       | 2025-12-06             | 104           | 4       | 4       | 4       | champions   |                    | true         | 12.5              |
        | i         | 1            | 100.06        | 100.06       | 2025-12-07             | 103           | 4       | 4       | 5       | champions   |                    | true         | 12.5              |
        | j         | 1            | 100.07        | 100.07       | 2025-12-08             | 102           | 5       | 5       | 5       | champions   |                    | true         | 12.5              |
        | none      | 0            | 0.00          |              |                        |               | 1       | 1       | 1       | perdus      |                    | true         | 12.5              |
        +-----------+--------------+---------------+--------------+------------------------+---------------+---------+---------+---------+-------------+--------------------+--------------+-------------------+
        ");
}

/// Hands rows to the session as a job does, from a file.
async fn add(session: &Session, staging: &StagingFolder, dataset: &Dataset, rows: &RecordBatch) {
    let mut file = StagedFile::create(staging.file(dataset.name), dataset.schema()).unwrap();
    file.write(rows).unwrap();
    file.finish().unwrap();
    session.add_staged(dataset.name, &staging.file(dataset.name)).await.unwrap();
}

/// NTILE(5) as SQL defines it: as equal as can be, the larger fifths first.
fn fifths<K: Ord>(count: usize, key: impl Fn(usize) -> K) -> Vec<i32> {
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by_key(|client| key(*client));
    let sizes = (0..5).map(|fifth| count / 5 + usize::from(fifth < count % 5));
    let in_order = (1..).zip(sizes).flat_map(|(fifth, size)| vec![fifth; size]);
    let mut fifths = vec![0; count];
    in_order.zip(order).for_each(|(fifth, client)| fifths[client] = fifth);
    fifths
}

/// Many clients with many ties, in fifths of unequal size: more than the pool would hold at once.
#[tokio::test(flavor = "multi_thread")]
async fn scores_of_many_clients_fit_a_small_pool() {
    check_scores(200_003, 64 << 20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scores_of_fewer_clients_than_fifths() {
    check_scores(3, 64 << 20).await;
}

/// A larger pool is worked in by several partitions.
#[tokio::test(flavor = "multi_thread")]
async fn scores_of_several_partitions() {
    check_scores(20_004, 256 << 20).await;
}

async fn check_scores(count: usize, memory_bytes_max: usize) {
    let folder = tempfile::tempdir().unwrap();
    let staging = StagingFolder::create(folder.path().join("staging")).unwrap();
    let session = Session::open(memory_bytes_max, folder.path(), date("2026-03-20")).unwrap();
    // Multiplied by an odd number, so that the order of the ids is not that of the clients.
    let ids: Vec<_> = (0..count as u32).map(|i| format!("{:032x}", i.wrapping_mul(2_654_435_761))).collect();
    let number = |client: usize| 1 + client % 4;
    let day = |client: usize| 20_260_101 + (client % 28) as i32;
    let cents = |client: usize| 1_000 + (client * 7_919 % 5_000) as i64;
    let orders_of = |client: usize| {
        let order = (ids[client].as_str(), ids[client].as_str(), Some(day(client)), cents(client), "created");
        vec![order; number(client)]
    };
    let rows: Vec<_> = (0..count).flat_map(orders_of).collect();
    add(&session, &staging, &FACT_COMMANDE, &orders(&rows)).await;
    add(&session, &staging, &SILVER_CRM, &clients(&ids.iter().map(String::as_str).collect::<Vec<_>>())).await;
    for (dataset, sql) in [(&KPI_CLIENT_360, KPI_CLIENT_360_SQL), (&DIM_CLIENT, DIM_CLIENT_SQL)] {
        let staged = session.stage(dataset, sql, &staging).await.unwrap_or_else(|error| panic!("{}", error.chain()));
        assert_eq!(staged, count as u64);
    }
    let scores = "SELECT client_id, r_score, f_score, m_score FROM gold.kpi_client_360 ORDER BY client_id";
    let batches: Vec<_> = session.query("scores", scores).await.unwrap().try_collect().await.unwrap();
    let mut found = Vec::new();
    for batch in &batches {
        let score = |column: usize, row: usize| batch.column(column).as_primitive::<Int32Type>().value(row);
        let id = |row: usize| batch.column(0).as_string::<i32>().value(row).to_owned();
        found.extend((0..batch.num_rows()).map(|row| (id(row), [1, 2, 3].map(|column| score(column, row)))));
    }
    let r = fifths(count, |client| (day(client), &ids[client]));
    let f = fifths(count, |client| (number(client), &ids[client]));
    let m = fifths(count, |client| (cents(client) * number(client) as i64, &ids[client]));
    let mut expected: Vec<_> =
        (0..count).map(|client| (ids[client].clone(), [r[client], f[client], m[client]])).collect();
    expected.sort();
    assert!(found == expected, "the scores of {count} clients are not NTILE(5)");
}
