//! Alerts as they are stored: people are pseudonyms.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use tamis_catalog::Page;
use tamis_catalog::roles::Permission;
use tamis_connectors::warehouse::{AlertFilter, StoredAlert};
use tamis_model::alert::AlertMode;
use tamis_model::rule::Severity;
use utoipa_axum::routes;

use crate::access::Access;
use crate::app::{self, found};
use crate::extract::{Listing, PageParams, Path};
use crate::problem::Problem;
use crate::routes::Routes;

pub(super) fn routes(routes: Routes) -> Routes {
    let read = Access::Read(Permission::Read);
    routes.add(read, routes!(list_alerts)).add(read, routes!(get_alert))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// Only those of this rule.
    #[param(example = "card-testing")]
    rule: Option<String>,
    /// Only those at least this bad.
    severity: Option<Severity>,
    /// Only those that count, or only those that do not.
    mode: Option<AlertMode>,
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Path)]
struct AlertPath {
    /// The alert's id.
    alert_id: String,
}

/// The alerts, those of the newest events first.
#[utoipa::path(
    get, path = "/alerts", tag = "alerts", params(Wanted, PageParams),
    responses((status = 200, description = "A page of alerts.", body = Page<StoredAlert>)),
)]
async fn list_alerts(
    State(app): app::State,
    Listing { filter: Wanted { rule, severity, mode }, limit, cursor }: Listing<Wanted>,
) -> Result<Json<Page<StoredAlert>>, Problem> {
    let filter = AlertFilter { rule, severity_min: severity.unwrap_or(Severity::Info), mode };
    let cursor = cursor.map(|cursor| cursor.parse()).transpose().map_err(Problem::of_query)?;
    let (items, next) = app.api.warehouse.alerts(&filter, cursor.as_ref(), limit).await?;
    Ok(Json(Page { items, next_cursor: next.map(|cursor| cursor.to_string()) }))
}

/// An alert.
#[utoipa::path(
    get, path = "/alerts/{alert_id}", tag = "alerts", params(AlertPath),
    responses((status = 200, description = "The alert.", body = StoredAlert)),
)]
async fn get_alert(
    State(app): app::State,
    Path(AlertPath { alert_id }): Path<AlertPath>,
) -> Result<Json<StoredAlert>, Problem> {
    let alert = app.api.warehouse.alert(&alert_id).await?;
    found(alert, || format!("there is no alert {alert_id:?}")).map(Json)
}
