//! Gold: one SQL file a table, computed in order of dependency into the run's staging folder.
//!
//! Nothing is published here: what is staged goes through the gate first.

use tamis_connectors::DeltaTables;
use tamis_model::{Error, Kind, Result};

use crate::datasets::{self, Dataset, has_columns};
use crate::session::Session;
use crate::staging::StagingFolder;

/// A gold table and the query that makes it.
#[derive(Debug)]
pub struct GoldTable {
    /// What comes out.
    pub dataset: &'static Dataset,
    sql: &'static str,
    needs: Needs,
}

/// Which silver datasets must have been made at least once. A table that waits is still computed, because others
/// read it, but neither checked nor published: its figures would say "none" where nobody knows.
#[derive(Debug)]
enum Needs {
    All(&'static [&'static str]),
    Any(&'static [&'static str]),
}

impl Needs {
    fn met(&self, known: &[&str]) -> bool {
        match self {
            Self::All(needed) => needed.iter().all(|name| known.contains(name)),
            Self::Any(needed) => needed.iter().any(|name| known.contains(name)),
        }
    }
}

/// All tables, each behind those that it reads.
pub static TABLES: [GoldTable; 6] = [
    GoldTable { dataset: &datasets::DIM_PAYS, sql: include_str!("../sql/gold/dim_pays.sql"), needs: Needs::All(&[]) },
    GoldTable {
        dataset: &datasets::KPI_CLIENT_360,
        sql: include_str!("../sql/gold/kpi_client_360.sql"),
        needs: Needs::All(&["silver.crm", "silver.orders"]),
    },
    GoldTable {
        dataset: &datasets::DIM_CLIENT,
        sql: include_str!("../sql/gold/dim_client.sql"),
        needs: Needs::All(&["silver.crm"]),
    },
    GoldTable {
        dataset: &datasets::FACT_EVENEMENT_WEB,
        sql: include_str!("../sql/gold/fact_evenement_web.sql"),
        needs: Needs::All(&["silver.nginx"]),
    },
    GoldTable {
        dataset: &datasets::DIM_DATE,
        sql: include_str!("../sql/gold/dim_date.sql"),
        needs: Needs::Any(&[
            "silver.nginx",
            "silver.orders",
            "silver.payments",
            "silver.logistics",
            "silver.firebase",
            "silver.kyc",
        ]),
    },
    GoldTable {
        dataset: &datasets::KPI_WEB_JOUR,
        sql: include_str!("../sql/gold/kpi_web_jour.sql"),
        needs: Needs::All(&["silver.nginx"]),
    },
];

/// A table that was computed.
#[derive(Clone, Copy, Debug)]
pub struct Staged {
    /// What it is.
    pub dataset: &'static Dataset,
    /// Its rows.
    pub rows: u64,
}

/// What was computed.
#[derive(Clone, Debug, Default)]
pub struct GoldReport {
    /// To be checked and published.
    pub staged: Vec<Staged>,
    /// Tables that wait for a source that has never delivered.
    pub waiting: Vec<&'static Dataset>,
}

/// Computes every table into `staging`. `observer` hears the name and the rows of each.
pub async fn compute(
    session: &Session,
    tables: &DeltaTables,
    staging: &StagingFolder,
    observer: &(dyn Fn(&'static Dataset, u64) + Send + Sync),
) -> Result<GoldReport> {
    let known = open_silver(session, tables).await?;
    for dataset in datasets::AWAITED {
        session.add_empty(dataset)?;
    }
    let mut report = GoldReport::default();
    for table in &TABLES {
        let rows = session.stage(table.dataset, table.sql, staging).await?;
        if table.needs.met(&known) {
            report.staged.push(Staged { dataset: table.dataset, rows });
            observer(table.dataset, rows);
        } else {
            report.waiting.push(table.dataset);
        }
    }
    Ok(report)
}

/// Makes the silver datasets known to the session, and says which of them exist.
async fn open_silver(session: &Session, tables: &DeltaTables) -> Result<Vec<&'static str>> {
    let mut known = Vec::new();
    for dataset in datasets::SILVER {
        if !tables.exists(dataset.name).await? {
            session.add_empty(dataset)?;
            continue;
        }
        let schema = tables.schema(dataset.name).await?;
        if !has_columns(&schema, dataset) {
            let why = "its columns are not those of the contract: which transform made it?";
            return Err(Error::new(Kind::Invalid, "compute gold from", dataset.name).because(why));
        }
        session.add(dataset.name, tables.provider(dataset.name).await?)?;
        known.push(dataset.name);
    }
    Ok(known)
}
