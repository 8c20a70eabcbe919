//! Plugins by HTTP: taken in, known again, refused with a reason.

use std::time::Duration;

use serde_json::{Value, json};
use tamis_catalog::roles::Role;

use crate::components;
use crate::home::Home;

#[tokio::test]
async fn a_component_is_taken_in_once() {
    let home = Home::new().await;
    let token = home.token("alice", Role::Analyst).await;
    let component = components::rule("card-testing", "1.0.0");
    let upload = || home.post("/plugins").token(&token).body("application/wasm", component.clone()).send();
    let made = upload().await.is(201);
    assert_eq!(made.text("location"), "/api/v1/plugins/card-testing/versions/1.0.0");
    let made = made.json();
    assert_eq!((&made["state"], &made["uploaded_by"]), (&json!("ready"), &json!("alice")));
    home.clock.advance(1_000);
    assert_eq!(upload().await.is(200).json(), made);

    let kept = home.get("/plugins/card-testing/versions/1.0.0").token(&token).send().await.is(200).json();
    assert_eq!(kept, made);
    assert_eq!(kept["manifest"]["config"]["schema"]["properties"]["limit"]["minimum"], 0);
    assert_eq!(kept["size_bytes"], component.len());
}

#[tokio::test]
async fn what_is_no_plugin_is_refused_with_the_reason() {
    let home = Home::new().await;
    let token = home.token("alice", Role::Analyst).await;
    home.upload(components::rule("card-testing", "1.0.0")).await;
    let mut other_bytes = components::manifest("card-testing", "1.0.0");
    other_bytes["title"] = json!("Another one");
    let check = async |component: Vec<u8>, says: &str| {
        let refused = home.post("/plugins").token(&token).body("application/wasm", component).send().await.is(422);
        assert_eq!(refused.slug(), "plugin");
        let problem = refused.json();
        assert!(problem["detail"].as_str().unwrap().contains(says), "{problem}");
    };
    check(Vec::new(), "").await;
    check(b"not even Wasm".to_vec(), "").await;
    check(components::describing(&json!({"name": "x"})), "").await;
    check(components::describing(&other_bytes), "other bytes already").await;
    check(components::component("silver-crm"), "only rules can be uploaded").await;

    let versions = home.get("/plugins/card-testing").token(&token).send().await.is(200).json();
    let states: Vec<_> = versions["items"].as_array().unwrap().iter().map(|version| version["state"].clone()).collect();
    assert_eq!(states, ["error", "ready"], "what was refused is listed, too");
    let upload = home.post("/plugins").token(&token).body("application/json", "{}");
    assert_eq!(upload.send().await.is(415).slug(), "media-type");
    let upload = home.post("/plugins?wait=perhaps").token(&token).body("application/wasm", "x");
    assert_eq!(upload.send().await.is(400).slug(), "bad-request");
}

/// A component whose bytes no run of the tests has compiled.
fn fresh(home: &Home, name: &str) -> Vec<u8> {
    let mut manifest = components::manifest(name, "1.0.0");
    manifest["title"] = json!(format!("Made by process {} in {:?}", std::process::id(), home.folder.path()));
    components::describing(&manifest)
}

/// What became of a component in the end; `path` says where to look.
async fn built(home: &Home, path: &str) -> Value {
    let token = home.token("vic", Role::Viewer).await;
    let built = async {
        loop {
            let answer = home.get(path).token(&token).send().await;
            if answer.status == 200 && answer.json()["state"] != "pending" {
                return answer.json();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), built).await.unwrap()
}

#[tokio::test]
async fn who_does_not_wait_looks_again() {
    let home = Home::new().await;
    let token = home.token("alice", Role::Analyst).await;
    let component = fresh(&home, "patient");
    let upload = home.post("/plugins?wait=false").token(&token).body("application/wasm", component);
    let stored = upload.send().await.is(202);
    assert_eq!(stored.json()["state"], "pending");
    let built = built(&home, stored.text("location").strip_prefix("/api/v1").unwrap()).await;
    assert_eq!((&built["state"], &built["name"]), (&json!("ready"), &json!("patient")));
}

#[tokio::test]
async fn a_change_that_was_begun_is_ended_though_nobody_listens_any_more() {
    let home = Home::new().await;
    let token = home.token("alice", Role::Analyst).await;
    let upload = home.post("/plugins").token(&token).body("application/wasm", fresh(&home, "hasty")).begin();
    let upload = tokio::spawn(upload);
    while home.catalog().last_event_id().await.unwrap() == 0 {
        tokio::task::yield_now().await;
    }
    upload.abort();
    assert!(upload.await.unwrap_err().is_cancelled(), "it was given up while the component was being built");
    assert_eq!(built(&home, "/plugins/hasty/versions/1.0.0").await["state"], "ready");
}
