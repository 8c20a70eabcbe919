//! Who asks.

use axum::Json;
use serde::Serialize;
use tamis_catalog::roles::{Permission, Role};
use utoipa::ToSchema;
use utoipa_axum::routes;

use crate::access::{Access, Caller};
use crate::routes::Routes;

pub(super) fn routes(routes: Routes) -> Routes {
    routes.add(Access::Read(Permission::Read), routes!(get_me))
}

/// Who a token is for, and what it may do.
#[derive(Serialize, ToSchema)]
struct Me {
    /// Who.
    #[schema(example = "alice")]
    subject: String,
    /// What they do here.
    role: Role,
    /// All that the token may do.
    scopes: Vec<Permission>,
    /// The token's id.
    #[schema(example = "0123abcd")]
    token_id: String,
    /// The token's name.
    #[schema(example = "notebook")]
    token_name: String,
    /// RFC 3339.
    token_expires_at: String,
}

/// Who asks, and what the token may do.
#[utoipa::path(get, path = "/me", tag = "tokens", responses((status = 200, description = "You.", body = Me)))]
async fn get_me(caller: Caller) -> Json<Me> {
    let token = caller.token;
    Json(Me {
        scopes: token.role.permissions().iter().copied().filter(|scope| token.may(*scope)).collect(),
        subject: token.subject,
        role: token.role,
        token_id: token.id,
        token_name: token.name,
        token_expires_at: token.expires_at,
    })
}
