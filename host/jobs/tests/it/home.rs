//! A home folder to run nights in.

use std::fs::{self, File};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arrow_array::RecordBatch;
use arrow_cast::pretty::pretty_format_batches;
use chrono::NaiveDate;
use futures::TryStreamExt;
use tamis_catalog::Catalog;
use tamis_connectors::DeltaTables;
use tamis_connectors::warehouse::MemoryWarehouse;
use tamis_engine::memory::ManualClock;
use tamis_jobs::gate::GatePlan;
use tamis_jobs::nightly::{JobContext, NightlyReport, nightly};
use tamis_jobs::plans::Plans;
use tamis_jobs::session::Session;
use tamis_model::Result;

/// 2026-03-21T01:00:00Z
const NOW: i64 = 1_774_054_800_000;

/// A home in a temporary folder.
pub struct Home {
    pub folder: tempfile::TempDir,
    pub context: JobContext,
    pub warehouse: Arc<MemoryWarehouse>,
}

impl Home {
    /// A home with these plugins and the checks that come with the program.
    pub async fn new(plans: Plans) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let warehouse = Arc::new(MemoryWarehouse::new());
        let context = JobContext {
            drop: root.join("drop"),
            lake: root.join("lake"),
            lock: root.join("nightly.lock"),
            catalog: Catalog::open(&root.join("tamis.db")).await.unwrap(),
            tables: DeltaTables::new(root.join("lake")),
            warehouse: Arc::clone(&warehouse) as Arc<dyn tamis_connectors::warehouse::Warehouse>,
            gate: GatePlan::bind(&plans.checks).unwrap(),
            plans,
            memory_bytes_max: 256 << 20,
            settle_ms: 1_000,
            clock: Arc::new(ManualClock::new(NOW)),
        };
        Self { folder, context, warehouse }
    }

    /// Puts a file into the drop, modified `age_s` seconds before now.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>, age_s: u64) {
        let path = self.context.drop.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(NOW as u64) - Duration::from_secs(age_s);
        File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
    }

    /// One night.
    pub async fn night(&self) -> Result<NightlyReport> {
        nightly(&self.context, date("2026-03-20"), Arc::new(|_| ())).await
    }

    /// The rows of a query over one dataset, as a table for people.
    pub async fn query(&self, dataset: &str, sql: &str) -> String {
        let session = Session::open(64 << 20, self.folder.path(), date("2026-03-20")).unwrap();
        session.add(dataset, self.context.tables.provider(dataset).await.unwrap()).unwrap();
        let batches: Vec<RecordBatch> = session.query("test", sql).await.unwrap().try_collect().await.unwrap();
        pretty_format_batches(&batches).unwrap().to_string()
    }
}

/// A date from its text.
pub fn date(text: &str) -> NaiveDate {
    text.parse().unwrap()
}
