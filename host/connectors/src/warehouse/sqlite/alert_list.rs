//! Reads alerts back, for people: newest first, page by page.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use sqlx::{FromRow, QueryBuilder, Sqlite};
use tamis_model::alert::AlertMode;
use tamis_model::rule::Severity;
use tamis_model::{Error, Result};

use super::SqliteWarehouse;
use crate::sql::Outage;

const MODES: [AlertMode; 2] = [AlertMode::Live, AlertMode::Shadow];
const SEVERITIES: [Severity; 4] = [Severity::Info, Severity::Warning, Severity::High, Severity::Critical];

/// The columns of a [`StoredAlert`].
const SELECT: &str = "SELECT alert_id, rule, rule_version, plugin_version, plugin_sha256, severity, mode, event_time, \
    generated_at, key, payment_id, order_id, customer_id, criteria, context, lists FROM alerts";

/// Which alerts are listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertFilter {
    /// Only those of this rule.
    pub rule: Option<String>,
    /// Only those at least this bad.
    pub severity_min: Severity,
    /// Only those of this mode.
    pub mode: Option<AlertMode>,
}

/// All of them.
impl Default for AlertFilter {
    fn default() -> Self {
        Self { rule: None, severity_min: Severity::Info, mode: None }
    }
}

/// Where a page ends: the last alert of it. As text `<event time>,<alert id>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertCursor {
    event_time: String,
    alert_id: String,
}

impl fmt::Display for AlertCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.event_time, self.alert_id)
    }
}

impl FromStr for AlertCursor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parts = text.split_once(',').ok_or("it is not <event time>,<alert id>");
        let (event_time, alert_id) =
            parts.map_err(|reason| Error::invalid("read cursor", format!("{text:?}"), reason))?;
        Ok(Self { event_time: event_time.to_owned(), alert_id: alert_id.to_owned() })
    }
}

/// An alert as it is stored: people are pseudonyms. Its JSON is that of `schemas/alert.schema.json`; `criteria`,
/// `context` and `lists` are held as JSON text.
#[derive(Clone, Debug, PartialEq, Eq, FromRow, Serialize, utoipa::ToSchema)]
#[allow(missing_docs, reason = "the schema describes the members")]
pub struct StoredAlert {
    pub alert_id: String,
    pub rule: String,
    pub rule_version: u32,
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
    #[serde(serialize_with = "json")]
    #[schema(value_type = Vec<String>)]
    pub criteria: String,
    #[serde(serialize_with = "json")]
    #[schema(value_type = Object)]
    pub context: String,
    #[serde(serialize_with = "json_if_any", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub lists: Option<String>,
}

fn json<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    let value: serde_json::Value = serde_json::from_str(text).map_err(serde::ser::Error::custom)?;
    value.serialize(serializer)
}

fn json_if_any<S: Serializer>(text: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
    json(text.as_deref().unwrap_or("null"), serializer)
}

impl StoredAlert {
    fn cursor(&self) -> AlertCursor {
        AlertCursor { event_time: self.event_time.clone(), alert_id: self.alert_id.clone() }
    }
}

impl SqliteWarehouse {
    /// The next `limit` alerts behind a cursor that pass a filter, and the cursor behind them; none at the end.
    ///
    /// The newest event comes first, alerts of one time are in the order of their ids. An alert that is inserted
    /// meanwhile moves no other from one page to another.
    pub async fn alerts(
        &self,
        filter: &AlertFilter,
        cursor: Option<&AlertCursor>,
        limit: u32,
    ) -> Result<(Vec<StoredAlert>, Option<AlertCursor>)> {
        let mut listing = listing(filter, cursor, limit);
        let found = listing.build_query_as().fetch_all(&self.pool).await;
        let mut alerts: Vec<StoredAlert> = found.outage("list alerts of", &self.object)?;
        let has_more = alerts.len() as u64 > u64::from(limit);
        alerts.truncate(limit as usize);
        let cursor = alerts.last().filter(|_| has_more).map(StoredAlert::cursor);
        Ok((alerts, cursor))
    }

