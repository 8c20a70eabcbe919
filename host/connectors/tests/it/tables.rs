//! Delta tables: replaced as a whole, once per run, readable while they are.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array, RecordBatch,
    StringArray, TimestampMicrosecondArray,
};
use arrow_schema::{Field, Schema};
use deltalake::datafusion::prelude::SessionContext;
use deltalake::parquet::file::reader::{FileReader, SerializedFileReader};
use futures::StreamExt;
use tamis_connectors::lake::TableSpec;
use tamis_connectors::{DeltaTables, Rows};
use tamis_model::schema::ColumnType;
use tamis_model::{Error, Kind, Result};

fn spec(partition_by: &[&str]) -> TableSpec {
    let types = [
        ("n", ColumnType::Int64),
        ("pays", ColumnType::Text),
        ("age", ColumnType::Int32),
        ("taux", ColumnType::Float64),
        ("actif", ColumnType::Boolean),
        ("ts", ColumnType::Timestamp),
        ("jour", ColumnType::Date),
        ("montant", ColumnType::Decimal),
    ];
    let fields = types.map(|(name, column_type)| Field::new(name, column_type.arrow(), true));
    let partition_by = partition_by.iter().map(|name| (*name).to_owned()).collect();
    TableSpec { schema: Arc::new(Schema::new(fields.to_vec())), partition_by }
}

/// Rows `n` of the range, with countries FR, `a/b=c é` and null in turn, and two days.
fn batch(range: std::ops::Range<i64>) -> RecordBatch {
    let n: Vec<i64> = range.collect();
    let pays: StringArray = n.iter().map(|n| [Some("FR"), Some("a/b=c é"), None][(n % 3) as usize]).collect();
    let decimal = Decimal128Array::from_iter(n.iter().map(|n| Some(i128::from(n * 100 + 1))));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(n.clone())),
        Arc::new(pays),
        Arc::new(Int32Array::from_iter(n.iter().map(|n| (n % 5 > 0).then_some(*n as i32)))),
        Arc::new(Float64Array::from_iter(n.iter().map(|n| Some(*n as f64 / 2.0)))),
        Arc::new(BooleanArray::from_iter(n.iter().map(|n| Some(n % 2 == 0)))),
        Arc::new(
            TimestampMicrosecondArray::from_iter(n.iter().map(|n| Some(1_773_842_400_000_000 + n)))
                .with_timezone("UTC"),
        ),
        Arc::new(Date32Array::from_iter(n.iter().map(|n| Some(20_530 + (n % 2) as i32)))),
        Arc::new(decimal.with_precision_and_scale(18, 2).unwrap()),
    ];
    RecordBatch::try_new(spec(&[]).schema, columns).unwrap()
}

fn rows(batches: Vec<Result<RecordBatch>>) -> Rows {
    futures::stream::iter(batches).boxed()
}

/// The values of `n` in the dataset, ascending.
async fn content(tables: &DeltaTables, dataset: &str) -> Vec<i64> {
    let session = SessionContext::new();
    session.register_table("t", tables.provider(dataset).await.unwrap()).unwrap();
    let batches = session.sql("SELECT n FROM t ORDER BY n").await.unwrap().collect().await.unwrap();
    batches.iter().flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec()).collect()
}

/// Rows of all Parquet files below a folder, as a reader sees them who knows nothing of Delta.
fn plain_rows(folder: &Path) -> i64 {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .map(|path| match path.extension().and_then(|extension| extension.to_str()) {
            _ if path.is_dir() => plain_rows(&path),
            Some("parquet") => {
                let reader = SerializedFileReader::new(std::fs::File::open(path).unwrap()).unwrap();
                reader.metadata().file_metadata().num_rows()
            }
            _ => 0,
        })
        .sum()
}

fn folders(path: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    entries.filter(|name| name != "_delta_log").collect()
}

#[tokio::test]
async fn a_dataset_is_replaced_as_a_whole() {
    let lake = tempfile::tempdir().unwrap();
    let tables = DeltaTables::new(lake.path());
    assert!(!tables.exists("silver.crm").await.unwrap());
    assert_eq!(tables.last_run("silver.crm").await.unwrap(), None);
    assert_eq!(tables.provider("silver.crm").await.err().map(|error| error.kind()), Some(Kind::Missing));
    let spec = spec(&["pays"]);
    for (run, batches, expected) in [
        ("run-1", vec![Ok(batch(0..10)), Ok(batch(10..12))], 0..12),
        ("run-2", vec![Ok(batch(5..8))], 5..8),
        ("run-3", vec![], 0..0),
        ("run-4", vec![Ok(batch(0..3))], 0..3),
    ] {
        let version = tables.replace("silver.crm", &spec, run, rows(batches)).await.unwrap();
        assert_eq!(content(&tables, "silver.crm").await, expected.clone().collect::<Vec<_>>(), "{run}");
        assert_eq!(tables.row_count("silver.crm").await.unwrap(), expected.count() as u64, "{run}");
        assert_eq!(tables.last_run("silver.crm").await.unwrap().as_deref(), Some(run));
        assert_eq!(
            plain_rows(&lake.path().join("silver/crm")),
            content(&tables, "silver.crm").await.len() as i64,
            "{run}"
        );
        let again = tables.replace("silver.crm", &spec, run, rows(vec![Ok(batch(0..99))])).await.unwrap();
        assert_eq!(again, version, "the same run again changes nothing");
    }
    assert_eq!(content(&tables, "silver.crm").await, [0, 1, 2]);
    let found = tables.schema("silver.crm").await.unwrap();
    let names: Vec<_> = found.fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["n", "pays", "age", "taux", "actif", "ts", "jour", "montant"]);
}

