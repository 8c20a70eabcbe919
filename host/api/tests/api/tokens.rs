//! Tokens by HTTP: made, shown once, used, revoked.

use serde_json::{Value, json};
use tamis_catalog::roles::{Permission, Role};

use crate::home::Home;

fn token(members: Value) -> Value {
    let mut token =
        json!({"name": "notebook", "subject": "bob", "role": "analyst", "expires_at": "2026-04-01T00:00:00Z"});
    token.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    token
}

#[tokio::test]
async fn a_token_is_shown_once_and_works_until_it_is_revoked() {
    let home = Home::new().await;
    let admin = home.token("ada", Role::Admin).await;
    let made =
        home.post("/tokens").token(&admin).json(token(json!({"why": "Bob is here"}))).send().await.is(201).json();
    let (id, text) = (made["id"].as_str().unwrap(), made["text"].as_str().unwrap());
    assert!(text.starts_with(&format!("tamis_{id}_")) && text.len() == 58, "{text}");
    assert_eq!(made["created_by"], "ada");

    let me = home.get("/me").token(text).send().await.is(200).json();
    assert_eq!((&me["subject"], &me["role"], &me["token_id"]), (&json!("bob"), &json!("analyst"), &json!(id)));
    let secret = text.rsplit('_').next().unwrap();
    for path in ["/tokens", "/audit", "/me"] {
        let answer = home.get(path).token(&admin).send().await.is(200);
        assert!(!String::from_utf8_lossy(&answer.body).contains(secret), "{path} shows a secret");
    }
    let used = async || {
        let page = home.get("/tokens").token(&admin).send().await.is(200).json();
        page["items"].as_array().unwrap().iter().find(|token| token["id"] == id).unwrap()["last_used_at"].clone()
    };
    // It is recorded beside the request.
    while used().await.is_null() {
        tokio::task::yield_now().await;
    }
    for _ in 0..2 {
        home.request("DELETE", &format!("/tokens/{id}")).token(&admin).send().await.is(200);
    }
    home.get("/me").token(text).send().await.is(401);
}

#[tokio::test]
async fn what_is_no_token_is_refused() {
    let home = Home::new().await;
    let admin = home.token("ada", Role::Admin).await;
    let check = async |members: Value| {
        home.post("/tokens").token(&admin).json(token(members)).send().await.is(422);
    };
    for members in [
        json!({"name": ""}),
        json!({"name": "n".repeat(65)}),
        json!({"subject": "system"}),
        json!({"role": "boss"}),
        json!({"scopes": ["tokens:write"]}),
        json!({"expires_at": "tomorrow"}),
        json!({"expires_at": "2026-03-20T11:59:59Z"}),
        json!({"expires_at": "2027-03-22T00:00:00Z"}),
    ] {
        check(members).await;
    }
}

#[tokio::test]
async fn nobody_makes_a_token_that_may_more_than_theirs() {
    let home = Home::new().await;
    let (_, less) = home.issue("ada", Role::Admin, Some(vec![Permission::TokensWrite, Permission::Read])).await;
    let make = |members: Value| home.post("/tokens").token(&less).json(token(members)).send();
    let refused = make(json!({"role": "admin"})).await.is(403);
    assert_eq!(refused.json()["scope"], "dead_letters:read");
    make(json!({"role": "viewer"})).await.is(201);
    make(json!({"role": "admin", "scopes": ["read", "tokens:write"]})).await.is(201);
    let admin = home.token("ada", Role::Admin).await;
    let log = home.get("/audit?action=token.create").token(&admin).send().await.is(200).json();
    let refusals = log["items"].as_array().unwrap().iter().filter(|item| item["outcome"] == "refused").count();
    assert_eq!(refusals, 1);
}
