//! What whatever watches the host is told.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use serde_json::{Value, json};
use tamis_api::{StreamState, StreamStatus, worker_router};
use tamis_catalog::roles::Role;
use tamis_engine::memory::ManualClock;
use tamis_engine::{Clock, Restoring};

use tokio::sync::watch;
use tower::ServiceExt;

use crate::home::{Home, NOON, Obeys};

/// The parts that are not ready, with their reasons.
async fn missing(home: &Home) -> Value {
    let answer = home.get("/readyz").send().await;
    let report = answer.json();
    assert_eq!(answer.status, if report["ready"] == true { 200 } else { 503 });
    let parts = report["parts"].as_array().unwrap().iter();
    let missing = parts.filter(|part| part["ready"] != true);
    missing.map(|part| json!([part["part"], part["reason"]])).collect()
}

#[tokio::test]
async fn the_process_answers() {
    let home = Home::new().await;
    assert_eq!(home.get("/healthz").send().await.is(200).json(), json!({"alive": true}));
}

#[tokio::test]
async fn a_host_is_ready_when_the_stream_runs_by_the_newest_rules() {
    let home = Home::populated().await;
    assert_eq!(missing(&home).await, json!([]));
    home.status.send_modify(|status| status.state = StreamState::Starting);
    assert_eq!(missing(&home).await, json!([["stream", "it is starting"]]));
    home.status.send_modify(|status| status.restoring = Restoring { entries: 40, of: 100 });
    let reason = "it is starting, and has taken back 40 of at most 100 entries of its state";
    assert_eq!(missing(&home).await, json!([["stream", reason]]));
    home.status.send_modify(|status| status.restoring = Restoring { entries: 90, of: 90 });
    assert_eq!(missing(&home).await, json!([["stream", "it is starting"]]));
    home.status.send_modify(|status| {
        status.state = StreamState::Halted;
        status.error = Some("a rule failed on p1".to_owned());
    });
    assert_eq!(missing(&home).await, json!([["stream", "it is halted"]]), "what it failed on is not for everybody");
    home.status.send_modify(|status| status.state = StreamState::Running);
    home.clock.advance(30_000);
    assert_eq!(missing(&home).await, json!([]));
    home.clock.advance(1_500);
    assert_eq!(missing(&home).await, json!([["stream", "nothing has been heard of it for 31 s"]]), "it hangs");
    home.status.send_modify(|status| status.updated_at = home.clock.now());
    assert_eq!(missing(&home).await, json!([]));

    let newest = home.catalog().rule_set_revision().await.unwrap() + 1;
    for (obeys, reason) in [
        (Obeys::Ignores, format!("it runs revision {} of the rules, the newest is {newest}", newest - 1)),
        (
            Obeys::Refuses("no"),
            format!("the engine refused revision {} of the rules, and goes on with {}", newest + 1, newest - 1),
        ),
    ] {
        *home.obeys.lock().unwrap() = obeys;
        let (token, why) = (home.token("alice", Role::Analyst).await, format!("because {reason}"));
        let disable = home.patch("/rules/card-testing").token(&token).if_match("*");
        let on = home.get("/rules/card-testing").token(&token).send().await.json()["disabled"] == true;
        let body = if on { json!({"mode": "active"}) } else { json!({"mode": "shadow", "version": 2, "why": why}) };
        let body = if reason.contains("refused") { json!({"trial": null}) } else { body };
        disable.json(body).send().await.is(200);
        assert_eq!(missing(&home).await, json!([["stream", reason]]));
    }
}

#[tokio::test]
async fn a_host_without_rules_is_ready_when_nothing_else_is_wrong() {
    let home = Home::new().await;
    home.status.send_modify(|status| status.state = StreamState::Starting);
    assert_eq!(missing(&home).await, json!([]), "there is nothing to run");
    std::fs::remove_dir(home.folder.path().join("topics")).unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    assert_eq!(missing(&home).await, json!([["disk", "it cannot be written"]]));
    home.catalog().close().await;
    let report = missing(&home).await;
    assert_eq!(report[1], json!(["catalogue", "it does not answer"]));
}

#[tokio::test]
async fn a_host_whose_archive_has_failed_for_good_is_not_ready() {
    let home = Home::populated().await;
    assert_eq!(missing(&home).await, json!([]));
    drop(home.archive.lock().unwrap().take());
    let reason = "it has failed, and does not begin again before the next start";
    assert_eq!(missing(&home).await, json!([["archive", reason]]));
}

/// A host that has nothing but streams shows how they are to whoever reaches it.
#[tokio::test]
async fn a_worker_shows_its_streams_alone() {
    let (status, clock) = (watch::Sender::new(StreamStatus::starting(NOON)), ManualClock::new(NOON));
    let router = worker_router(status.subscribe(), Arc::new(clock.clone()));
    let ask = async |path: &str| {
        let answer = router.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
        let code = answer.status().as_u16();
        (code, String::from_utf8(to_bytes(answer.into_body(), 1 << 20).await.unwrap().to_vec()).unwrap())
    };
    let ready = async || {
        let (code, body) = ask("/readyz").await;
        let report: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((code == 200, report["parts"].as_array().unwrap().len()), (report["ready"] == true, 1), "{report}");
        report["parts"][0]["reason"].as_str().map(str::to_owned)
    };
    assert_eq!(ask("/healthz").await, (200, json!({"alive": true}).to_string()));
    assert_eq!(ready().await.as_deref(), Some("it is starting"));
    status.send_modify(|status| status.restoring = Restoring { entries: 1, of: 3 });
    let reason = "it is starting, and has taken back 1 of at most 3 entries of its state";
    assert_eq!(ready().await.as_deref(), Some(reason));
    let (code, page) = ask("/metrics").await;
    assert_eq!(code, 200);
    for line in ["tamis_stream_up 0", "tamis_restored_entries 1", "tamis_restorable_entries 3"] {
        assert!(page.lines().any(|found| found == line), "{line} is not in\n{page}");
    }
    assert!(!page.contains("tamis_decisions_total"), "nobody asks it for decisions");
    status.send_modify(|status| status.state = StreamState::Running);
    assert_eq!(ready().await, None);
    clock.advance(31_000);
    assert_eq!(ready().await.as_deref(), Some("nothing has been heard of it for 31 s"));
    assert_eq!(ask("/api/v1/rules").await.0, 404);
}
