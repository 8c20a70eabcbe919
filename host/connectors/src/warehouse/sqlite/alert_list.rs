//! Reads alerts back, for people.

use serde::Serialize;
use sqlx::FromRow;
use tamis_model::Result;
use tamis_model::error::Context;
use tamis_model::rule::Severity;

use super::SqliteWarehouse;

/// Which alerts are listed.
#[derive(Clone, Debug)]
pub struct AlertFilter {
    /// Only those of this rule.
    pub rule: Option<String>,
    /// Only those at least this bad.
    pub severity_min: Severity,
    /// How many at most.
    pub limit: u32,
}

/// An alert as it is stored: people are pseudonyms. The members are those of `schemas/alert.schema.json`; `criteria` and `context` are
/// JSON text.
#[derive(Clone, Debug, PartialEq, Eq, FromRow, Serialize)]
#[allow(missing_docs, reason = "the schema describes the members")]
pub struct StoredAlert {
    pub alert_id: String,
    pub rule: String,
    pub plugin_version: String,
    pub plugin_sha256: String,
    pub severity: String,
    pub mode: String,
    pub event_time: String,
    pub generated_at: String,
    pub key: Option<String>,
    pub payment_id: Option<String>,
    pub order_id: Option<String>,
    pub customer_id: Option<String>,
    pub criteria: String,
    pub context: String,
}

impl SqliteWarehouse {
    /// The newest alerts by event time that pass `filter`.
    pub async fn alerts(&self, filter: &AlertFilter) -> Result<Vec<StoredAlert>> {
        let severities = [Severity::Info, Severity::Warning, Severity::High, Severity::Critical];
        let names: Vec<_> = severities.into_iter().filter(|s| *s >= filter.severity_min).map(Severity::name).collect();
        sqlx::query_as(
            "SELECT alert_id, rule, plugin_version, plugin_sha256, severity, mode, event_time, generated_at, key, payment_id, order_id, \
             customer_id, criteria, context FROM alerts \
             WHERE (?1 IS NULL OR rule = ?1) AND severity IN (SELECT value FROM json_each(?2)) \
             ORDER BY event_time DESC, alert_id LIMIT ?3",
        )
        .bind(&filter.rule)
        .bind(serde_json::json!(names).to_string())
        .bind(filter.limit)
        .fetch_all(&self.pool)
        .await
        .outage("list alerts of", &self.object)
    }
}
