//! Who may do what: every operation of the document with every role, with less than a role, and with tokens that are
//! worth nothing.

use serde_json::{Value, json};
use tamis_catalog::roles::{Permission, Role};

use crate::client::{Answer, Request};
use crate::components;
use crate::contract::Contract;
use crate::home::{Home, whole};

/// A request that its operation can read. The permissions are those of the specification, not those of the document.
struct Row {
    operation: &'static str,
    scope: Option<Permission>,
    path: &'static str,
    body: Sends,
}

enum Sends {
    Nothing,
    Json(Value),
    Component,
}

fn row(operation: &'static str, scope: Permission, path: &'static str) -> Row {
    Row { operation, scope: Some(scope), path, body: Sends::Nothing }
}

fn sends(operation: &'static str, scope: Permission, path: &'static str, body: Value) -> Row {
    Row { body: Sends::Json(body), ..row(operation, scope, path) }
}

fn open(operation: &'static str, path: &'static str) -> Row {
    Row { scope: None, ..row(operation, Permission::Read, path) }
}

/// At least one row for each operation; where the body decides, one for each body.
fn rows() -> Vec<Row> {
    use Permission as P;
    let why = || json!({"why": "because"});
    let budget = json!({"rows_min": 1, "errors_percent_max": 1.0, "window_rows": 10});
    vec![
        open("healthz", "/healthz"),
        open("readyz", "/readyz"),
        row("get_metrics", P::Read, "/metrics"),
        open("get_document", "/openapi.json"),
        row("get_me", P::Read, "/me"),
        row("list_plugins", P::Read, "/plugins"),
        row("list_plugin_versions", P::Read, "/plugins/other"),
        row("get_plugin_version", P::Read, "/plugins/other/versions/1.0.0"),
        row("get_component", P::Read, "/components/00"),
        Row { body: Sends::Component, ..row("upload_plugin", P::PluginsWrite, "/plugins") },
        row("list_rules", P::Read, "/rules"),
        row("get_rule", P::Read, "/rules/card-testing"),
        row("list_rule_history", P::Read, "/rules/card-testing/history"),
        row("get_rule_stats", P::Read, "/rules/card-testing/stats"),
        row("list_rule_versions", P::Read, "/rules/card-testing/versions"),
        row("get_rule_version", P::Read, "/rules/card-testing/versions/1"),
        sends("create_rule", P::RulesWrite, "/rules", json!({"name": "new", "plugin": "other"})),
        sends("create_rule_version", P::RulesWrite, "/rules/other/versions", json!({"config": {"limit": 9}})),
        row("submit_rule_version", P::RulesWrite, "/rules/card-testing/versions/3/submit"),
        row("approve_rule_version", P::RulesReview, "/rules/card-testing/versions/2/approve"),
        sends("reject_rule_version", P::RulesReview, "/rules/card-testing/versions/2/reject", why()),
        sends("change_rule", P::RulesDisable, "/rules/card-testing", json!({"mode": "disabled", "why": "it floods"})),
        sends("change_rule", P::RulesWrite, "/rules/card-testing", json!({"mode": "shadow", "version": 2})),
        sends("change_rule", P::RulesWrite, "/rules/card-testing", json!({"trial": null})),
        sends("change_rule", P::RulesActivate, "/rules/card-testing", json!({"mode": "active"})),
        sends("change_rule", P::RulesActivate, "/rules/card-testing", json!({"mode": "active", "version": 4})),
        sends(
            "change_rule",
            P::RulesActivate,
            "/rules/card-testing",
            json!({"mode": "canary", "version": 1, "canary_percent": 10, "budget": budget}),
        ),
        sends("roll_back_rule", P::RulesActivate, "/rules/card-testing/rollback", why()),
        row("list_lists", P::Read, "/lists"),
        row("get_list", P::Read, "/lists/vip"),
        row("list_list_history", P::Read, "/lists/vip/history"),
        sends("put_list", P::ListsWrite, "/lists/vip", json!({"values": ["c"]})),
        row("list_topics", P::Read, "/topics"),
        row("list_runs", P::Read, "/runs"),
        row("get_run", P::Read, "/runs/run-1"),
        sends("start_run", P::RunsWrite, "/runs", json!({"job": "nightly", "as_of": "2026-03-20"})),
        row("list_alerts", P::Read, "/alerts"),
        row("get_alert", P::Read, "/alerts/00000000000000000000000000000001"),
        row("list_operational_alerts", P::Read, "/operational-alerts"),
        row("list_dead_letters", P::DeadLettersRead, "/dead-letters"),
        row("get_dead_letter", P::DeadLettersRead, "/dead-letters/0/0"),
        sends("redrive_dead_letters", P::DeadLettersRedrive, "/dead-letters/redrive", json!({"letters": []})),
        row("list_backtests", P::Read, "/backtests"),
        row("get_backtest", P::Read, "/backtests/backtest-1"),
        sends(
            "start_backtest",
            P::BacktestsWrite,
            "/backtests",
            json!({"rule": "card-testing", "from": "2026-03-18T00:00:00Z", "to": "2026-03-19T00:00:00Z"}),
        ),
        row("cancel_backtest", P::BacktestsWrite, "/backtests/backtest-1"),
        sends(
            "decide",
            P::DecisionsWrite,
            "/decisions/payments",
            json!({"records": [{"value": {"payment_id": "p1"}}]}),
        ),
        row("list_tokens", P::TokensWrite, "/tokens"),
        sends(
            "create_token",
            P::TokensWrite,
            "/tokens",
            json!({"name": "n", "subject": "s", "role": "admin", "scopes": ["tokens:write"],
                   "expires_at": "2026-04-01T00:00:00Z"}),
        ),
        row("revoke_token", P::TokensWrite, "/tokens/00000000"),
        row("list_audit_records", P::AuditRead, "/audit"),
        row("stream_events", P::Read, "/events"),
    ]
}

