//! Everything that can be wrong with a request, and what is said of it.

use serde_json::{Value, json};
use tamis_catalog::roles::Role;

use crate::client::Request;
use crate::home::Home;

/// A request that is refused: its status, its kind, and what its detail says.
async fn check(request: Request, status: u16, slug: &str, says: &str) -> Value {
    let place = format!("{} {}", request.method, request.path);
    let answer = request.send().await;
    assert_eq!(answer.status, status, "{place}: {}", String::from_utf8_lossy(&answer.body));
    assert_eq!(answer.slug(), slug, "{place}");
    let problem = answer.json();
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains(says), "{place}: {detail}");
    problem
}

#[tokio::test]
async fn paths_and_methods_that_are_none() {
    let home = Home::populated().await;
    let token = home.token("ada", Role::Admin).await;
    let get = |path: &str| home.get(path).token(&token);
    for path in [
        "/nothing",
        "/rules/",
        "/rules/a/b/c",
        "/rules/card-testing/versions/x",
        "/rules/card-testing/versions/-1",
        "/rules/card-testing/versions/99999999999",
        "/dead-letters/0",
        "/dead-letters/x/0",
        "/dead-letters/0/x",
        "/rules/%FF",
    ] {
        check(get(path), 404, "not-found", "").await;
    }
    check(get("/rules/nobody"), 404, "not-found", "there is no rule \"nobody\"").await;
    check(get("/rules/nobody/versions"), 404, "not-found", "there is no rule").await;
    check(get("/rules/nobody/history"), 404, "not-found", "there is no rule").await;
    check(get("/rules/nobody/stats"), 404, "not-found", "there is no rule").await;
    check(get("/rules/card-testing/versions/99"), 404, "not-found", "version 99").await;
    check(get("/plugins/nobody"), 404, "not-found", "there is no plugin").await;
    check(get("/plugins/other/versions/9.9.9"), 404, "not-found", "9.9.9").await;
    check(get("/lists/nobody"), 404, "not-found", "there is no list").await;
    check(get("/lists/nobody/history"), 404, "not-found", "there is no list").await;
    // The catalogue would find a run by the beginning of its id.
    check(get("/runs/run"), 404, "not-found", "there is no run").await;
    check(get("/alerts/nobody"), 404, "not-found", "there is no alert").await;
    check(get("/dead-letters/0/99"), 404, "not-found", "there is no dead letter").await;
    check(get("/backtests/nobody"), 404, "not-found", "there is no backtest").await;
    check(home.request("DELETE", "/tokens/00000000").token(&token), 404, "not-found", "no token").await;

    for (method, path, allowed) in [
        ("DELETE", "/rules", "GET,HEAD,POST"),
        ("TRACE", "/rules/card-testing", "GET,HEAD,PATCH"),
        ("PUT", "/me", "GET,HEAD"),
    ] {
        let answer = home.request(method, path).token(&token).send().await.is(405);
        assert_eq!((answer.slug().as_str(), answer.text("allow")), ("method-not-allowed", allowed));
    }
    let outside = Request { path: "/nowhere".to_owned(), ..get("/") };
    check(outside, 404, "not-found", "").await;
}

#[tokio::test]
async fn bodies_that_cannot_be_read() {
    let home = Home::populated().await;
    let token = home.token("ada", Role::Admin).await;
    let post = |body: &str| home.post("/rules").token(&token).body("application/json", body.to_owned());
    let syntax = check(post("{\n  \"name\": nope}"), 400, "bad-request", "expected ident").await;
    assert_eq!((&syntax["line"], &syntax["column"]), (&json!(2), &json!(12)));
    check(post(""), 400, "bad-request", "EOF").await;
    check(post("{\"name\": \"a\"} x"), 400, "bad-request", "trailing").await;
    check(post("{\"name\": \"\u{0}\"}"), 400, "bad-request", "control character").await;
    let deep = format!("{{\"name\": \"a\", \"config\": {{\"a\": {}", "[".repeat(200));
    check(post(&deep), 400, "bad-request", "recursion").await;

    let shape = check(post("{\"name\": \"a\", \"config\": 7}"), 422, "invalid", "expected a map").await;
    assert_eq!((&shape["line"], &shape["member"]), (&json!(1), &json!("config")));
    check(post("{}"), 422, "invalid", "missing field `name`").await;
    check(post("{\"name\": \"a\", \"nmae\": \"b\"}"), 422, "invalid", "unknown field `nmae`").await;
    check(post("{\"name\": \"a\", \"name\": \"b\"}"), 422, "invalid", "duplicate field").await;
    let long = json!({"name": "a", "why": "w".repeat(2001)}).to_string();
    check(post(&long), 422, "invalid", "at most 2000 characters").await;
    let patch = home.patch("/rules/card-testing").token(&token).if_match("*").json(json!({"mode": "off"}));
    check(patch, 422, "invalid", "unknown variant `off`").await;

    for media_type in ["text/plain", "application/xml", "multipart/form-data; boundary=x", ""] {
        let request = home.post("/rules").token(&token).body(media_type, "{}");
        check(request, 415, "media-type", "application/json").await;
    }
    let charset = home.post("/rules").token(&token).body("Application/JSON; charset=utf-8", "{}");
    check(charset, 422, "invalid", "missing field").await;
    let unsaid = home.post("/rules/card-testing/versions/3/submit").token(&token).body("text/plain", "because");
    check(unsaid, 415, "media-type", "").await;
}