#[tokio::test]
async fn partitions_are_folders_and_null_is_hive_s() {
    let lake = tempfile::tempdir().unwrap();
    let tables = DeltaTables::new(lake.path());
    tables.replace("silver.crm", &spec(&["pays"]), "run-1", rows(vec![Ok(batch(0..30))])).await.unwrap();
    let names = folders(&lake.path().join("silver/crm"));
    assert_eq!(names.len(), 3, "{names:?}");
    assert!(names.contains("pays=FR") && names.contains("pays=__HIVE_DEFAULT_PARTITION__"), "{names:?}");
    assert_eq!(content(&tables, "silver.crm").await, (0..30).collect::<Vec<_>>());
    tables.replace("silver.nginx", &spec(&["jour", "pays"]), "run-1", rows(vec![Ok(batch(0..30))])).await.unwrap();
    assert_eq!(
        folders(&lake.path().join("silver/nginx")),
        ["jour=2026-03-18", "jour=2026-03-19"].map(String::from).into()
    );
    assert_eq!(content(&tables, "silver.nginx").await, (0..30).collect::<Vec<_>>());
}

#[tokio::test]
async fn columns_and_partitions_may_change_with_a_run() {
    let lake = tempfile::tempdir().unwrap();
    let tables = DeltaTables::new(lake.path());
    tables.replace("gold.t", &spec(&["pays"]), "run-1", rows(vec![Ok(batch(0..3))])).await.unwrap();
    let narrow = batch(0..4).project(&[0, 6]).unwrap();
    let spec = TableSpec { schema: narrow.schema(), partition_by: vec!["jour".to_owned()] };
    tables.replace("gold.t", &spec, "run-2", rows(vec![Ok(narrow)])).await.unwrap();
    assert_eq!(tables.schema("gold.t").await.unwrap().fields().len(), 2);
    assert_eq!(content(&tables, "gold.t").await, [0, 1, 2, 3]);
}

#[tokio::test]
async fn a_run_that_fails_leaves_the_dataset_as_it_was() {
    let lake = tempfile::tempdir().unwrap();
    let tables = DeltaTables::new(lake.path());
    let spec = spec(&["pays"]);
    let broken = || vec![Ok(batch(5..8)), Err(Error::new(Kind::Plugin, "transform", "row 9"))];
    let error = tables.replace("silver.crm", &spec, "run-1", rows(broken())).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Plugin, "{}", error.chain());
    assert!(error.chain().contains("cannot transform row 9"), "{}", error.chain());
    assert!(!tables.exists("silver.crm").await.unwrap());
    tables.replace("silver.crm", &spec, "run-2", rows(vec![Ok(batch(0..3))])).await.unwrap();
    tables.replace("silver.crm", &spec, "run-3", rows(broken())).await.unwrap_err();
    let other = batch(0..1).project(&[0]).unwrap();
    let error = tables.replace("silver.crm", &spec, "run-3", rows(vec![Ok(other)])).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid, "{}", error.chain());
    assert_eq!(content(&tables, "silver.crm").await, [0, 1, 2]);
    assert_eq!(tables.last_run("silver.crm").await.unwrap().as_deref(), Some("run-2"));
}

#[tokio::test]
async fn what_an_interrupted_first_write_left_is_swept_up() {
    let lake = tempfile::tempdir().unwrap();
    let tables = DeltaTables::new(lake.path());
    tables.replace("silver.other", &spec(&["pays"]), "run-1", rows(vec![Ok(batch(0..3))])).await.unwrap();
    // Files of a write whose commit never came.
    for folder in folders(&lake.path().join("silver/other")) {
        let (from, to) = (lake.path().join("silver/other").join(&folder), lake.path().join("silver/crm").join(&folder));
        std::fs::create_dir_all(&to).unwrap();
        for file in std::fs::read_dir(from).unwrap().map(|file| file.unwrap()) {
            std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
    }
    assert_eq!(plain_rows(&lake.path().join("silver/crm")), 3);
    tables.replace("silver.crm", &spec(&["pays"]), "run-1", rows(vec![Ok(batch(0..5))])).await.unwrap();
    assert_eq!(plain_rows(&lake.path().join("silver/crm")), 5);
    assert_eq!(content(&tables, "silver.crm").await, [0, 1, 2, 3, 4]);
    assert_eq!(tables.last_run("silver.crm").await.unwrap().as_deref(), Some("run-1"));
}

#[tokio::test]
async fn a_provider_reads_the_version_that_it_was_opened_at() {
    let lake = tempfile::tempdir().unwrap();
    let tables = DeltaTables::new(lake.path());
    tables.replace("gold.t", &spec(&[]), "run-1", rows(vec![Ok(batch(0..3))])).await.unwrap();
    let session = SessionContext::new();
    session.register_table("t", tables.provider("gold.t").await.unwrap()).unwrap();
    tables.replace("gold.t", &spec(&[]), "run-2", rows(vec![Ok(batch(0..9))])).await.unwrap();
    let batches = session.sql("SELECT COUNT(*) FROM t").await.unwrap().collect().await.unwrap();
    assert_eq!(batches[0].column(0).as_primitive::<Int64Type>().value(0), 3);
}

#[tokio::test]
async fn names_stay_in_the_lake() {
    let tables = DeltaTables::new("lake");
    for dataset in ["crm", "silver.crm.x", "silver.", "..", "silver.a/b", ""] {
        assert_eq!(tables.exists(dataset).await.unwrap_err().kind(), Kind::Invalid, "{dataset}");
    }
}
