//! Alerts as rows of the warehouse's table `alerts`.

use std::sync::Arc;

use tamis_engine::Sink;
use tamis_model::alert::Alert;
use tamis_model::pseudonym::Pepper;
use tamis_model::{Error, Kind, Result};
use tokio::runtime::Handle;

use super::Warehouse;

/// Alerts that are collected before they are inserted together: a commit of the database costs a disk write.
const BUFFERED_MAX: usize = 4096;

/// Inserts alerts as they are stored (personal values are pseudonyms), once per `alert_id`.
///
/// They become visible in groups, at the latest with `stage`; `commit` removes what was inserted after the stage.
/// Made for the engine's own thread: it blocks on the runtime and must not be used on one of the runtime's threads.
pub struct AlertRows {
    warehouse: Arc<dyn Warehouse>,
    runtime: Handle,
    pipeline: String,
    pepper: Pepper,
    buffered: Vec<Alert>,
}

impl AlertRows {
    /// A sink of a pipeline, whose name tells its alerts from those of others.
    pub fn new(warehouse: Arc<dyn Warehouse>, runtime: Handle, pipeline: impl Into<String>, pepper: Pepper) -> Self {
        Self { warehouse, runtime, pipeline: pipeline.into(), pepper, buffered: Vec::new() }
    }

    fn flush(&mut self) -> Result<()> {
        if !self.buffered.is_empty() {
            self.runtime.block_on(self.warehouse.insert_alerts(&self.pipeline, &self.buffered))?;
            self.buffered.clear();
        }
        Ok(())
    }
}

impl Sink<Alert> for AlertRows {
    fn write(&mut self, output: &[Alert]) -> Result<()> {
        for alert in output {
            self.buffered.push(alert.for_storage(&self.pepper));
            if self.buffered.len() >= BUFFERED_MAX {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn stage(&mut self) -> Result<serde_json::Value> {
        self.flush()?;
        let mark = self.runtime.block_on(self.warehouse.alerts_mark(&self.pipeline))?;
        Ok(serde_json::json!({ "mark": mark }))
    }

    fn commit(&mut self, staged: &serde_json::Value) -> Result<()> {
        let mark = staged["mark"].as_i64();
        let mark = mark.ok_or_else(|| Error::new(Kind::Corrupt, "commit the alerts of", &self.pipeline))?;
        self.buffered.clear();
        self.runtime.block_on(self.warehouse.cut_alerts(&self.pipeline, mark))
    }
}
