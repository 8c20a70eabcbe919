//! Table `tokens`: who may come in and do what. Of a token's secret only the hash is here.

use serde_json::{Value, json};
use sqlx::types::Json;
use sqlx::{FromRow, SqliteExecutor};
use tamis_model::time::{Millis, rfc3339_millis};
use tamis_model::{Error, Result};

use crate::change::{Action, Change, Write, Written};
use crate::conflict::Conflict;
use crate::page::{self, Page, PageQuery};
use crate::roles::{Permission, Role};
use crate::{Catalog, Stored};

/// How long a token may be good for.
pub const TOKEN_LIFETIME_MS_MAX: Millis = 366 * 24 * 60 * 60 * 1_000;
/// How much of the time between two uses is not recorded.
const TOUCH_INTERVAL_MS: Millis = 60_000;

/// A token to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewToken {
    /// Eight hexadecimal digits.
    pub id: String,
    /// What it is called.
    pub name: String,
    /// Whose it is.
    pub subject: String,
    /// What its bearer does here.
    pub role: Role,
    /// Less than all that the role may.
    pub scopes: Option<Vec<Permission>>,
    /// SHA-256 of its secret.
    pub secret_sha256: [u8; 32],
    /// When it ends.
    pub expires_at: Millis,
}

/// A token.
#[derive(Clone, Debug, PartialEq, Eq, FromRow, serde::Serialize, utoipa::ToSchema)]
pub struct Token {
    /// Eight hexadecimal digits, which its text begins with.
    pub id: String,
    /// What it is called.
    pub name: String,
    /// Whose it is.
    pub subject: String,
    /// What its bearer does here.
    pub role: Role,
    /// Less than all that the role may; none = all.
    #[sqlx(json(nullable))]
    pub scopes: Option<Vec<Permission>>,
    /// SHA-256 of its secret.
    #[serde(skip)]
    pub secret_sha256: Vec<u8>,
    /// Who made it.
    pub created_by: String,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339: from then on it is worth nothing.
    pub expires_at: String,
    /// RFC 3339: since then it is worth nothing.
    pub revoked_at: Option<String>,
    /// RFC 3339, to the minute.
    pub last_used_at: Option<String>,
}

impl Token {
    /// Whether it is worth anything.
    pub fn is_good(&self, now: Millis) -> bool {
        self.revoked_at.is_none() && rfc3339_millis(now) < self.expires_at
    }

    /// Whether its bearer may do it.
    pub fn may(&self, permission: Permission) -> bool {
        self.role.may(permission) && self.scopes.as_ref().is_none_or(|scopes| scopes.contains(&permission))
    }
}

impl Catalog {
    /// Keeps a new token.
    pub async fn create_token(&self, token: &NewToken, change: &Change<'_>) -> Result<Token> {
        check(token, change.at)?;
        let mut write = self.change(Action::TokenCreate, &token.id, change).await?;
        let result = create(&mut write, token).await;
        write.finish(result).await
    }

    /// From now on a token is worth nothing; revoking it again changes nothing of that.
    pub async fn revoke_token(&self, id: &str, change: &Change<'_>) -> Result<Token> {
        let mut write = self.change(Action::TokenRevoke, id, change).await?;
        let result = revoke(&mut write).await;
        write.finish(result).await
    }

    /// Records that a token was used, once a minute.
    pub async fn touch_token(&self, token: &Token, now: Millis) -> Result<()> {
        let before = rfc3339_millis(now - TOUCH_INTERVAL_MS);
        if token.last_used_at.as_ref().is_some_and(|last| *last > before) {
            return Ok(());
        }
        // Somebody else may have recorded it meanwhile.
        sqlx::query("UPDATE tokens SET last_used_at = ? WHERE id = ? AND (last_used_at IS NULL OR last_used_at <= ?)")
            .bind(rfc3339_millis(now))
            .bind(&token.id)
            .bind(before)
            .execute(&self.writer)
            .await
            .map(drop)
            .stored("record use of token", &token.id)
    }

