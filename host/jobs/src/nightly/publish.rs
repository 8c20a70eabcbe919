//! Publication of tables that passed the gate.
//!
//! First everything that can take long or fail: the warehouse's copies beside the published ones, then the lake's
//! datasets, each by its own commit. Last the one switch that makes all tables of the warehouse new at once.

use futures::{StreamExt, TryStreamExt};
use tamis_connectors::Rows;
use tamis_connectors::lake::TableSpec;
use tamis_connectors::warehouse::WarehouseTable;
use tamis_model::error::Context;
use tamis_model::{Error, Kind, Result};

use super::JobContext;
use crate::datasets::Dataset;
use crate::gold::Staged;
use crate::session::Session;
use crate::staging::conform;

pub(super) async fn publish(context: &JobContext, run_id: &str, session: &Session, staged: &[Staged]) -> Result<()> {
    for table in staged {
        let target = WarehouseTable {
            name: table.dataset.table().to_owned(),
            schema: table.dataset.schema(),
            key_columns: table.dataset.key.iter().map(|column| (*column).to_owned()).collect(),
        };
        let loaded = context.warehouse.load(run_id, &target, rows(session, table.dataset).await?).await?;
        if loaded != table.rows {
            let why = format!("{loaded} rows arrived of {}", table.rows);
            return Err(Error::new(Kind::Corrupt, "load into the warehouse", &target.name).because(why));
        }
    }
    for table in staged {
        let spec = TableSpec { schema: table.dataset.schema(), partition_by: Vec::new() };
        context.tables.replace(table.dataset.name, &spec, run_id, rows(session, table.dataset).await?).await?;
    }
    let names: Vec<_> = staged.iter().map(|table| table.dataset.table().to_owned()).collect();
    context.warehouse.publish(run_id, &names).await
}

/// The staged rows of a dataset.
async fn rows(session: &Session, dataset: &'static Dataset) -> Result<Rows> {
    let rows = session.query(dataset.name, &format!("SELECT * FROM {}", dataset.name)).await?;
    let schema = dataset.schema();
    let rows = rows.map_err(|error| Error::new(Kind::Outage, "read staged", dataset.name).because(error));
    Ok(rows.map(move |batch| conform(&batch?, &schema).corrupt("read staged", dataset.name)).boxed())
}
