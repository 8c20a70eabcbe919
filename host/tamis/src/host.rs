//! A host at work: its plan, with the databases of the home open.

use std::sync::Arc;

use tamis_catalog::Catalog;
use tamis_connectors::SqliteWarehouse;
use tamis_model::Result;
use tamis_registry::Registry;

use crate::plan::Plan;

/// A host at work. Clones are the same one.
#[derive(Clone)]
pub struct Host {
    /// What it works by.
    pub plan: Arc<Plan>,
    /// Plugins, rules and lists; its catalogue has everything else that is known.
    pub registry: Registry,
    /// What was published, and the alerts.
    pub warehouse: Arc<SqliteWarehouse>,
}

impl Host {
    /// Opens the databases of the plan's home, and puts to work what its files say.
    pub async fn open(plan: Plan) -> Result<Self> {
        let catalog = Catalog::open(&plan.home.metadata()).await?;
        let warehouse = Arc::new(SqliteWarehouse::open(&plan.home.warehouse()).await?);
        let registry = plan.registry(catalog).await?;
        Ok(Self { plan: Arc::new(plan), registry, warehouse })
    }

    /// What is known.
    pub fn catalog(&self) -> &Catalog {
        self.registry.catalog()
    }
}
