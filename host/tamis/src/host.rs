//! A host at work: its plan, with the databases of the home open.

use std::sync::Arc;

use tamis_catalog::Catalog;
use tamis_connectors::influx::InfluxSettings;
use tamis_connectors::kafka::KafkaTopics;
use tamis_connectors::{Influx, SqliteWarehouse};
use tamis_engine::Decisions;
use tamis_model::{Kind, Result};
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
    /// Where aggregates go as a time series, if anywhere.
    pub influx: Option<Influx>,
    /// Who waits for what its streams make of single records.
    pub decisions: Decisions,
}

impl Host {
    /// Opens the databases of the plan's home, and puts to work what its files say.
    pub async fn open(plan: Plan) -> Result<Self> {
        let influx = plan.config.influx.as_ref().map(|influx| influx.target(plan.home.root())).transpose()?;
        let catalog = Catalog::open(&plan.home.metadata()).await?;
        let warehouse = Arc::new(SqliteWarehouse::open(&plan.home.warehouse()).await?);
        let registry = plan.registry(catalog).await?;
        if let Some(kafka) = &plan.kafka {
            let topics = KafkaTopics::new(kafka.connection.clone());
            registry.ask_for_topics(Box::new(move |topic| match topics.require(&[topic.to_owned()]) {
                Err(error) if error.kind() == Kind::Missing => Ok(false),
                found => found.map(|()| true),
            }));
        }
        let influx = influx.map(|target| Influx::start(InfluxSettings::new(target)));
        Ok(Self { plan: Arc::new(plan), registry, warehouse, influx, decisions: Decisions::remembering() })
    }

    /// What is known.
    pub fn catalog(&self) -> &Catalog {
        self.registry.catalog()
    }
}