#[tokio::test]
async fn bodies_that_are_too_large() {
    let home = Home::populated().await;
    let token = home.token("ada", Role::Admin).await;
    let values: Vec<String> = (0..200_000).map(|n| format!("value {n}")).collect();
    let put = home.put("/lists/vip").token(&token).if_match("*").json(json!({"values": values}));
    check(put, 413, "too-large", "1048576").await;
    let component = vec![0; (64 << 20) + 1];
    let upload = home.post("/plugins").token(&token).body("application/wasm", component);
    check(upload, 413, "too-large", "67108864").await;
    // A length that is only said is believed.
    let said = home.post("/rules").token(&token).header("content-length", "9999999999").json(json!({}));
    check(said, 413, "too-large", "1048576").await;
}

#[tokio::test]
async fn wishes_that_make_no_sense() {
    let home = Home::populated().await;
    let token = home.token("ada", Role::Admin).await;
    let rule = |body: Value| home.post("/rules").token(&token).json(body);
    check(rule(json!({"name": "No Rule", "plugin": "other"})), 422, "invalid", "a name is lower-case").await;
    check(rule(json!({"name": "other"})), 409, "exists", "it is there already").await;
    check(rule(json!({"name": "a", "plugin": "nobody"})), 422, "invalid", "it was not uploaded").await;
    check(rule(json!({"name": "a", "plugin": "other", "config": {"limit": -1}})), 422, "invalid", "").await;
    check(rule(json!({"name": "a", "plugin": "other", "route": "payments"})), 422, "invalid", "another use").await;
    let breaker = json!({"disable": {"bad_percent_max": 120}});
    check(rule(json!({"name": "a", "plugin": "other", "on_failure": breaker})), 422, "invalid", "0 to 100").await;

    let patch = |body: Value| home.patch("/rules/card-testing").token(&token).if_match("*").json(body);
    check(patch(json!({"mode": "shadow", "version": 99})), 422, "invalid", "version 99").await;
    check(patch(json!({"mode": "active", "version": 2})), 409, "state", "not approved").await;
    check(patch(json!({"mode": "active", "version": 1})), 409, "unchanged", "nothing would change").await;
    check(patch(json!({"mode": "disabled", "why": " "})), 422, "invalid", "a reason says something").await;
    let budget = json!({"rows_min": 9, "errors_percent_max": 1.0, "window_rows": 2});
    let canary = json!({"mode": "canary", "version": 4, "canary_percent": 10, "budget": budget});
    check(patch(canary), 422, "invalid", "rows_min is at most window_rows").await;
    let nobody = home.patch("/rules/nobody").token(&token).if_match("*").json(json!({"trial": null}));
    check(nobody, 404, "not-found", "there is no rule").await;

    let post = |path: &str, body: Value| home.post(path).token(&token).json(body);
    let back = post("/rules/other/rollback", json!({"why": "w"})).if_match("*");
    check(back, 409, "state", "no version was live before").await;
    check(post("/rules/card-testing/versions/1/reject", json!({"why": "w"})), 409, "state", "is live").await;
    check(post("/rules/card-testing/versions", json!({"based_on": 99})), 422, "invalid", "version 99").await;
    check(post("/runs", json!({"job": "weekly", "as_of": "2026-03-20"})), 422, "invalid", "").await;
    check(post("/runs", json!({"job": "nightly", "as_of": "2026-03-19"})), 409, "state", "a run is at work").await;
    let window = json!({"from": "2026-03-18T00:00:00Z", "to": "2026-03-19T00:00:00Z"});
    check(post("/backtests", window), 422, "invalid", "").await;
    check(post("/dead-letters/redrive", json!({})), 422, "invalid", "either which letters, or a filter").await;
    check(post("/dead-letters/redrive", json!({"letters": [], "attempts_max": 0})), 422, "invalid", "attempts_max")
        .await;

    let put = home.put("/lists/vip").token(&token).if_match("*").json(json!({"values": ["a", "a"]}));
    check(put, 422, "invalid", "is there twice").await;
    let put = home.put("/lists/No-List").token(&token).header("if-none-match", "*").json(json!({"values": []}));
    check(put, 422, "invalid", "a name is lower-case").await;
    let cancelled = || home.request("DELETE", "/backtests/backtest-1").token(&token);
    cancelled().send().await.is(200);
    check(cancelled(), 409, "state", "it is over").await;
}

#[tokio::test]
async fn a_request_keeps_its_id() {
    let home = Home::new().await;
    let check = async |given: Option<&str>, kept: bool| {
        let request = home.get("/me");
        let request = given.into_iter().fold(request, |request, id| request.header("x-request-id", id));
        let answer = request.send().await.is(401);
        assert_eq!(Some(answer.text("x-request-id")) == given, kept, "{given:?}");
    };
    check(None, false).await;
    check(Some("from-the-proxy.7"), true).await;
    check(Some("two words"), false).await;
    check(Some(&"x".repeat(65)), false).await;
}

#[tokio::test]
async fn a_fault_of_the_host_is_its_own_and_is_not_told() {
    let home = Home::new().await;
    let token = home.token("erin", Role::Engineer).await;
    let start = home.post("/runs").token(&token).json(json!({"job": "nightly", "as_of": "1999-12-31"}));
    check(start, 500, "internal", "under this request id").await;
    home.get("/me").token(&token).send().await.is(200);
}

#[tokio::test]
async fn what_is_not_there_any_more_is_an_outage_and_says_nothing_of_the_inside() {
    let home = Home::populated().await;
    let token = home.token("ada", Role::Admin).await;
    home.warehouse.close().await;
    let answer = home.get("/alerts").token(&token).send().await.is(503);
    assert_eq!((answer.slug().as_str(), answer.text("retry-after")), ("unavailable", "1"));
    assert!(!answer.json()["detail"].as_str().unwrap().contains(home.folder.path().to_str().unwrap()));
}
