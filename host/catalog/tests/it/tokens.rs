//! Tokens: what they are good for, and how long.

use tamis_catalog::roles::{Permission, Role};
use tamis_catalog::tokens::{NewToken, TOKEN_LIFETIME_MS_MAX};
use tamis_catalog::{Conflict, PageQuery};
use tamis_model::Kind;

use crate::home::{FIRST, Home, alice, by, conflict};

fn token(id: &str) -> NewToken {
    NewToken {
        id: id.to_owned(),
        name: "laptop".to_owned(),
        subject: "carol".to_owned(),
        role: Role::Analyst,
        scopes: None,
        secret_sha256: [7; 32],
        expires_at: 100_000,
    }
}

#[tokio::test]
async fn a_token_is_good_until_it_ends_or_is_revoked() {
    let home = Home::open().await;
    let made = home.catalog.create_token(&token("0000000a"), &by(&alice())).await.unwrap();
    assert_eq!(made.secret_sha256, [7; 32]);
    assert_eq!([0, 99_999, 100_000].map(|now| made.is_good(now)), [true, true, false]);
    assert_eq!(home.catalog.token("0000000a").await.unwrap(), Some(made));
    assert_eq!(home.catalog.token("0000000b").await.unwrap(), None);

    let revoked = home.catalog.revoke_token("0000000a", &by(&alice())).await.unwrap();
    assert!(!revoked.is_good(0));
    assert_eq!(home.catalog.revoke_token("0000000a", &by(&alice())).await.unwrap(), revoked, "no later");
    assert_eq!(home.catalog.revoke_token("0000000b", &by(&alice())).await.unwrap_err().kind(), Kind::Missing);
}

#[tokio::test]
async fn whoever_has_the_home_is_locked_out_when_no_good_token_makes_others() {
    let home = Home::open().await;
    let admin = NewToken { role: Role::Admin, ..token("0000000a") };
    let open = async |now| home.catalog.can_anybody_make_tokens(now).await.unwrap();
    assert!(!open(8).await, "there is none");
    home.catalog.create_token(&token("0000000b"), &by(&alice())).await.unwrap();
    let narrow = NewToken { id: "0000000c".to_owned(), scopes: Some(vec![Permission::Read]), ..admin.clone() };
    home.catalog.create_token(&narrow, &by(&alice())).await.unwrap();
    assert!(!open(8).await, "analysts and administrators who may only look make none");
    home.catalog.create_token(&admin, &by(&alice())).await.unwrap();
    assert_eq!([open(8).await, open(99_999).await, open(100_000).await], [true, true, false], "it ends");
    home.catalog.revoke_token("0000000a", &by(&alice())).await.unwrap();
    assert!(!open(8).await, "it was revoked");
}

#[tokio::test]
async fn a_token_may_what_its_role_and_its_scopes_say() {
    let home = Home::open().await;
    let scopes = Some(vec![Permission::Read, Permission::ListsWrite]);
    let narrow = home.catalog.create_token(&NewToken { scopes, ..token("0000000a") }, &by(&alice())).await.unwrap();
    let wide = home.catalog.create_token(&token("0000000b"), &by(&alice())).await.unwrap();
    for permission in Permission::ALL {
        assert_eq!(wide.may(*permission), Role::Analyst.may(*permission), "{permission}");
        let in_scope = matches!(permission, Permission::Read | Permission::ListsWrite);
        assert_eq!(narrow.may(*permission), in_scope, "{permission}");
    }
}

#[tokio::test]
async fn what_is_no_token_is_refused() {
    let home = Home::open().await;
    let refused = [
        NewToken { id: "0000000".to_owned(), ..token("") },
        NewToken { id: "0000000G".to_owned(), ..token("") },
        NewToken { subject: String::new(), ..token("0000000a") },
        NewToken { subject: "system".to_owned(), ..token("0000000a") },
        NewToken { subject: "local".to_owned(), ..token("0000000a") },
        NewToken { expires_at: 7, ..token("0000000a") },
        NewToken { expires_at: 8 + TOKEN_LIFETIME_MS_MAX, ..token("0000000a") },
        NewToken { scopes: Some(vec![Permission::Read, Permission::TokensWrite]), ..token("0000000a") },
    ];
    for token in refused {
        let error = home.catalog.create_token(&token, &by(&alice())).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid, "{token:?}");
    }
    assert_eq!(home.catalog.tokens(&FIRST).await.unwrap().items, []);
    home.catalog.create_token(&token("0000000a"), &by(&alice())).await.unwrap();
    assert_eq!(conflict(home.catalog.create_token(&token("0000000a"), &by(&alice())).await), Conflict::Exists);
}

#[tokio::test]
async fn a_use_is_recorded_once_a_minute() {
    let home = Home::open().await;
    let fresh = home.catalog.create_token(&token("0000000a"), &by(&alice())).await.unwrap();
    let last_used = async || home.catalog.token("0000000a").await.unwrap().unwrap().last_used_at.unwrap();
    // (when it is used, what is recorded then), by somebody who read the token once.
    for (now, expected) in [(1_000, "00:00:01"), (60_999, "00:00:01"), (61_000, "00:01:01"), (70_000, "00:01:01")] {
        home.catalog.touch_token(&fresh, now).await.unwrap();
        assert_eq!(last_used().await, format!("1970-01-01T{expected}.000Z"), "at {now}");
    }
    let known = home.catalog.token("0000000a").await.unwrap().unwrap();
    for (now, expected) in [(120_999, "00:01:01"), (121_000, "00:02:01")] {
        home.catalog.touch_token(&known, now).await.unwrap();
        assert_eq!(last_used().await, format!("1970-01-01T{expected}.000Z"), "at {now}");
    }
}

#[tokio::test]
async fn nobody_who_only_looks_learns_of_tokens() {
    let home = Home::open().await;
    let made = home.catalog.create_token(&token("0000000a"), &by(&alice())).await.unwrap();
    home.catalog.revoke_token("0000000a", &by(&alice())).await.unwrap();
    assert_eq!(home.catalog.last_event_id().await.unwrap(), 0);
    let audited = home.catalog.audit(&Default::default(), &FIRST).await.unwrap().items;
    assert_eq!(audited.iter().map(|row| row.action.name()).collect::<Vec<_>>(), ["token.revoke", "token.create"]);
    for text in [serde_json::to_string(&made).unwrap(), serde_json::to_string(&audited).unwrap()] {
        assert!(!text.contains("secret"), "{text}");
    }
}

#[tokio::test]
async fn tokens_are_listed_newest_first() {
    let home = Home::open().await;
    let alice = alice();
    for (id, at) in [("0000000c", 1), ("0000000a", 2), ("0000000b", 2)] {
        let change = tamis_catalog::Change { at, ..by(&alice) };
        home.catalog.create_token(&token(id), &change).await.unwrap();
    }
    let page = home.catalog.tokens(&PageQuery { limit: 2, ..FIRST }).await.unwrap();
    let rest = home.catalog.tokens(&PageQuery { cursor: page.next_cursor.as_deref(), ..FIRST }).await.unwrap();
    let ids: Vec<_> = page.items.iter().chain(&rest.items).map(|token| token.id.as_str()).collect();
    assert_eq!(ids, ["0000000b", "0000000a", "0000000c"]);
    let unknown = home.catalog.tokens(&PageQuery { cursor: Some("0000000d"), ..FIRST }).await.unwrap_err();
    assert_eq!(unknown.kind(), Kind::Invalid);
}