    /// The alert of that id.
    pub async fn alert(&self, alert_id: &str) -> Result<Option<StoredAlert>> {
        let select = format!("{SELECT} WHERE alert_id = ?");
        let found = sqlx::query_as(&select).bind(alert_id).fetch_optional(&self.pool).await;
        found.outage("find alert", self.of(alert_id))
    }
}

/// The query of a page, with one alert more that says whether another page follows.
///
/// One SELECT for each mode and severity: every one of them is a stretch of an index in the wanted order, and SQLite
/// merges them. Whatever the filter, it reads about as many rows as it returns.
fn listing<'a>(filter: &'a AlertFilter, cursor: Option<&'a AlertCursor>, limit: u32) -> QueryBuilder<'a, Sqlite> {
    let mut query = QueryBuilder::new("");
    let modes = MODES.iter().filter(|mode| filter.mode.is_none_or(|wanted| wanted == **mode));
    for mode in modes {
        for severity in SEVERITIES.iter().filter(|severity| **severity >= filter.severity_min) {
            query.push(if query.sql().is_empty() { "" } else { " UNION ALL " }).push(SELECT);
            query.push(" WHERE mode = ").push_bind(mode.name());
            query.push(" AND severity = ").push_bind(severity.name());
            if let Some(rule) = &filter.rule {
                query.push(" AND rule = ").push_bind(rule);
            }
            if let Some(AlertCursor { event_time, alert_id }) = cursor {
                query.push(" AND event_time <= ").push_bind(event_time);
                query.push(" AND (event_time < ").push_bind(event_time);
                query.push(" OR alert_id > ").push_bind(alert_id).push(")");
            }
        }
    }
    query.push(" ORDER BY event_time DESC, alert_id LIMIT ").push_bind(i64::from(limit) + 1);
    query
}

#[cfg(test)]
mod tests {
    use sqlx::Row;

    use super::*;

    #[test]
    fn cursors_are_text() {
        let text = "2026-03-18T14:00:00.000Z,a1b8a51e34a6a84e5ce373e7e67afc4b";
        assert_eq!(text.parse::<AlertCursor>().unwrap().to_string(), text);
        let error = "yesterday".parse::<AlertCursor>().unwrap_err().chain();
        assert_eq!(error, "cannot read cursor \"yesterday\": it is not <event time>,<alert id>");
    }

    /// However many alerts there are, a page reads an index in its order: nothing is scanned, nothing is sorted.
    #[tokio::test]
    async fn every_listing_follows_an_index() {
        let folder = tempfile::tempdir().unwrap();
        let warehouse = SqliteWarehouse::open(&folder.path().join("warehouse.db")).await.unwrap();
        let cursor = "2026-03-18T14:00:00.000Z,a1".parse::<AlertCursor>().unwrap();
        for (rule, index) in [(None, "alerts_by_mode"), (Some("card-testing".to_owned()), "alerts_by_rule")] {
            for severity_min in SEVERITIES {
                for mode in [None, Some(AlertMode::Live)] {
                    for cursor in [None, Some(&cursor)] {
                        let filter = AlertFilter { rule: rule.clone(), severity_min, mode };
                        let explain = format!("EXPLAIN QUERY PLAN {}", listing(&filter, cursor, 50).sql());
                        let plan = sqlx::query(&explain).fetch_all(&warehouse.pool).await.unwrap();
                        let steps: Vec<String> = plan.iter().map(|row| row.get("detail")).collect();
                        let reads: Vec<_> = steps.iter().filter(|step| step.contains("alerts")).collect();
                        let expected = format!("SEARCH alerts USING INDEX {index} (");
                        assert!(
                            !reads.is_empty() && reads.iter().all(|read| read.starts_with(&expected)),
                            "{steps:#?}"
                        );
                        assert!(!steps.iter().any(|step| step.contains("TEMP B-TREE")), "{steps:#?}");
                    }
                }
            }
        }
    }
}
