//! The warehouse's in-memory twin.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::TryStreamExt;
use futures::future::BoxFuture;
use tamis_model::alert::Alert;
use tamis_model::{Error, Kind, Result};

use super::{Cell, QualityResult, Warehouse, WarehouseTable, cell};
use crate::rows::{Rows, conform};

/// A warehouse that lives as long as its last clone, which all share the content.
#[derive(Clone, Debug, Default)]
pub struct MemoryWarehouse(Arc<Mutex<Content>>);

#[derive(Debug, Default)]
struct Content {
    loaded: BTreeMap<String, Table>,
    published: BTreeMap<String, Table>,
    /// In the order in which they were inserted, with the mark behind each.
    alerts: Vec<(i64, String, Alert)>,
    marks: i64,
    /// By run.
    quality_results: BTreeMap<String, Vec<QualityResult>>,
}

#[derive(Debug)]
struct Table {
    run_id: String,
    rows: Vec<Vec<Cell>>,
}

impl MemoryWarehouse {
    /// An empty warehouse.
    pub fn new() -> Self {
        Self::default()
    }

    /// The rows of a published table, if it is published.
    pub fn rows(&self, table: &str) -> Option<Vec<Vec<Cell>>> {
        self.content().published.get(table).map(|table| table.rows.clone())
    }

    /// The alerts, in the order in which they were inserted.
    pub fn alerts(&self) -> Vec<Alert> {
        self.content().alerts.iter().map(|(_, _, alert)| alert.clone()).collect()
    }

    /// The results of a run's quality checks.
    pub fn quality_results(&self, run_id: &str) -> Vec<QualityResult> {
        self.content().quality_results.get(run_id).cloned().unwrap_or_default()
    }

    /// The content is whole after every single operation, so a panic of another holder did not break it.
    fn content(&self) -> MutexGuard<'_, Content> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn load_rows(&self, run_id: &str, table: &WarehouseTable, mut batches: Rows) -> Result<u64> {
        table.check()?;
        self.content().loaded.remove(&table.name);
        let mut rows = Vec::new();
        while let Some(batch) = batches.try_next().await? {
            rows.extend(cell::rows_of(&conform(&batch, &table.schema, &table.name)?, &table.name)?);
        }
        let count = rows.len() as u64;
        self.content().loaded.insert(table.name.clone(), Table { run_id: run_id.to_owned(), rows });
        Ok(count)
    }
}

impl Content {
    fn publish(&mut self, run_id: &str, tables: &[String]) -> Result<()> {
        let is_by_run = |table: &Table| table.run_id == run_id;
        for name in tables {
            if !self.loaded.get(name).is_some_and(is_by_run) && !self.published.get(name).is_some_and(is_by_run) {
                return Err(Error::new(Kind::Missing, "publish table", name).because("the run has not loaded it"));
            }
        }
        for name in tables {
            if self.loaded.get(name).is_some_and(is_by_run)
                && let Some(table) = self.loaded.remove(name)
            {
                self.published.insert(name.clone(), table);
            }
        }
        Ok(())
    }

    fn insert_alerts(&mut self, pipeline: &str, alerts: &[Alert]) -> u64 {
        let before = self.alerts.len();
        for alert in alerts {
            if self.alerts.iter().all(|(_, _, known)| known.alert_id != alert.alert_id) {
                self.marks += 1;
                self.alerts.push((self.marks, pipeline.to_owned(), alert.clone()));
            }
        }
        (self.alerts.len() - before) as u64
    }
}

impl Warehouse for MemoryWarehouse {
    fn load<'a>(&'a self, run_id: &'a str, table: &'a WarehouseTable, rows: Rows) -> BoxFuture<'a, Result<u64>> {
        Box::pin(self.load_rows(run_id, table, rows))
    }

    fn publish<'a>(&'a self, run_id: &'a str, tables: &'a [String]) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move { self.content().publish(run_id, tables) })
    }

    fn discard(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            self.content().loaded.clear();
            Ok(())
        })
    }

    fn insert_alerts<'a>(&'a self, pipeline: &'a str, alerts: &'a [Alert]) -> BoxFuture<'a, Result<u64>> {
        Box::pin(async move { Ok(self.content().insert_alerts(pipeline, alerts)) })
    }

    fn alerts_mark<'a>(&'a self, pipeline: &'a str) -> BoxFuture<'a, Result<i64>> {
        Box::pin(async move {
            let content = self.content();
            let marks = content.alerts.iter().filter(|(_, by, _)| by == pipeline).map(|(mark, ..)| *mark);
            Ok(marks.max().unwrap_or(0))
        })
    }

    fn cut_alerts<'a>(&'a self, pipeline: &'a str, mark: i64) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            self.content().alerts.retain(|(inserted, by, _)| by != pipeline || *inserted <= mark);
            Ok(())
        })
    }

    fn replace_quality_results<'a>(
        &'a self,
        run_id: &'a str,
        results: &'a [QualityResult],
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            self.content().quality_results.insert(run_id.to_owned(), results.to_vec());
            Ok(())
        })
    }
}