    /// The token of this id, whatever it is worth.
    pub async fn token(&self, id: &str) -> Result<Option<Token>> {
        find(&self.readers, id).await
    }

    /// All tokens, newest first.
    pub async fn tokens(&self, page: &PageQuery<'_>) -> Result<Page<Token>> {
        if let Some(cursor) = page.cursor
            && self.token(cursor).await?.is_none()
        {
            return Err(page::unknown(cursor));
        }
        let query = "SELECT * FROM tokens WHERE ?1 IS NULL OR (created_at, id) < \
             (SELECT created_at, id FROM tokens WHERE id = ?1) ORDER BY created_at DESC, id DESC LIMIT ?2";
        let query = sqlx::query_as(query).bind(page.cursor);
        page.fetch(&self.readers, query, |token: &Token| token.id.clone()).await.stored("list", "tokens")
    }

    /// Whether a token that is good may make others: without one, nobody can come in as administrator.
    pub async fn can_anybody_make_tokens(&self, now: Millis) -> Result<bool> {
        let good = sqlx::query_as("SELECT * FROM tokens WHERE revoked_at IS NULL AND expires_at > ? ORDER BY id");
        let good: Vec<Token> =
            good.bind(rfc3339_millis(now)).fetch_all(&self.readers).await.stored("list", "tokens")?;
        Ok(good.iter().any(|token| token.may(Permission::TokensWrite)))
    }
}

async fn create(write: &mut Write<'_>, token: &NewToken) -> Result<Written<Token>> {
    let query = sqlx::query(
        "INSERT INTO tokens (id, name, subject, role, scopes, secret_sha256, created_by, created_at, expires_at) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
    );
    let query = query
        .bind(&token.id)
        .bind(&token.name)
        .bind(&token.subject)
        .bind(token.role)
        .bind(token.scopes.as_ref().map(Json))
        .bind(token.secret_sha256.as_slice())
        .bind(write.subject())
        .bind(write.at())
        .bind(rfc3339_millis(token.expires_at));
    if write.execute(query).await? == 0 {
        return Err(write.refuse(Conflict::Exists));
    }
    let token = load(write).await?;
    let after = json!(token);
    Ok(Written { value: token, before: Value::Null, after })
}

async fn revoke(write: &mut Write<'_>) -> Result<Written<Token>> {
    let before = load(write).await?.revoked_at;
    let query = sqlx::query("UPDATE tokens SET revoked_at = coalesce(revoked_at, ?) WHERE id = ?");
    write.execute(query.bind(write.at()).bind(write.object)).await?;
    let token = load(write).await?;
    let after = json!({"revoked_at": token.revoked_at});
    Ok(Written { value: token, before: json!({"revoked_at": before}), after })
}

async fn load(write: &mut Write<'_>) -> Result<Token> {
    let found = find(&mut *write.transaction, write.object).await?;
    found.ok_or_else(|| write.missing("there is no token of this id"))
}

fn check(token: &NewToken, now: Millis) -> Result<()> {
    let refuse = |reason: String| Err(Error::invalid(Action::TokenCreate.operation(), &token.name, reason));
    if token.id.len() != 8 || !token.id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
        return refuse("an id is eight hexadecimal digits".to_owned());
    }
    if token.subject.is_empty() || ["system", "local"].contains(&token.subject.as_str()) {
        return refuse(format!("{:?} is nobody that a token can be for", token.subject));
    }
    if !(now + 1..=now + TOKEN_LIFETIME_MS_MAX).contains(&token.expires_at) {
        return refuse("it must end within 366 days".to_owned());
    }
    let beyond = token.scopes.iter().flatten().find(|scope| !token.role.may(**scope));
    match beyond {
        Some(scope) => refuse(format!("the role {} has no scope {scope}", token.role)),
        None => Ok(()),
    }
}

async fn find(executor: impl SqliteExecutor<'_>, id: &str) -> Result<Option<Token>> {
    sqlx::query_as("SELECT * FROM tokens WHERE id = ?").bind(id).fetch_optional(executor).await.stored("find token", id)
}
