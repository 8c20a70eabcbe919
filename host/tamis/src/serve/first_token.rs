//! The way in when there is none: a token for an administrator.

use tamis_api::{TokenRequest, issue_token};
use tamis_catalog::roles::Role;
use tamis_catalog::{Actor, Catalog, Change};
use tamis_engine::{Clock, SystemClock};
use tamis_model::Result;

/// How long it is good for.
const DAYS: i64 = 90;

/// A token for an administrator, when no token that is worth anything may make others.
pub(super) async fn first_token(catalog: &Catalog) -> Result<Option<String>> {
    let now = SystemClock.now();
    if catalog.can_anybody_make_tokens(now).await? {
        return Ok(None);
    }
    let actor = Actor::system();
    let request = TokenRequest {
        name: "first".to_owned(),
        subject: "admin".to_owned(),
        role: Role::Admin,
        scopes: None,
        expires_at: now + DAYS * 86_400_000,
    };
    let change = Change { actor: &actor, why: Some("no other token lets an administrator in"), at: now };
    issue_token(catalog, request, &change).await.map(|(_, text)| Some(text))
}
