//! What the people who run Tamis must look at; alerts of rules are elsewhere.

use axum::Json;
use axum::extract::State;
use tamis_catalog::Page;
use tamis_catalog::operations::NumberedAlert;
use tamis_catalog::roles::Permission;
use utoipa_axum::routes;

use crate::access::Access;
use crate::app;
use crate::extract::{Everything, Listing, PageParams};
use crate::problem::Problem;
use crate::routes::Routes;

pub(super) fn routes(routes: Routes) -> Routes {
    routes.add(Access::Read(Permission::Read), routes!(list_operational_alerts))
}

/// What people must look at, newest first: what runs found, rules that the host stopped, streams that stand still.
#[utoipa::path(
    get, path = "/operational-alerts", tag = "operational alerts", params(PageParams),
    responses((status = 200, description = "A page of operational alerts.", body = Page<NumberedAlert>)),
)]
async fn list_operational_alerts(
    State(app): app::State,
    listing: Listing<Everything>,
) -> Result<Json<Page<NumberedAlert>>, Problem> {
    app.catalog().all_operational_alerts(&listing.page()).await.map(Json).map_err(Problem::of_query)
}
