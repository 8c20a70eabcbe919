//! Examples in a report. It is stored and read by many, so people are pseudonyms in it, as in the warehouse.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tamis_model::alert::Alert;
use tamis_model::pseudonym::Pepper;
use tamis_model::rule::Severity;

/// An alert that a version raised.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AlertExample {
    /// Its identity in live mode.
    pub alert_id: String,
    /// The trigger's record time, or the start of the window. RFC 3339.
    pub event_time: String,
    /// The value of the rule's key column, `all`, or none for rules without one.
    pub key: Option<String>,
    /// The trigger's payment.
    pub payment_id: Option<String>,
    /// The trigger's order.
    pub order_id: Option<String>,
    /// The trigger's customer.
    pub customer_id: Option<String>,
    /// How bad it is.
    pub severity: Severity,
    /// The criteria that hold.
    pub criteria: Vec<String>,
    /// The compared values; for windows the tallies and bounds.
    pub context: Value,
}

/// An alert that both versions raised.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PairExample {
    /// As the version has it that was tried.
    pub new: AlertExample,
    /// As the version has it that it was compared with.
    pub old: AlertExample,
}

/// An event, or a key whose timer was due, on which the code of a version failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ErrorExample {
    /// The topic of the event, or the first one that the rule reads.
    pub topic: String,
    /// Its partition; none for a key.
    pub partition: Option<u32>,
    /// Its offset; none for a key.
    pub offset: Option<i64>,
    /// Its record time; for a key the watermark. RFC 3339.
    pub time: String,
    /// A stable name of the reason: `deadline`, `trap`, …
    pub reason: String,
    /// In words.
    pub message: String,
}

impl AlertExample {
    /// The example that an alert makes.
    pub(super) fn of(alert: &Alert, pepper: &Pepper) -> Self {
        let stored = alert.for_storage(pepper);
        Self {
            context: serde_json::to_value(&stored.context).unwrap_or_default(),
            alert_id: stored.alert_id,
            event_time: stored.event_time,
            key: stored.key,
            payment_id: stored.payment_id,
            order_id: stored.order_id,
            customer_id: stored.customer_id,
            severity: stored.severity,
            criteria: stored.criteria,
        }
    }
}
