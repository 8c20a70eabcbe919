//! The audit log: who did what, to what, when and why, and what was refused.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use tamis_catalog::Page;
use tamis_catalog::audit::{AuditFilter, AuditRecord};
use tamis_catalog::roles::Permission;
use utoipa_axum::routes;

use crate::access::Access;
use crate::app;
use crate::extract::{Listing, PageParams};
use crate::problem::Problem;
use crate::routes::Routes;

pub(super) fn routes(routes: Routes) -> Routes {
    routes.add(Access::Read(Permission::AuditRead), routes!(list_audit_records))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// Only what this subject did.
    #[param(example = "alice")]
    subject: Option<String>,
    /// Only actions that begin so: `rule.activate`, `rule.`.
    #[param(example = "rule.")]
    action: Option<String>,
    /// Only what was done to this.
    #[param(example = "card-testing")]
    object: Option<String>,
}

/// The audit log, newest first.
#[utoipa::path(
    get, path = "/audit", tag = "audit", params(Wanted, PageParams),
    responses((status = 200, description = "A page of the log.", body = Page<AuditRecord>)),
)]
async fn list_audit_records(
    State(app): app::State,
    listing: Listing<Wanted>,
) -> Result<Json<Page<AuditRecord>>, Problem> {
    let Wanted { subject, action, object } = &listing.filter;
    let filter =
        AuditFilter { subject: subject.as_deref(), action_prefix: action.as_deref(), object: object.as_deref() };
    app.catalog().audit(&filter, &listing.page()).await.map(Json).map_err(Problem::of_query)
}
