//! Tokens: `tamis_<id>_<secret>`, of which only the hash of the secret is kept.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tamis_catalog::roles::{Permission, Role};
use tamis_catalog::tokens::{NewToken, Token};
use tamis_catalog::{Catalog, Change};
use tamis_model::Result;
use tamis_model::error::Context;
use tamis_model::time::Millis;

/// How the text of a token begins, so that scanners for leaked secrets know it.
const PREFIX: &str = "tamis_";
const ID_BYTES: usize = 4;
/// 256 bits that nobody can guess: a slow hash would add nothing.
const SECRET_BYTES: usize = 32;
/// Of the secret as text.
const SECRET_CHARS: usize = 43;

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
    let mut random = [0; ID_BYTES + SECRET_BYTES];
    getrandom::fill(&mut random).outage("make secret of token", &request.name)?;
    let (id, secret) = random.split_at(ID_BYTES);
    let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    let secret = URL_SAFE_NO_PAD.encode(secret);
    let text = format!("{PREFIX}{id}_{secret}");
    let TokenRequest { name, subject, role, scopes, expires_at } = request;
    let token = NewToken { id, name, subject, role, scopes, secret_sha256: hash(&secret), expires_at };
    Ok((catalog.create_token(&token, change).await?, text))
}

/// What somebody shows as a token, in the right form and not checked yet.
pub(crate) struct Shown<'a> {
    pub id: &'a str,
    secret: &'a str,
}

impl<'a> Shown<'a> {
    /// The parts of a token's text.
    pub fn parse(text: &'a str) -> Option<Self> {
        let (id, secret) = text.strip_prefix(PREFIX)?.split_at_checked(2 * ID_BYTES)?;
        let secret = secret.strip_prefix('_')?;
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let is_form = id.bytes().all(is_hex) && secret.len() == SECRET_CHARS && secret.is_ascii();
        is_form.then_some(Self { id, secret })
    }

    /// The token itself, if it is the one that was found under the id. How long that takes says nothing of how much of it is
    /// right, nor whether the id is known.
    pub fn of(&self, found: Option<Token>) -> Option<Token> {
        let kept = found.as_ref().map_or(&[0; SECRET_BYTES][..], |token| &token.secret_sha256);
        let is_same = bool::from(hash(self.secret).ct_eq(kept));
        found.filter(|_| is_same)
    }
}

fn hash(secret: &str) -> [u8; SECRET_BYTES] {
    Sha256::digest(secret).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_one_form() {
        let secret = "s".repeat(SECRET_CHARS);
        let good = format!("tamis_0123abcd_{secret}");
        let shown = Shown::parse(&good).unwrap();
        assert_eq!((shown.id, shown.secret), ("0123abcd", &secret[..]));
        for bad in [
            String::new(),
            "tamis_".to_owned(),
            "tamis_é123abcd_".to_owned(),
            format!("tamis_0123abcd{secret}"),
            format!("tamis_0123ABCD_{secret}"),
            format!("tamis_0123abc_{secret}"),
            format!("{good}x"),
            format!(" {good}"),
            good.replace("tamis", "Tamis"),
        ] {
            assert!(Shown::parse(&bad).is_none(), "{bad}");
        }
    }
}
