//! `tamis alerts`: what fired, as it is stored.

use serde::de::DeserializeOwned;
use tamis_connectors::warehouse::{AlertFilter, StoredAlert};
use tamis_model::alert::AlertMode;
use tamis_model::rule::Severity;
use tamis_model::{Error, Result};

use super::warehouse;
use crate::home::Home;
use crate::table::Row;

impl Row for StoredAlert {
    const HEAD: &'static [&'static str] =
        &["EVENT TIME", "SEVERITY", "RULE", "KEY", "PAYMENT", "ORDER", "CRITERIA", "CONTEXT"];

    fn cells(&self) -> Vec<String> {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        vec![
            self.event_time.clone(),
            self.severity.clone(),
            self.rule.clone(),
            text(&self.key),
            text(&self.payment_id),
            text(&self.order_id),
            self.criteria.clone(),
            self.context.clone(),
        ]
    }
}

/// Which alerts are wanted, as it was typed.
pub struct Wanted {
    pub rule: Option<String>,
    pub severity: Option<String>,
    pub mode: Option<String>,
}

/// The newest alerts of the warehouse.
pub async fn list(home: &Home, Wanted { rule, severity, mode }: Wanted, limit: u32) -> Result<Vec<StoredAlert>> {
    let severity_min = severity.map_or(Ok(Severity::Info), |name| named("severity", &name))?;
    let mode: Option<AlertMode> = mode.map(|name| named("mode", &name)).transpose()?;
    let filter = AlertFilter { rule, severity_min, mode };
    let (alerts, _) = warehouse(&super::existing(home)?).await?.alerts(&filter, None, limit).await?;
    Ok(alerts)
}

fn named<T: DeserializeOwned>(what: &str, name: &str) -> Result<T> {
    serde_json::from_value(name.into())
        .map_err(|_| Error::invalid("list alerts of", format!("{what} {name}"), format!("there is no such {what}")))
}
