//! Tokens: `tamis_<id>_<secret>`, of which only the hash of the secret is kept.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use tamis_catalog::roles::{Permission, Role};
use tamis_catalog::tokens::{NewToken, Token};
use tamis_catalog::{Catalog, Change};
use tamis_model::Result;
use tamis_model::error::Context;
use tamis_model::time::Millis;

/// A token to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRequest {
    /// What it is called.
    pub name: String,
    /// Whose it is.
    pub subject: String,
    /// What its bearer does here.
    pub role: Role,
    /// Less than all that the role may; none = all.
    pub scopes: Option<Vec<Permission>>,
    /// When it ends.
    pub expires_at: Millis,
}

/// Makes a token. The text is shown to its bearer once, and nobody can find it again.
pub async fn issue_token(catalog: &Catalog, request: TokenRequest, change: &Change<'_>) -> Result<(Token, String)> {
    let mut random = [0; 36];
    getrandom::fill(&mut random).outage("make secret of token", &request.name)?;
    let (id, secret) = random.split_at(4);
    let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    let text = format!("tamis_{id}_{}", URL_SAFE_NO_PAD.encode(secret));
    let TokenRequest { name, subject, role, scopes, expires_at } = request;
    let secret_sha256 = Sha256::digest(secret).into();
    let token = NewToken { id, name, subject, role, scopes, secret_sha256, expires_at };
    Ok((catalog.create_token(&token, change).await?, text))
}
