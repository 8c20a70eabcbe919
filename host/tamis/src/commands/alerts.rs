//! `tamis alerts`: what fired, as it is stored.

use tamis_connectors::warehouse::{AlertFilter, StoredAlert};
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

/// The newest alerts of the warehouse.
pub async fn list(home: &Home, rule: Option<String>, severity: Option<&str>, limit: u32) -> Result<Vec<StoredAlert>> {
    let severity_min = severity.map_or(Ok(Severity::Info), parse_severity)?;
    let filter = AlertFilter { rule, severity_min, ..AlertFilter::default() };
    let (alerts, _) = warehouse(&super::existing(home)?).await?.alerts(&filter, None, limit).await?;
    Ok(alerts)
}

fn parse_severity(name: &str) -> Result<Severity> {
    serde_json::from_value(name.into())
        .map_err(|_| Error::invalid("list alerts of severity", name, "there is no such severity"))
}