impl Row {
    fn method<'a>(&self, contract: &'a Contract) -> &'a str {
        let operations = contract.operations();
        operations.iter().find(|operation| operation.id == self.operation).expect("the document has it").method
    }

    /// The request, with nobody's token.
    fn request(&self, home: &Home) -> Request {
        let request = home.request(&self.method(&home.contract).to_uppercase(), self.path).if_match("*");
        match &self.body {
            Sends::Nothing => request,
            Sends::Json(body) => request.json(body.clone()),
            Sends::Component => request.body("application/wasm", components::rule("other", "1.0.0")),
        }
    }

    /// Its status; an event stream has no end that could be waited for.
    async fn status(&self, request: Request) -> u16 {
        if self.operation == "stream_events" {
            return request.begin().await.status().as_u16();
        }
        request.send().await.status
    }

    fn changes_something(&self, home: &Home) -> bool {
        self.method(&home.contract) != "get"
    }
}

/// Whether an answer says that whoever asks may.
fn is_let_in(status: u16) -> bool {
    !matches!(status, 401 | 403)
}

#[tokio::test]
async fn every_operation_is_in_the_table_with_what_the_document_says() {
    let home = Home::new().await;
    let rows = rows();
    for operation in home.contract.operations() {
        let mut wanted: Vec<_> = rows.iter().filter(|row| row.operation == operation.id).collect();
        assert!(!wanted.is_empty(), "{}: give it a row", operation.id);
        let found = wanted.iter().all(|row| {
            let place = home.contract.operation(operation.method, &whole(row.path));
            place.is_some_and(|place| place.id == operation.id)
        });
        assert!(found, "{}: a row of it leads elsewhere", operation.id);
        wanted.dedup_by_key(|row| row.scope);
        let mut scopes: Vec<_> = wanted.iter().filter_map(|row| row.scope.map(Permission::name)).collect();
        scopes.sort_unstable();
        let mut declared = operation.scopes();
        declared.sort_unstable();
        assert_eq!(scopes, declared, "{}", operation.id);
    }
    assert!(rows.iter().all(|row| home.contract.operations().iter().any(|operation| operation.id == row.operation)));
}

#[tokio::test]
async fn each_role_may_do_what_the_table_says_and_nothing_else() {
    let home = Home::populated().await;
    let mut refused = 0;
    for row in rows() {
        for role in Role::ALL {
            let token = home.token(&format!("some {role}"), *role).await;
            let status = row.status(row.request(&home).token(&token)).await;
            let may = row.scope.is_none_or(|scope| role.may(scope));
            assert_eq!(is_let_in(status), may, "{} by a {role}: {status}", row.operation);
            if !may {
                assert_eq!(status, 403, "{} by a {role}", row.operation);
                refused += usize::from(row.changes_something(&home));
            }
        }
    }
    assert_eq!(refusals(&home).await, refused, "every change that was refused is in the audit log");
}

