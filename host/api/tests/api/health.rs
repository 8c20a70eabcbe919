//! What whatever watches the host is told.

use serde_json::{Value, json};
use tamis_api::StreamState;
use tamis_catalog::roles::Role;
use tamis_engine::Clock;

use crate::home::{Home, Obeys};

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