/// The changes that were refused for want of a scope, by the audit log.
async fn refusals(home: &Home) -> usize {
    let auditor = home.token("audrey", Role::Admin).await;
    let (mut count, mut path) = (0, "/audit?limit=500".to_owned());
    loop {
        let page = home.get(&path).token(&auditor).send().await.is(200).json();
        let items = page["items"].as_array().unwrap();
        let is_refusal = |item: &&Value| {
            item["outcome"] == "refused" && item["reason"].as_str().is_some_and(|reason| reason.contains("the scope"))
        };
        count += items.iter().filter(is_refusal).count();
        match page["next_cursor"].as_str() {
            Some(cursor) => path = format!("/audit?limit=500&cursor={cursor}"),
            None => return count,
        }
    }
}

#[tokio::test]
async fn a_token_may_be_less_than_its_role() {
    let home = Home::populated().await;
    for row in rows() {
        let Some(scope) = row.scope else { continue };
        for role in Role::ALL.iter().filter(|role| role.may(scope)) {
            let others = role.permissions().iter().copied().filter(|other| *other != scope).collect();
            let (_, without) = home.issue("paul", *role, Some(others)).await;
            let answer = row.request(&home).token(&without).send().await.is(403);
            assert_eq!(answer.json()["scope"], scope.name(), "{} by a {role}", row.operation);
            let (_, with) = home.issue("paul", *role, Some(vec![scope])).await;
            assert!(is_let_in(row.status(row.request(&home).token(&with)).await), "{} by a {role}", row.operation);
        }
    }
}

#[tokio::test]
async fn a_token_that_is_worth_nothing_opens_nothing() {
    let home = Home::populated().await;
    let (_, expired) = home.issue("eve", Role::Admin, None).await;
    home.clock.advance(25 * 60 * 60 * 1_000);
    let (id, revoked) = home.issue("eve", Role::Admin, None).await;
    let admin = home.token("ada", Role::Admin).await;
    home.request("DELETE", &format!("/tokens/{id}")).token(&admin).send().await.is(200);
    let wrong_secret = format!("{}{}", &admin[..15], "A".repeat(43));
    let unknown = admin.replace(&admin[6..14], "00000000");
    let nothings: [(&str, Option<String>); 7] = [
        ("none", None),
        ("expired", Some(format!("Bearer {expired}"))),
        ("revoked", Some(format!("Bearer {revoked}"))),
        ("wrong secret", Some(format!("Bearer {wrong_secret}"))),
        ("unknown", Some(format!("Bearer {unknown}"))),
        ("no token", Some("Bearer open sesame".to_owned())),
        ("another scheme", Some(format!("Basic {admin}"))),
    ];
    let before = home.catalog().last_event_id().await.unwrap();
    for row in rows() {
        for (what, header) in &nothings {
            let request = row.request(&home);
            let request = match header {
                Some(header) => request.header("authorization", header),
                None => request,
            };
            let Some(_) = row.scope else {
                assert!(is_let_in(request.send().await.status), "{} with {what}", row.operation);
                continue;
            };
            let answer: Answer = request.send().await.is(401);
            assert!(answer.text("www-authenticate").starts_with("Bearer"), "{} with {what}", row.operation);
        }
    }
    assert_eq!(home.catalog().last_event_id().await.unwrap(), before, "nothing was changed");
    assert_eq!(refusals(&home).await, 0, "nobody can fill the audit log without a token");
}

#[tokio::test]
async fn whoever_is_refused_again_and_again_does_not_fill_the_audit_log() {
    let home = Home::populated().await;
    let viewer = home.token("vic", Role::Viewer).await;
    let name = "x".repeat(2_000);
    for _ in 0..3 {
        let put = home.put(&format!("/lists/{name}")).token(&viewer).header("if-none-match", "*");
        put.json(json!({"values": []})).send().await.is(403);
    }
    assert_eq!(refusals(&home).await, 1);
    let auditor = home.token("audrey", Role::Admin).await;
    let page = home.get("/audit?subject=vic").token(&auditor).send().await.is(200).json();
    assert_eq!(page["items"][0]["object"], "x".repeat(128));
    home.clock.advance(60_000);
    home.put("/lists/vip").token(&viewer).if_match("*").json(json!({"values": []})).send().await.is(403);
    assert_eq!(refusals(&home).await, 2);
}
